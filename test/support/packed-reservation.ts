/** Packs a reservation as the scripts do (`src/redis/lua/lib/fields.lua`). */
import { pack, type ReservationRecord } from '../../src/redis/records.ts';

export function packReservation(record: ReservationRecord): Buffer {
  const {
    user,
    id,
    state,
    offer,
    sale,
    lines,
    amount,
    currency,
    createdAt,
    heldUntil,
    key,
    endedAt = 0,
    orderRef = '',
    firstUntil = 0,
  } = record;
  return pack([
    user,
    id,
    state,
    offer ? 1 : 0,
    sale,
    lines.flatMap(({ sku, qty }) => [sku, qty]),
    key,
    amount,
    currency,
    createdAt,
    heldUntil,
    endedAt,
    orderRef,
    firstUntil,
  ]);
}
