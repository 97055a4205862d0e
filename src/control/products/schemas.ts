import { Type } from 'typebox';
import { ID_PATTERN } from '../../domain/mistakes.ts';
import { WEB_ADDRESS_RULE } from '../../domain/web-address.ts';
import { LIMITS } from '../../limits.ts';
import type { Product } from '../../protocol/messages.ts';
import { Currency, Id, SkuCode, StrictObject, Title, Unreadable } from '../http/fields.ts';

export const ProductParams = Type.Object({ show: Id, product: Id });

const ImageUrl = Type.String({ maxLength: LIMITS.urlCharsMax, description: 'http or https' });
const Address = Type.String({ maxLength: LIMITS.urlCharsMax, description: WEB_ADDRESS_RULE });
const Price = (description: string) =>
  Type.Integer({ minimum: 0, maximum: LIMITS.priceMinorUnitsMax, description: `${description}, in minor units` });
const described = {
  brand: Id,
  title: Title,
  description: Type.Optional(Type.String({ minLength: 1, maxLength: LIMITS.descriptionCharsMax })),
  price: Type.Optional(Price('The usual price, for display. Buyers pay the price of a sale')),
  compareAtPrice: Type.Optional(Price('The price before')),
  currency: Type.Optional(Currency),
  imageUrl: Type.Optional(ImageUrl),
  images: Type.Optional(Type.Array(Address, { maxItems: LIMITS.imagesPerProductMax, description: 'More images' })),
  link: Type.Optional(Type.String({ ...Address, description: `Its page in the shop (${WEB_ADDRESS_RULE})` })),
};
const sku = { sku: SkuCode, title: Type.Optional(Title) };

export const ProductSchema = Type.Object(
  { id: Id, ...described, skus: Type.Array(Type.Object(sku)) },
  { $id: 'Product' },
);
export const ProductView = Type.Unsafe<Product>({ $ref: 'Product#' });
export const ProductList = Type.Object({ products: Type.Array(ProductView), unreadable: Unreadable });

export const ProductBody = StrictObject(
  {
    ...described,
    skus: Type.Array(StrictObject(sku), { minItems: 1, maxItems: LIMITS.skusPerProductMax }),
  },
  {
    examples: [
      {
        ...{ brand: 'acme', title: 'Tee', description: 'Organic cotton.', imageUrl: 'https://cdn.example/tee.jpg' },
        ...{ price: 2499, compareAtPrice: 2999, currency: 'EUR', link: 'https://shop.example/products/tee' },
        skus: [{ sku: 'TEE-RED-M', title: 'Red, M' }],
      },
    ],
  },
);

/** A product in a list. */
export const ListedProduct = StrictObject({ id: Id, ...ProductBody.properties });

const ImportQuery = {
  dryRun: Type.Optional(Type.Literal('true', { description: 'Checks all rows and saves nothing' })),
  brand: Type.Optional(Type.String({ pattern: ID_PATTERN, description: 'Of rows without a brand that the show has' })),
  currency: Type.Optional(Type.String({ pattern: '^[A-Z]{3}$', description: 'Of prices without one' })),
};
export const ProductImportQuery = StrictObject(ImportQuery);
export const ProductImportBody = {
  content: {
    'application/json': {
      schema: StrictObject({
        products: Type.Array(ListedProduct, {
          minItems: 1,
          maxItems: LIMITS.productsPerShowMax,
        }),
      }),
    },
    'text/csv': {
      schema: Type.String({
        minLength: 1,
        examples: ['Handle,Title,Vendor,Option1 Value,Variant SKU,Variant Price\r\ntee,Tee,Acme,M,TEE-M,19.99\r\n'],
      }),
    },
  },
};
export const ProductImported = Type.Object({
  dryRun: Type.Boolean(),
  rows: Type.Integer({ minimum: 0, description: 'Rows of the file, or products of the list' }),
  saved: Type.Integer({ minimum: 0, description: 'Products that were saved, or would be' }),
  errorCount: Type.Integer({ minimum: 0 }),
  errors: Type.Array(
    Type.Object({
      line: Type.Integer({ description: 'Of the file; of a list, the position, from 1' }),
      message: Type.String(),
    }),
    { description: `At most ${LIMITS.importErrorsListed}. A product with a wrong row is not saved; the others are` },
  ),
});

export const PinBody = StrictObject({
  product: Type.Union([Id, Type.Null()], { description: 'null removes the pin' }),
});
