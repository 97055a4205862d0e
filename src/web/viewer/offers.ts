/** What a viewer can do with each product of each sale. Pure: no connection, no document. */
import { waitKey } from '../../client/index.ts';
import type { Product, ReservationView, Role, SaleSku, SaleView, ShowView, WaitView } from '../../protocol/messages.ts';

/** A product in one sale, or in none. Two sales may have the same SKU codes. */
export interface Offer {
  readonly key: string;
  readonly product: string;
  readonly sale: string | null;
}

/** The offers of a sale, or of a brand that is not on sale now. */
export interface Section {
  readonly id: string;
  readonly sale: string | null;
  readonly brand: string | null;
  readonly offers: readonly Offer[];
}

export interface Catalogue {
  readonly show: ShowView | null;
  readonly products: readonly Product[];
  readonly sales: readonly SaleView[];
}

export type BuyState =
  | { readonly kind: 'opens'; readonly at: number }
  | { readonly kind: 'buy'; readonly more: boolean }
  /** `more`: another unit may be bought too. */
  | { readonly kind: 'hold'; readonly reservation: string; readonly until: number; readonly more: boolean }
  | { readonly kind: 'waiting'; readonly place: number }
  | { readonly kind: 'soon' | 'yours' | 'limit' | 'soldOut' | 'sending' }
  /** Of a guest, and of a viewer whose token does not allow to buy. */
  | { readonly kind: 'buyersOnly' | 'viewersOnly' }
  | { readonly kind: 'paused' | 'ended' | 'cancelled' | 'draft' };

/** Shows how many units are left from this number on. */
export const FEW_LEFT = 20;

const RANKS: Readonly<Partial<Record<SaleView['state'], number>>> = { open: 0, paused: 1, scheduled: 2 };

/** Returns the sales that are open or planned: what ends or opens first is first. */
export function activeSales(sales: readonly SaleView[]): SaleView[] {
  const at = ({ state, opensAt, closesAt }: SaleView): number =>
    (state === 'scheduled' ? opensAt : closesAt) ?? Infinity;
  return sales
    .filter(({ state }) => RANKS[state] !== undefined)
    .sort((a, b) => (RANKS[a.state] ?? 0) - (RANKS[b.state] ?? 0) || compare(at(a), at(b)));
}

/** Infinity minus Infinity is not a number. */
const compare = (a: number, b: number): number => (a === b ? 0 : a - b);

export const offerKey = (sale: string | null, product: string): string => `${sale ?? ''}/${product}`;

/** Sections of the active sales, then one for each brand with the products that are in none. */
export function sectionsOf({ show, products, sales }: Catalogue, filter: string | null): Section[] {
  const byId = new Map(products.map((product) => [product.id, product]));
  const active = activeSales(sales);
  const onSale = new Set(active.flatMap(({ skus }) => skus.map(({ product }) => product)));
  const ofSales = active
    .filter(({ id }) => filter === null || id === filter)
    .map<Section>((sale) => ({
      id: `sale/${sale.id}`,
      sale: sale.id,
      brand: null,
      offers: [...new Set(sale.skus.map(({ product }) => product))]
        .filter((product) => byId.has(product))
        .map((product) => ({ key: offerKey(sale.id, product), product, sale: sale.id })),
    }));
  if (filter !== null) return ofSales;
  const last = lastSales(sales);
  const brands = new Set([...(show?.brands ?? []).map(({ id }) => id), ...products.map(({ brand }) => brand)]);
  const ofBrands = [...brands].map<Section>((brand) => ({
    id: `brand/${brand}`,
    sale: null,
    brand,
    offers: products
      .filter((product) => product.brand === brand && !onSale.has(product.id))
      .map(({ id }) => ({ key: offerKey(last.get(id) ?? null, id), product: id, sale: last.get(id) ?? null })),
  }));
  return [...ofSales, ...ofBrands].filter(({ offers }) => offers.length > 0);
}

/** The sale that a product was in most recently, for products that are in no active one. */
function lastSales(sales: readonly SaleView[]): Map<string, string> {
  const over = sales.filter(({ state }) => state === 'ended').sort((a, b) => (a.closesAt ?? 0) - (b.closesAt ?? 0));
  return new Map(over.flatMap(({ id, skus }) => skus.map(({ product }) => [product, id] as const)));
}

/** Returns the offer to show large: the pinned product, else the first with units to buy. */
export function featuredOffer(catalogue: Catalogue, sections: readonly Section[]): Offer | null {
  const { show, sales, products } = catalogue;
  const onSale = sections.filter(({ sale }) => sale !== null).flatMap(({ offers }) => offers);
  const pinned = show?.pinned ?? null;
  const ofPinned = onSale.find(({ product }) => product === pinned);
  if (ofPinned !== undefined) return ofPinned;
  const hasUnits = ({ sale, product }: Offer): boolean =>
    sales.find(({ id }) => id === sale)?.skus.some((sku) => sku.product === product && sku.left > 0) === true;
  const first = onSale.find(hasUnits) ?? onSale[0];
  if (first !== undefined) return first;
  const isKnown = products.some(({ id }) => id === pinned);
  return isKnown && pinned !== null ? { key: offerKey(null, pinned), product: pinned, sale: null } : null;
}

