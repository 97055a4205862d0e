/** Products of a show and their SKUs (variants). */
import { LIMITS } from '../limits.ts';
import type { Failure, Result } from '../protocol/codes.ts';
import type { Product, ShowView } from '../protocol/messages.ts';
import type { Actor } from './command.ts';
import { Mistakes } from './mistakes.ts';

export interface ProductStore {
  putProduct(showId: string, product: Product, actor: Actor): Promise<Result<Product>>;
  removeProduct(showId: string, productId: string, actor: Actor): Promise<Result<null>>;
  /** Leaves out products that cannot be read, and names them. */
  listProducts(showId: string, onUnreadable?: (id: string) => void): Promise<Result<Product[]>>;
  /** `productId` null removes the pin. */
  pinProduct(showId: string, productId: string | null, actor: Actor): Promise<Result<ShowView>>;
}

export function checkProduct(product: Product): Failure | null {
  const mistakes = new Mistakes();
  mistakes.id('/id', product.id);
  mistakes.id('/brand', product.brand);
  mistakes.text('/title', product.title, LIMITS.titleCharsMax);
  if (product.imageUrl !== undefined && !isWebAddress(product.imageUrl)) {
    mistakes.add('/imageUrl', `Must be an http or https address of at most ${LIMITS.urlCharsMax} characters.`);
  }
  if (product.skus.length < 1 || product.skus.length > LIMITS.skusPerProductMax)
    mistakes.add('/skus', `Must hold 1 to ${LIMITS.skusPerProductMax} SKUs.`);
  for (const [index, sku] of product.skus.entries()) {
    mistakes.sku(`/skus/${index}/sku`, sku.sku);
    if (sku.title !== undefined) mistakes.text(`/skus/${index}/title`, sku.title, LIMITS.titleCharsMax);
  }
  mistakes.unique(
    '/skus',
    product.skus.map(({ sku }) => sku),
  );
  return mistakes.failure();
}

export function isWebAddress(text: string): boolean {
  if (text.length > LIMITS.urlCharsMax || !URL.canParse(text)) return false;
  const { protocol } = new URL(text);
  return protocol === 'https:' || protocol === 'http:';
}
