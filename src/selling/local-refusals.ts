/**
 * Refusals that a node gives from its replica of a sale, without a Redis call: in a rush nearly all
 * requests are of this kind. Redis alone accepts. `refuseLocally` refuses only if all of this
 * holds; "Local refusals" in src/README.md says why that is sound:
 * - The room is synced and Redis replies, so the replica is what Redis committed at revision `rev`.
 * - That state refuses the request, even at the latest time the Redis clock may show.
 * - For `sold_out`, nothing is due yet: no expired hold can have freed units.
 * - The key cannot have a recorded result, because the buyer is new to the sale.
 */
import { type Failure, failure } from '../protocol/codes.ts';
import type { Item, SaleView } from '../protocol/messages.ts';

export interface RefusalInput {
  /** The replica equals what Redis committed, and Redis replies. */
  readonly isSynced: boolean;
  readonly sale: SaleView | undefined;
  readonly saleId: string;
  readonly lines: readonly Item[];
  /** Redis time as this node knows it, and its largest error. */
  readonly nowMs: number;
  readonly errorMs: number;
  readonly nextDueAt: number | null;
  /** No key of this buyer can have a recorded result in this sale. */
  readonly isBuyerNew: boolean;
}

const PAUSED_RETRY_MS = 1_000;

/** Returns why the request is refused, or null if only Redis can decide. */
export function refuseLocally(input: RefusalInput): Failure | null {
  if (!input.isSynced || !input.isBuyerNew || !Number.isFinite(input.errorMs)) return null;
  const { sale, saleId } = input;
  if (sale === undefined) return failure('sale_not_found', `There is no sale "${saleId}" in this show.`);
  switch (sale.state) {
    case 'scheduled':
      return tooEarly(sale, input);
    case 'open':
      return soldOut(sale, input);
    case 'paused':
      return failure('sale_paused', undefined, { retryAfterMs: PAUSED_RETRY_MS });
    case 'ended':
      return failure('sale_ended');
    case 'cancelled':
      return failure('sale_cancelled');
    case 'draft':
      return null;
  }
}

function tooEarly({ opensAt }: SaleView, { nowMs, errorMs }: RefusalInput): Failure | null {
  if (opensAt === null || nowMs + errorMs >= opensAt) return null;
  const retryAfterMs = Math.max(1, Math.ceil(opensAt - nowMs));
  return failure('sale_not_open', 'The sale has not opened yet.', { retryAfterMs, details: { opensAt } });
}

function soldOut(sale: SaleView, { lines, nowMs, errorMs, nextDueAt }: RefusalInput): Failure | null {
  if (nextDueAt !== null && nowMs + errorMs >= nextDueAt) return null;
  for (const { sku, left } of sale.skus) {
    let wanted = 0;
    for (const item of lines) if (item.sku === sku) wanted += item.qty;
    if (wanted > left) return failure('sold_out', `Only ${left} of "${sku}" are left.`, { details: { sku, left } });
  }
  return null;
}
