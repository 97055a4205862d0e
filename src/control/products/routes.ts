import { Type } from 'typebox';
import type { ControlDeps } from '../deps.ts';
import { ProductParams, ShowParams } from '../http/fields.ts';
import { problems } from '../http/problem-schema.ts';
import { type App, actorOf, unwrap } from '../http/routing.ts';
import { ProductBody, ProductList, ProductView } from './schemas.ts';

const tags = ['products'];

export function registerProducts(app: App, { store }: ControlDeps): void {
  app.put(
    '/shows/:show/products/:product',
    {
      schema: {
        tags,
        summary: 'Save a product',
        params: ProductParams,
        body: ProductBody,
        response: { 200: ProductView, ...problems(['show_not_found', 'limit_reached', 'overloaded']) },
      },
    },
    async (request) =>
      unwrap(
        await store.putProduct(request.params.show, { ...request.body, id: request.params.product }, actorOf(request)),
      ),
  );
  app.get(
    '/shows/:show/products',
    {
      schema: {
        tags,
        summary: 'Products of a show',
        params: ShowParams,
        response: { 200: ProductList, ...problems(['show_not_found'], { bodiless: true }) },
      },
    },
    async (request) => ({
      products: unwrap(await store.listProducts(request.params.show)),
    }),
  );
  app.delete(
    '/shows/:show/products/:product',
    {
      schema: {
        tags,
        summary: 'Remove a product',
        params: ProductParams,
        response: { 204: Type.Null(), ...problems(['show_not_found', 'product_not_found', 'overloaded']) },
      },
    },
    async (request, reply) => {
      unwrap(await store.removeProduct(request.params.show, request.params.product, actorOf(request)));
      reply.code(204);
      return null;
    },
  );
}
