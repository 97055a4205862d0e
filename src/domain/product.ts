/** Products of a show and their SKUs (variants). */
import { LIMITS } from '../limits.ts';
import { type Failure, failure, type Result } from '../protocol/codes.ts';
import type { Product, ShowView } from '../protocol/messages.ts';
import type { Actor } from './command.ts';
import { Mistakes } from './mistakes.ts';
import { isCurrency, NOT_A_CURRENCY } from './sale.ts';
import { webAddressMistake } from './web-address.ts';

export interface ProductStore {
  putProduct(showId: string, product: Product, actor: Actor): Promise<Result<Product>>;
  removeProduct(showId: string, productId: string, actor: Actor): Promise<Result<null>>;
  /** Leaves out products that cannot be read, and names them. */
  listProducts(showId: string, onUnreadable?: (id: string) => void): Promise<Result<Product[]>>;
  /** `productId` null removes the pin. */
  pinProduct(showId: string, productId: string | null, actor: Actor): Promise<Result<ShowView>>;
}

/** `isDropped`: the product stays, and loses the SKU. */
export function productInUse(product: string, [sale = '', sku = '']: readonly string[], isDropped: boolean): Failure {
  const what = isDropped ? `the SKU ${sku} of the product ${product}` : `the product ${product}`;
  return failure('product_in_use', `The sale ${sale} sells ${what} and is not over. End or cancel it first.`, {
    details: { product, sale, sku },
  });
}

export function checkProduct(product: Product): Failure | null {
  const mistakes = new Mistakes();
  mistakes.id('/id', product.id);
  mistakes.id('/brand', product.brand);
  mistakes.text('/title', product.title, LIMITS.titleCharsMax);
  if (product.imageUrl !== undefined && !isWebAddress(product.imageUrl)) {
    mistakes.add('/imageUrl', `Must be an http or https address of at most ${LIMITS.urlCharsMax} characters.`);
  }
  checkDescription(mistakes, product);
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

function checkDescription(mistakes: Mistakes, product: Product): void {
  const { description, price, compareAtPrice, currency, images = [], link } = product;
  // Paragraphs are kept.
  const line = description?.replaceAll(/\r?\n/g, ' ');
  if (line !== undefined) mistakes.text('/description', line, LIMITS.descriptionCharsMax);
  for (const [name, value] of Object.entries({ price, compareAtPrice }))
    if (value !== undefined) mistakes.integer(`/${name}`, value, 0, LIMITS.priceMinorUnitsMax);
  if (currency !== undefined && !isCurrency(currency)) mistakes.add('/currency', NOT_A_CURRENCY);
  if ((price ?? compareAtPrice) !== undefined && currency === undefined)
    mistakes.add('/currency', 'Say in which currency the price is.');
  if (compareAtPrice !== undefined && price === undefined)
    mistakes.add('/price', 'Give the price that compareAtPrice is compared with.');
  if (images.length > LIMITS.imagesPerProductMax)
    mistakes.add('/images', `Must hold at most ${LIMITS.imagesPerProductMax} images.`);
  for (const [i, image] of images.entries()) checkAddress(mistakes, `/images/${i}`, image);
  if (link !== undefined) checkAddress(mistakes, '/link', link);
}

function checkAddress(mistakes: Mistakes, path: string, address: string): void {
  const wrong = webAddressMistake(address);
  if (wrong !== null) mistakes.add(path, wrong);
}

export function isWebAddress(text: string): boolean {
  if (text.length > LIMITS.urlCharsMax || !URL.canParse(text)) return false;
  const { protocol } = new URL(text);
  return protocol === 'https:' || protocol === 'http:';
}
