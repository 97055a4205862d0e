/** Packs a reservation as the scripts do (`src/redis/lua/lib/fields.lua`). */
import { pack, type ReservationRecord } from '../../src/redis/records.ts';

export function packReservation({ offer, lines, ...record }: ReservationRecord): Buffer {
  const { user, id, state, sale, key, amount, currency, createdAt, heldUntil } = record;
  const { endedAt = 0, orderRef = '', firstUntil = 0 } = record;
  const items = lines.flatMap(({ sku, qty }) => [sku, qty]);
  const head = [user, id, state, offer ? 1 : 0, sale, items, key, amount, currency];
  return pack([...head, createdAt, heldUntil, endedAt, orderRef, firstUntil]);
}
