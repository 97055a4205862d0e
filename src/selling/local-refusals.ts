/**
 * The refusals a node gives from its local view of a sale, without asking Redis. In a rush nearly
 * all requests are of this kind.
 *
 * The view may only refuse; only Redis accepts. A refusal is sound, because all of this holds:
 * - The room is synced and Redis answers: the view is the state Redis committed at revision `rev`,
 *   every earlier commit included.
 * - What is refused is refused by that state: the sale is unknown; it is scheduled and even the
 *   latest time the Redis clock may show is before its opening; it is paused, ended or cancelled;
 *   or a SKU has fewer units left than asked for *and* nothing falls due yet by the latest time the
 *   clock may show, so no lapsing hold can have freed units that the view has not seen.
 * - The buyer's key cannot be one that was answered before. A repeated key must get its recorded
 *   answer, which only Redis has; so a buyer who ever held or waited for something in that sale,
 *   who has a request in flight, or whose standing this node has not learned yet, is never refused
 *   here. It is learned at the join and kept by the commits; a reservation that made the units go
 *   is in the same commit, or an earlier one, as the number that says so.
 */
import { type Failure, failure } from '../protocol/codes.ts';
import type { Item, SaleView } from '../protocol/messages.ts';

export interface RefusalInput {
  /** The room's view equals what Redis committed, and Redis answers. */
  readonly synced: boolean;
  readonly sale: SaleView | undefined;
  readonly saleId: string;
  readonly lines: readonly Item[];
  /** Redis time as this node knows it, and how far off it may be. */
  readonly nowMs: number;
  readonly errorMs: number;
  readonly nextDueAt: number | null;
  /** True when no key of this buyer can have been answered before in this sale. */
  readonly buyerIsNew: boolean;
}

const PAUSED_RETRY_MS = 1_000;

/** Why the request is refused, or null: ask Redis. */
export function refuseLocally(input: RefusalInput): Failure | null {
  if (!input.synced || !input.buyerIsNew || !Number.isFinite(input.errorMs)) return null;
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
  return failure('sale_not_open', 'The sale has not opened yet.', {
    retryAfterMs: Math.max(1, Math.ceil(opensAt - nowMs)),
    details: { opensAt },
  });
}

function soldOut(sale: SaleView, { lines, nowMs, errorMs, nextDueAt }: RefusalInput): Failure | null {
  if (nextDueAt !== null && nowMs + errorMs >= nextDueAt) return null;
  for (const { sku, left } of sale.skus) {
    let wanted = 0;
    for (const line of lines) if (line.sku === sku) wanted += line.qty;
    if (wanted > left) return failure('sold_out', `Only ${left} of "${sku}" are left.`, { details: { sku, left } });
  }
  return null;
}
