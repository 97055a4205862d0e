/** Saves many products. One that is wrong is reported, and does not stop the others. */
import type { Actor } from '../../domain/command.ts';
import { checkProduct, type ProductStore, productInUse } from '../../domain/product.ts';
import { type ImportError, type ImportOptions, ProductImport } from '../../domain/product-import.ts';
import { isOver, type SaleStore } from '../../domain/sale.ts';
import type { ShowStore } from '../../domain/show.ts';
import { LIMITS } from '../../limits.ts';
import { type Failure, failure, StampedeError } from '../../protocol/codes.ts';
import type { Product } from '../../protocol/messages.ts';
import { refusal, unwrap } from '../http/routing.ts';
import { rowsOf } from './csv.ts';

export interface ImportRequest extends Omit<ImportOptions, 'brands'> {
  readonly show: string;
  readonly actor: Actor;
  /** The text of a CSV file, or a list. */
  readonly body: string | { readonly products: readonly Product[] };
  readonly isDryRun: boolean;
}

export interface Imported {
  dryRun: boolean;
  rows: number;
  saved: number;
  errorCount: number;
  errors: ImportError[];
}

/** What is wrong with one product, and not with the request. */
const OF_PRODUCT: readonly string[] = [
  'invalid_request',
  'limit_reached',
  'product_in_use',
] satisfies Failure['code'][];

export async function importProducts(
  store: Pick<ShowStore, 'getShow'> & Pick<SaleStore, 'listSales'> & ProductStore,
  { show, actor, body, isDryRun, brand, currency }: ImportRequest,
): Promise<Imported> {
  const { brands } = unwrap(await store.getShow(show));
  const collected = new ProductImport({ brands, brand, currency });
  if (typeof body === 'string')
    for await (const row of rowsOf(body)) {
      if (collected.rows >= LIMITS.importRowsMax)
        throw refusal('invalid_request', `The file has more than ${LIMITS.importRowsMax} rows. Split it.`);
      collected.add(row);
    }
  const isList = typeof body !== 'string';
  const products = isList ? body.products.map((product, i) => ({ line: i + 1, product })) : collected.finish();
  const before = isDryRun ? unwrap(await store.listProducts(show)) : [];
  const sales = isDryRun ? unwrap(await store.listSales(show)) : [];
  const known = new Set(before.map(({ id }) => id));

  /** Returns a failure if the product loses a SKU that a sale sells. */
  function dropped({ id, skus }: Product): Failure | null {
    const lost = new Set(before.find((product) => product.id === id)?.skus.map(({ sku }) => sku));
    for (const { sku } of skus) lost.delete(sku);
    for (const { id: sale, state, skus } of sales) {
      const sold = isOver(state) ? undefined : skus.find(({ product, sku }) => product === id && lost.has(sku));
      if (sold) return productInUse(id, [sale, sold.sku], true);
    }
    return null;
  }

  /** Returns why a product would not be saved, or null. */
  function wouldFail(product: Product): Failure | null {
    if (!brands.some(({ id }) => id === product.brand))
      return failure('invalid_request', `The show has no brand ${product.brand}.`);
    if (known.add(product.id).size > LIMITS.productsPerShowMax) return failure('limit_reached');
    return checkProduct(product) ?? dropped(product);
  }
  async function save(product: Product): Promise<Failure | null> {
    const done = await store.putProduct(show, product, actor);
    if (done.ok) return null;
    if (!OF_PRODUCT.includes(done.error.code)) throw new StampedeError(done.error);
    return done.error;
  }

  let saved = 0;
  for (const { line, product } of products) {
    const wrong = isDryRun ? wouldFail(product) : await save(product);
    if (wrong === null) saved += 1;
    else collected.fail(line, `${product.id}: ${wrong.message}`);
  }
  const { errorCount, errors } = collected;
  return { dryRun: isDryRun, rows: isList ? products.length : collected.rows, saved, errorCount, errors };
}