export interface Variant {
  readonly sku: string;
  readonly title: string;
  /** null: not a part of the sale. */
  readonly item: SaleSku | null;
}

/** The variants of a product that its sale has; all of them without a sale. */
export function variantsOf(product: Product, sale: SaleView | null): Variant[] {
  return product.skus
    .map(({ sku, title }) => ({
      sku,
      title: title ?? sku,
      item: sale?.skus.find((item) => item.sku === sku && item.product === product.id) ?? null,
    }))
    .filter(({ item }) => sale === null || item !== null);
}

/** Returns the SKU to show at first: one that the viewer holds, else one with units. */
export function firstChoice(
  variants: readonly Variant[],
  sale: string | null,
  reservations: readonly ReservationView[],
): string | null {
  const mine = new Set(
    reservations
      .filter((reservation) => reservation.sale === sale && !isOver(reservation))
      .flatMap(({ lines }) => lines.map(({ sku }) => sku)),
  );
  const choice =
    variants.find(({ sku }) => mine.has(sku)) ?? variants.find(({ item }) => (item?.left ?? 0) > 0) ?? variants[0];
  return choice?.sku ?? null;
}

const isOver = ({ state }: ReservationView): boolean => state !== 'held' && state !== 'confirmed';

export interface Holdings {
  readonly role: Role | null;
  readonly reservations: readonly ReservationView[];
  readonly waits: readonly WaitView[];
  readonly isSending: boolean;
  readonly now: number;
}

export function buyStateOf(sale: SaleView, item: SaleSku, holdings: Holdings): BuyState {
  const { role, reservations, waits, isSending, now } = holdings;
  if (isSending) return { kind: 'sending' };
  const mine = unitsOf(reservations, sale.id, item.sku);
  const isAtLimit = mine.inSale >= sale.perBuyer || (item.perBuyer !== undefined && mine.ofSku >= item.perBuyer);
  const { hold } = mine;
  if (hold !== null) {
    const more = sale.state === 'open' && !isAtLimit && item.left > 0;
    return { kind: 'hold', reservation: hold.id, until: hold.heldUntil, more };
  }
  if (mine.owned > 0 && isAtLimit) return { kind: 'yours' };
  const { state } = sale;
  if (state === 'ended' || state === 'cancelled' || state === 'draft') return { kind: state };
  if (role === 'guest') return { kind: 'buyersOnly' };
  if (role === 'viewer') return { kind: 'viewersOnly' };
  if (state === 'paused') return { kind: 'paused' };
  if (state === 'scheduled') {
    if (sale.opensAt === null) return { kind: 'soon' };
    if (sale.opensAt > now) return { kind: 'opens', at: sale.opensAt };
  }
  if (isAtLimit) return { kind: 'limit' };
  const wait = waits.find((entry) => waitKey(entry.sale, entry.sku) === waitKey(sale.id, item.sku));
  if (wait !== undefined) return { kind: 'waiting', place: wait.place };
  if (item.left <= 0) return { kind: 'soldOut' };
  return { kind: 'buy', more: mine.owned > 0 };
}

/** The viewer's units of a SKU, and of all SKUs of the sale. */
function unitsOf(reservations: readonly ReservationView[], sale: string, sku: string) {
  const units = { ofSku: 0, owned: 0, inSale: 0, hold: null as ReservationView | null };
  for (const reservation of reservations) {
    const isHeld = reservation.state === 'held';
    if (reservation.sale !== sale || (!isHeld && reservation.state !== 'confirmed')) continue;
    for (const item of reservation.lines) {
      units.inSale += item.qty;
      if (item.sku !== sku) continue;
      units.ofSku += item.qty;
      if (!isHeld) units.owned += item.qty;
      else if (units.hold === null || reservation.heldUntil < units.hold.heldUntil) units.hold = reservation;
    }
  }
  return units;
}

/** Does the product, its brand or a variant contain all words of the query? */
export function matches(product: Product, brand: string, query: string): boolean {
  const text = [product.title, brand, ...product.skus.map(({ title, sku }) => title ?? sku)].join(' ').toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** Names the items of a reservation by the products of its sale. */
export function itemsText(
  { lines, sale: saleId }: ReservationView,
  { products, sales }: Pick<Catalogue, 'products' | 'sales'>,
): string {
  const sale = sales.find(({ id }) => id === saleId);
  return lines
    .map(({ sku, qty }) => {
      const owner = sale?.skus.find((item) => item.sku === sku)?.product;
      const product = products.find(({ id, skus }) =>
        owner === undefined ? skus.some((one) => one.sku === sku) : id === owner,
      );
      const variant = product?.skus.find((one) => one.sku === sku)?.title;
      const name = `${product?.title ?? sku}${variant === undefined ? '' : ` (${variant})`}`;
      return qty > 1 ? `${qty} × ${name}` : name;
    })
    .join(', ');
}
