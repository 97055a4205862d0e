/**
 * The products and sales of a show in parts of bounded size: what a snapshot has, and the pages
 * with the rest. A product or sale is encoded once per version, a page once for all viewers.
 */
import { LIMITS } from '../limits.ts';
import type { Product, SaleView } from '../protocol/messages.ts';
import type { ShowReplica } from './replica.ts';

/** `more`: where the next page begins; absent if there is none. */
export interface CatalogPart<T> {
  readonly products: readonly T[];
  readonly sales: readonly T[];
  readonly more?: string;
}

interface Encoded<T> {
  readonly rev: number;
  readonly value: T;
  readonly bytes: number;
}

export interface CatalogEncoding<T> {
  encode(value: Product | SaleView): T;
  bytes(encoded: T): number;
}

type Item = Product | SaleView;

/** A page begins after an item: `s/` and the id of a sale, or `p/` and the id of a product. */
const FIRST_PAGE = 's/';
const isCursorOfSale = (after: string): boolean => after.startsWith('s/');
const isSale = (item: Item): item is SaleView => 'holdMs' in item;
const byId = (a: Item, b: Item): number => (a.id < b.id ? -1 : 1);
const RANKS: readonly SaleView['state'][] = ['open', 'paused', 'scheduled', 'draft', 'ended', 'cancelled'];
const byRank = (a: SaleView, b: SaleView): number => RANKS.indexOf(a.state) - RANKS.indexOf(b.state);

export class Catalog<T> {
  private readonly replica: ShowReplica;
  private readonly encoding: CatalogEncoding<T>;
  private readonly encoded = new WeakMap<Item, Encoded<T>>();

  constructor(replica: ShowReplica, encoding: CatalogEncoding<T>) {
    this.replica = replica;
    this.encoding = encoding;
  }

  /** Returns all of it, or what fits: the pinned product, open sales and their products first. */
  first(): CatalogPart<T> {
    const { products, sales } = this.replica;
    const all = this.take([...products.values(), ...sales.values()]);
    return all.rest === 0 ? all.part : { ...this.take(this.byImportance(), true).part, more: FIRST_PAGE };
  }

  /** Returns the page after an item: sales by id, then products by id. */
  page(after: string): CatalogPart<T> {
    const { products, sales } = this.replica;
    const id = after.slice(2);
    const isAfter = (item: Item): boolean => item.id > id;
    const items: Item[] = isCursorOfSale(after)
      ? [...[...sales.values()].filter(isAfter).sort(byId), ...[...products.values()].sort(byId)]
      : [...products.values()].filter(isAfter).sort(byId);
    const { part, rest } = this.take(items);
    const last = items[items.length - rest - 1];
    return rest === 0 || last === undefined ? part : { ...part, more: `${isSale(last) ? 's' : 'p'}/${last.id}` };
  }

  private *byImportance(): Iterable<Item> {
    const { show, products, sales } = this.replica;
    const given = new Set<Item | undefined>([undefined]);
    const add = (item: Item | undefined): Item[] => {
      if (item === undefined || given.has(item)) return [];
      given.add(item);
      return [item];
    };
    yield* add(products.get(show.pinned ?? ''));
    for (const sale of [...sales.values()].sort(byRank)) {
      yield* add(sale);
      for (const { product } of sale.skus) yield* add(products.get(product));
    }
    for (const product of products.values()) yield* add(product);
  }

  /** Takes items as long as they fit, at least one. `skips`: leaves out the ones that do not. */
  private take(items: Iterable<Item>, skips = false): { part: CatalogPart<T>; rest: number } {
    const products: T[] = [];
    const sales: T[] = [];
    let bytes = 0;
    let rest = 0;
    for (const item of items) {
      const isFull = rest > 0 && !skips;
      const encoded = isFull ? null : this.encodedOf(item);
      if (encoded === null || (bytes > 0 && bytes + encoded.bytes > LIMITS.catalogBytesMax)) {
        rest += 1;
        continue;
      }
      bytes += encoded.bytes;
      (isSale(item) ? sales : products).push(encoded.value);
    }
    return { part: { products, sales }, rest };
  }

  /** A sale changes in place, with a new `rev`; a product is replaced. */
  private encodedOf(item: Item): Encoded<T> {
    const rev = isSale(item) ? item.rev : 0;
    const known = this.encoded.get(item);
    if (known?.rev === rev) return known;
    const value = this.encoding.encode(item);
    const encoded = { rev, value, bytes: this.encoding.bytes(value) };
    this.encoded.set(item, encoded);
    return encoded;
  }
}
