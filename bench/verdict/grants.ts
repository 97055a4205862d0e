/**
 * Arithmetic over what clients were granted: units by SKU, and how many were taken at the same time
 * by the server's own times.
 */
import type { Item } from '../../src/protocol/messages.ts';
import type { End, Grant } from './evidence.ts';

/** Units of one SKU, or of all. */
export const unitsOf = (lines: readonly Item[], sku?: string): number =>
  lines.reduce((sum, line) => sum + (sku === undefined || line.sku === sku ? line.qty : 0), 0);

/** `2 x M, 1 x S`, the same for the same units in another order. */
export function listed(lines: readonly Item[]): string {
  const sums = new Map<string, number>();
  for (const { sku, qty } of lines) sums.set(sku, (sums.get(sku) ?? 0) + qty);
  return [...sums]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([sku, qty]) => `${qty} x ${sku}`)
    .join(', ');
}

/** Each reservation once, by id. */
export const distinct = (grants: readonly Grant[]): Map<string, Grant> =>
  new Map(grants.map((grant) => [grant.reservation, grant]));

/** The first end anybody was told, by reservation. */
export function endsById(ends: readonly End[]): ReadonlyMap<string, End> {
  const byId = new Map<string, End>();
  for (const end of ends) if (!byId.has(end.reservation)) byId.set(end.reservation, end);
  return byId;
}

/**
 * Most units that were certainly taken at one moment. A grant counts from its making until its end,
 * at the latest its deadline; an order counts for good. One clock made all the times, so intervals
 * can be laid over each other.
 */
export function mostAtOnce(
  grants: Iterable<Grant>,
  endOf: ReadonlyMap<string, End>,
  unitsIn: (grant: Grant) => number,
): number {
  const moves: Array<readonly [atMs: number, units: number]> = [];
  for (const grant of grants) {
    const units = unitsIn(grant);
    if (units === 0) continue;
    moves.push([grant.createdAt, units]);
    const end = endOf.get(grant.reservation);
    if (end?.state !== 'confirmed') moves.push([Math.min(grant.heldUntil, end?.endedAt ?? grant.heldUntil), -units]);
  }
  // In one millisecond what ends goes before what begins: only what is certain counts.
  moves.sort(([a, unitsA], [b, unitsB]) => a - b || unitsA - unitsB);
  let now = 0;
  let most = 0;
  for (const [, units] of moves) {
    now += units;
    most = Math.max(most, now);
  }
  return most;
}
