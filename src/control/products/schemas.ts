import { Type } from 'typebox';
import { LIMITS } from '../../limits.ts';
import type { Product } from '../../protocol/messages.ts';
import { Id, SkuCode, StrictObject, Title, Unreadable } from '../http/fields.ts';

export const ProductParams = Type.Object({ show: Id, product: Id });

const ImageUrl = Type.String({ maxLength: LIMITS.urlCharsMax, description: 'http or https' });
const described = { brand: Id, title: Title, imageUrl: Type.Optional(ImageUrl) };
const sku = { sku: SkuCode, title: Type.Optional(Title) };

export const ProductSchema = Type.Object(
  { id: Id, ...described, skus: Type.Array(Type.Object(sku)) },
  { $id: 'Product' },
);
export const ProductView = Type.Unsafe<Product>({ $ref: 'Product#' });
export const ProductList = Type.Object({ products: Type.Array(ProductView), unreadable: Unreadable });

export const ProductBody = StrictObject({
  ...described,
  skus: Type.Array(StrictObject(sku), {
    minItems: 1,
    maxItems: LIMITS.skusPerProductMax,
  }),
});

export const PinBody = StrictObject({
  product: Type.Union([Id, Type.Null()], { description: 'null removes the pin' }),
});
