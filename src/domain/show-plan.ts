/** A show that is planned with products and sales in one request, or copied from another one. */
import { LIMITS } from '../limits.ts';
import type { Failure, Result } from '../protocol/codes.ts';
import type { Product, ShowView, ShowVisibility } from '../protocol/messages.ts';
import type { Actor } from './command.ts';
import { Mistakes } from './mistakes.ts';
import { checkProduct } from './product.ts';
import { checkSaleSpec, type SaleBooks, type SaleSpec } from './sale.ts';
import { checkShowSpec, type ShowSpec } from './show.ts';

export interface ShowContents {
  products?: Product[];
  sales?: SaleSpec[];
}

export interface CloneSpec {
  id: string;
  /** Default: that of the source. */
  title?: string;
  startsAt?: number | null;
  /** Default: `unlisted`. */
  visibility?: ShowVisibility;
  /** Plans the sales that had an opening as long before or after the new start. */
  scheduleSales?: boolean;
}

/** What a clone lacks. */
export interface LeftOut {
  reason: 'no_brand' | 'no_product' | 'cancelled' | 'unreadable';
  product?: string;
  sale?: string;
  sku?: string;
}

export interface PlannedShow {
  show: ShowView;
  /** Those that this call has planned. */
  sales: SaleBooks[];
}

export interface ClonedShow extends PlannedShow {
  contents: Required<ShowContents>;
  leftOut: LeftOut[];
}

export interface ShowPlanStore {
  /**
   * Creates a show, then its products and sales. A repeat with the same id and body completes what
   * a crash has left, and changes nothing in a complete show.
   */
  planShow(spec: ShowSpec & { id: string }, contents: ShowContents, actor: Actor): Promise<Result<PlannedShow>>;
  /** Copies settings, products and sales: no orders, chat and holds. Repeats as `planShow` does. */
  cloneShow(showId: string, spec: CloneSpec, actor: Actor): Promise<Result<ClonedShow>>;
}

/** Returns all mistakes that would stop a plan after its first write. */
export function checkShowPlan(
  spec: ShowSpec,
  { products = [], sales = [] }: ShowContents,
  nowMs: number,
  holdMaxMs: number,
): Failure | null {
  const mistakes = new Mistakes();
  mistakes.under('', checkShowSpec(spec, nowMs));
  const brands = new Set(spec.brands?.map(({ id }) => id));
  const skusOf = new Map(products.map(({ id, skus }) => [id, new Set(skus.map(({ sku }) => sku))]));
  if (products.length > LIMITS.productsPerShowMax)
    mistakes.add('/products', `Must hold at most ${LIMITS.productsPerShowMax} products.`);
  if (sales.length > LIMITS.salesPerShowMax)
    mistakes.add('/sales', `Must hold at most ${LIMITS.salesPerShowMax} sales.`);
  for (const [i, product] of products.entries()) {
    mistakes.under(`/products/${i}`, checkProduct(product));
    if (!brands.has(product.brand)) mistakes.add(`/products/${i}/brand`, `The show has no brand ${product.brand}.`);
  }
  for (const [i, sale] of sales.entries()) {
    mistakes.under(`/sales/${i}`, checkSaleSpec(sale, nowMs, holdMaxMs));
    checkEnd(mistakes, `/sales/${i}/closesAt`, sale, nowMs);
    for (const [n, { sku, product }] of sale.skus.entries()) {
      const skus = skusOf.get(product);
      const path = `/sales/${i}/skus/${n}`;
      if (skus === undefined) mistakes.add(`${path}/product`, `The request has no product ${product}.`);
      else if (!skus.has(sku)) mistakes.add(`${path}/sku`, `The product ${product} has no SKU ${sku}.`);
    }
  }
  mistakes.unique(
    '/products',
    products.map(({ id }) => id),
  );
  const saleIds = sales.flatMap(({ id }, i) => (id === undefined ? [] : [[id, i] as const]));
  const first = new Map([...saleIds].reverse());
  for (const [id, i] of saleIds)
    if (first.get(id) !== i) mistakes.add(`/sales/${i}/id`, `${JSON.stringify(id)} is listed twice.`);
  return mistakes.failure();
}

