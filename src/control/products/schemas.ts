import { Type } from 'typebox';
import { LIMITS } from '../../limits.ts';
import type { Product } from '../../protocol/messages.ts';
import { Id, SkuCode, Title } from '../http/fields.ts';

const ImageUrl = Type.String({ maxLength: LIMITS.urlCharsMax, description: 'http or https' });

export const ProductSchema = Type.Object(
  {
    id: Id,
    brand: Id,
    title: Title,
    imageUrl: Type.Optional(ImageUrl),
    skus: Type.Array(Type.Object({ sku: SkuCode, title: Type.Optional(Title) })),
  },
  { $id: 'Product' },
);
export const ProductView = Type.Unsafe<Product>({ $ref: 'Product#' });
export const ProductList = Type.Object({ products: Type.Array(ProductView) });

export const ProductBody = Type.Object(
  {
    brand: Id,
    title: Title,
    imageUrl: Type.Optional(ImageUrl),
    skus: Type.Array(Type.Object({ sku: SkuCode, title: Type.Optional(Title) }, { additionalProperties: false }), {
      minItems: 1,
      maxItems: LIMITS.skusPerProductMax,
    }),
  },
  { additionalProperties: false },
);

export const PinBody = Type.Object(
  { product: Type.Union([Id, Type.Null()], { description: 'null takes the pin away' }) },
  { additionalProperties: false },
);
