/** Arithmetic over granted reservations: units by SKU, and how many were held at one moment. */
import type { Item } from '../../src/protocol/messages.ts';
import type { End, Grant } from './evidence.ts';

/** Units of one SKU, or of all SKUs. */
export const unitsOf = (lines: readonly Item[], sku?: string): number =>
  lines.reduce((sum, line) => sum + (sku === undefined || line.sku === sku ? line.qty : 0), 0);

/** `2 x M, 1 x S`, independent of the order of the items. */
export function listed(lines: readonly Item[]): string {
  const sums = new Map<string, number>();
  for (const { sku, qty } of lines) sums.set(sku, (sums.get(sku) ?? 0) + qty);
  const sorted = [...sums].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([sku, qty]) => `${qty} x ${sku}`).join(', ');
}

/** Each reservation once, by id. */
export const distinct = (grants: readonly Grant[]): Map<string, Grant> =>
  new Map(grants.map((grant) => [grant.reservation, grant]));

type Ends = ReadonlyMap<string, End>;

/** The first reported end of each reservation. */
export function endsById(ends: readonly End[]): Ends {
  const byId = new Map<string, End>();
  for (const end of ends) if (!byId.has(end.reservation)) byId.set(end.reservation, end);
  return byId;
}

/** Returns the most units certainly taken at once: from creation to end or deadline. */
export function mostAtOnce(grants: Iterable<Grant>, endOf: Ends, unitsIn: (grant: Grant) => number): number {
  const moves: Array<readonly [atMs: number, units: number]> = [];
  for (const grant of grants) {
    const units = unitsIn(grant);
    if (units === 0) continue;
    moves.push([grant.createdAt, units]);
    const end = endOf.get(grant.reservation);
    if (end?.state !== 'confirmed') moves.push([Math.min(grant.heldUntil, end?.endedAt ?? grant.heldUntil), -units]);
  }
  // Within a millisecond, ends come before beginnings: only certain overlaps count.
  moves.sort(([a, unitsA], [b, unitsB]) => a - b || unitsA - unitsB);
  let now = 0;
  let most = 0;
  for (const [, units] of moves) {
    now += units;
    most = Math.max(most, now);
  }
  return most;
}