/** The script checks the same, against its clock: the margin covers what passes until then. */
function checkEnd(mistakes: Mistakes, path: string, { opensAt, opensInMs, closesAt }: SaleSpec, nowMs: number): void {
  if (closesAt === undefined) return;
  const opening = opensAt ?? (opensInMs === undefined ? undefined : nowMs + opensInMs);
  const lengthMs = closesAt - Math.max(nowMs, opening ?? nowMs);
  if (lengthMs < 2 * LIMITS.saleDurationMinMs)
    mistakes.add(path, 'The sale would be over before it has begun, or too soon after it.');
  if (opensInMs !== undefined && lengthMs > LIMITS.saleDurationMaxMs)
    mistakes.add(path, `Must be at most ${LIMITS.saleDurationMaxMs} ms after the opening.`);
}

/** A sale as it is stored: a draft may have a duration and no end. */
export type CopiedSale = SaleBooks & { durationMs?: number | undefined };

/** Returns what a clone of a show has. */
export function copyOf(
  source: ShowView,
  catalog: { products: readonly Product[]; sales: readonly CopiedSale[] },
  { id, title, startsAt = null, visibility, scheduleSales = false }: CloneSpec,
  { nowMs, holdMaxMs }: { nowMs: number; holdMaxMs: number },
): { spec: ShowSpec & { id: string }; contents: Required<ShowContents>; leftOut: LeftOut[] } {
  const { state: _state, createdAt: _created, pinned: _pinned, visibility: _listed, ...settings } = source;
  const spec = {
    ...settings,
    ...{ id, title: title ?? source.title, startsAt },
    ...(visibility === undefined ? {} : { visibility }),
  };
  const leftOut: LeftOut[] = [];
  const brands = new Set(source.brands.map(({ id }) => id));
  const products = catalog.products.filter(({ id, brand }) => {
    if (!brands.has(brand)) leftOut.push({ reason: 'no_brand', product: id });
    return brands.has(brand);
  });
  const known = new Set(products.flatMap(({ id, skus }) => skus.map(({ sku }) => JSON.stringify([id, sku]))));
  const shiftMs = startsAt === null || source.startsAt === null ? null : startsAt - source.startsAt;
  const sales: SaleSpec[] = [];
  for (const sale of catalog.sales) {
    if (sale.state === 'cancelled') {
      leftOut.push({ reason: 'cancelled', sale: sale.id });
      continue;
    }
    const skus = sale.skus.filter(({ sku, product }) => known.has(JSON.stringify([product, sku])));
    for (const { sku, product } of sale.skus)
      if (!known.has(JSON.stringify([product, sku])))
        leftOut.push({ reason: 'no_product', sale: sale.id, product, sku });
    if (skus.length === 0) continue;
    sales.push({
      ...{ id: sale.id, title: sale.title, currency: sale.currency, perBuyer: sale.perBuyer },
      holdMs: Math.min(sale.holdMs, holdMaxMs),
      ...windowOf(sale, scheduleSales ? shiftMs : null, shiftMs, nowMs),
      skus: skus.map(({ sku, product, price, perBuyer, allocated, withdrawn }) => ({
        ...{ sku, product, price, quantity: allocated - withdrawn || allocated },
        ...(perBuyer === undefined ? {} : { perBuyer }),
      })),
    });
  }
  return { spec, contents: { products, sales }, leftOut };
}

/** A window keeps its length. Its opening is planned if it has a shift and lies ahead. */
function windowOf(
  { opensAt, closesAt, durationMs }: CopiedSale,
  openingShiftMs: number | null,
  shiftMs: number | null,
  nowMs: number,
): Pick<SaleSpec, 'opensAt' | 'closesAt' | 'durationMs'> {
  const { saleDurationMinMs: min, saleDurationMaxMs: max } = LIMITS;
  const known = opensAt !== null && closesAt !== null ? closesAt - opensAt : durationMs;
  const lengthMs = known === undefined ? undefined : Math.min(Math.max(known, min), max);
  const opening = opensAt === null || openingShiftMs === null ? null : opensAt + openingShiftMs;
  const end = closesAt === null || opensAt !== null ? null : closesAt + (shiftMs ?? 0);
  return {
    ...(opening !== null && opening > nowMs ? { opensAt: opening } : {}),
    ...(lengthMs === undefined ? {} : { durationMs: lengthMs }),
    ...(end !== null && lengthMs === undefined && end > nowMs + 2 * min ? { closesAt: end } : {}),
  };
}
