/** `waitlist`: joins or leaves the waitlist of a sold-out SKU. */
import { ok } from '../../protocol/codes.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import type { Connection, HandlerContext, Reply } from './context.ts';
import { DRAINING, mayBuy, NOT_A_BUYER } from './reserve.ts';

export async function onWaitlist(
  connection: Connection,
  { key, op, sale, sku, qty }: Extract<ClientMessage, { t: 'waitlist' }>,
  context: HandlerContext,
): Promise<Reply> {
  const { member, room } = connection;
  if (member === null || !mayBuy(connection)) return NOT_A_BUYER;
  if (context.draining()) return DRAINING;
  const request = { op, key, sale, sku, ...(op === 'join' ? { qty: qty ?? 1 } : {}) };
  const result = await room.sales.waitlist(member, request);
  if (!result.ok) return result;
  const { place, waiting, replayed } = result.value;
  return ok({ place, waiting, ...(replayed ? { replayed } : {}) });
}
