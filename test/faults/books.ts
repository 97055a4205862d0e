/** What a run left in Redis, read with a plain client. */
import type { Redis } from 'ioredis';
import { eventOf, unpackAll, unpackLedger, unpackReservation } from '../../src/redis/records.ts';
import { KEY_PREFIX, SHOW } from './engine-under-test.ts';

export type Books = Awaited<ReturnType<typeof readBooks>>;
type StreamEntries = Array<[id: Buffer, fields: Buffer[]]>;

export async function readBooks(client: Redis, show = SHOW) {
  const key = (name: string): string => `${KEY_PREFIX}{${show}}:${name}`;
  const [epoch, offset, chatLast] = await client.hmget(key('show'), 'epoch', 'offset', 'chat_last');
  const packed = (await client.hgetallBuffer(key('reservations'))) as Record<string, Buffer>;
  const log = (await client.xrangeBuffer(key('log'), '-', '+')) as StreamEntries;
  const ledger = (await client.xrangeBuffer(key('ledger'), '-', '+')) as StreamEntries;
  const events = log.map(([, fields]) => {
    const [at, moment, type, data] = unpackAll(fields[1] as Buffer);
    return eventOf(at, moment, type, data);
  });
  return {
    epoch: epoch ?? '',
    offset: Number(offset ?? 0),
    reservations: new Map(Object.entries(packed).map(([id, bytes]) => [id, unpackReservation(bytes)] as const)),
    events: new Map(events.map((event) => [event.offset, event] as const)),
    /** What each script wrote into the ledger. */
    ledger: ledger.map(([, fields]) => unpackLedger(fields[1] as Buffer)),
    /** Members of the waitlists. */
    waitlist: await client.zrange(key('waitlist'), '0', '-1'),
    /** Id of the last chat message. */
    chatLast: Number(chatLast ?? 0),
  };
}
