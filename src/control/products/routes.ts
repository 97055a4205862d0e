import { Type } from 'typebox';
import { LIMITS } from '../../limits.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { actorOf, listedIn, unwrap } from '../http/routing.ts';
import { Show, withArchiveAt } from '../shows/schemas.ts';
import { type ImportRequest, importProducts } from './import.ts';
import {
  PinBody,
  ProductBody,
  ProductImportBody,
  ProductImported,
  ProductImportQuery,
  ProductList,
  ProductParams,
  ProductSchema,
  ProductView,
} from './schemas.ts';

const { operation, showOperation } = operationsOf('products');

export const products: Resource = {
  tags: [{ name: 'products', description: 'What the brands of a show sell, and the product that is presented now' }],
  schemas: [ProductSchema],
  register(app, { store, archives }) {
    app.put(
      '/shows/:show/products/:product',
      operation({
        summary: 'Save a product',
        description:
          'Replaces the one before. A SKU that a sale sells which is not over must stay (`product_in_use`): ' +
          '`details` names the sale and the SKU.',
        params: ProductParams,
        body: ProductBody,
        response: { 200: ProductView },
        errors: ['limit_reached', 'product_in_use', 'overloaded'],
      }),
      async (request) => {
        const { show, product } = request.params;
        return unwrap(await store.putProduct(show, { ...request.body, id: product }, actorOf(request)));
      },
    );
    app.post(
      '/shows/:show/products/import',
      {
        bodyLimit: LIMITS.httpImportBytesMax,
        ...showOperation({
          summary: 'Save many products, from JSON or CSV',
          description:
            'A CSV file (UTF-8, delimited by comma, semicolon, tab or bar) has the columns of a product file of ' +
            'Shopify (Handle, Title, Body (HTML), Vendor, Option1 Value, Variant SKU, Variant Price, Variant Compare ' +
            'At Price, Image Src) or of a product feed of Google (id, item_group_id, title, description, brand, ' +
            'price, sale_price, image_link, additional_image_link, link). Rows with one handle are one product. ' +
            'Variants without a SKU get one. Other columns are ignored. Products are saved as with PUT.',
          querystring: ProductImportQuery,
          body: ProductImportBody as never,
          response: { 200: ProductImported },
          errors: ['overloaded'],
        }),
      },
      async (request) => {
        const { dryRun, ...options } = request.query;
        const { show } = request.params;
        const body = request.body as unknown as ImportRequest['body'];
        return importProducts(store, { ...options, show, body, isDryRun: dryRun === 'true', actor: actorOf(request) });
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
        description: 'Refused while a sale that is not over sells it: `details` names the sale and a SKU.',
        params: ProductParams,
        response: { 204: Type.Null() },
        errors: ['product_not_found', 'product_in_use', 'overloaded', 'unsupported_media_type', 'frame_too_large'],
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
      async (request) => {
        const { show } = request.params;
        return withArchiveAt(archives, unwrap(await store.pinProduct(show, request.body.product, actorOf(request))));
      },
    );
  },
};
