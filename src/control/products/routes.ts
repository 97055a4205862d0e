import { Type } from 'typebox';
import { operationsOf, type Resource } from '../http/resource.ts';
import { actorOf, listedIn, unwrap } from '../http/routing.ts';
import { Show } from '../shows/schemas.ts';
import { PinBody, ProductBody, ProductList, ProductParams, ProductSchema, ProductView } from './schemas.ts';

const { operation, showOperation } = operationsOf('products');

export const products: Resource = {
  tags: [{ name: 'products', description: 'What the brands of a show sell, and the product that is presented now' }],
  schemas: [ProductSchema],
  register(app, { store }) {
    app.put(
      '/shows/:show/products/:product',
      operation({
        summary: 'Save a product',
        params: ProductParams,
        body: ProductBody,
        response: { 200: ProductView },
        errors: ['limit_reached', 'overloaded'],
      }),
      async (request) => {
        const { show, product } = request.params;
        return unwrap(await store.putProduct(show, { ...request.body, id: product }, actorOf(request)));
      },
    );
    app.get(
      '/shows/:show/products',
      showOperation({ summary: 'List the products of a show', response: { 200: ProductList } }),
      async ({ params: { show } }) => {
        const [products, rest] = await listedIn((onUnreadable) => store.listProducts(show, onUnreadable));
        return { products, ...rest };
      },
    );
    app.delete(
      '/shows/:show/products/:product',
      operation({
        summary: 'Remove a product',
        params: ProductParams,
        response: { 204: Type.Null() },
        errors: ['product_not_found', 'overloaded', 'unsupported_media_type', 'frame_too_large'],
      }),
      async (request, reply) => {
        unwrap(await store.removeProduct(request.params.show, request.params.product, actorOf(request)));
        reply.code(204);
        return null;
      },
    );
    app.post(
      '/shows/:show/pin',
      showOperation({
        summary: 'Present a product',
        body: PinBody,
        response: { 200: Show },
        errors: ['product_not_found', 'overloaded'],
      }),
      async (request) => unwrap(await store.pinProduct(request.params.show, request.body.product, actorOf(request))),
    );
  },
};
