/**
 * The judge of the fault runs, held against books and screens that are wrong: it must find each of
 * them.
 */
import t from 'tap';
import { createPrng } from '../../bench/generator/prng.ts';
import { type ReservationRecord, unpackReservation } from '../../src/redis/records.ts';
import { packReservation } from '../support/packed-reservation.ts';
import { KEY_PREFIX, startEngineUnderTest } from './engine-under-test.ts';
import { createFlashSaleShow, SALE, SKUS } from './flash-sale.ts';
import { judge } from './run-checker.ts';
import { gather } from './virtual-users.ts';

t.test('a clean run is clean, and every forgery is found', async (t) => {
  const house = await startEngineUnderTest({ gateways: 1 });
  t.teardown(house.stop);
  const staged = await createFlashSaleShow(house, 'forged', { units: 10, opensInMs: 800 });
  const crowd = await gather(house, staged, createPrng(3), { buyers: 16, watchers: 1, spreadMs: 100 });
  await crowd.rush();
  const clean = await judge(house, crowd, { unbroken: crowd.clients });
  t.same(clean.violations, []);

  const redis = house.redis.client();
  const key = (name: string): string => `${KEY_PREFIX}{${staged.show}}:${name}`;
  /**
   * One look for all of them: each takes a moment, because the judge waits for screens to come
   * right.
   */
  const finds = async (forgeries: Readonly<Record<string, RegExp>>): Promise<void> => {
    const { violations } = await judge(house, crowd, { unbroken: crowd.clients });
    for (const [text, pattern] of Object.entries(forgeries))
      t.ok(
        violations.some((violation) => pattern.test(violation)),
        text,
        { violations },
      );
  };
  const grants = crowd.buyers.flatMap(({ grants }) => grants);
  const [one, two] = grants.map(({ reservation }) => reservation.id);
  if (!one || !two) return t.fail('two holds are needed');
  const record = await redis.hgetBuffer(key('reservations'), one);
  if (!record) return t.fail('the books have the first hold');

  await redis.hdel(key('reservations'), one);
  await redis.zadd(key('waitlist'), 0, `${SALE}/${SKUS[0]}/0000000000000000/pusher`);
  await finds({
    'somebody in line who never joined': /^line: .*pusher/,
    'an accepted answer that is gone': /^lost accept: .* the books do not have it/,
    'by the program itself, too': /^stampede verify ended with 1/,
  });

  const { user, ...rest } = unpackReservation(record);
  const forged: ReservationRecord = { ...rest, user, lines: [{ sku: SKUS[0], qty: staged.units + 1 }] };
  await redis.hset(
    key('reservations'),
    one,
    packReservation(forged),
    'r-nobody',
    packReservation({ ...rest, id: 'r-nobody', user: 'nobody' }),
    two,
    packReservation({ ...rest, id: two, user: 'thief' }),
  );
  await finds({
    'a buyer over the limit': /^I2: .* has \d+ units/,
    'more units than there are': /^history: oversell/,
    'units that do not add up': /^I1: /,
    'a hold nobody was granted': /^unasked: /,
    'a hold that stands for somebody else': /^I4: /,
  });

  const { client } = crowd.buyers[0] ?? {};
  const seen = client?.events.at(-1);
  if (!client || !seen) return t.fail('somebody saw an event');
  client.events.push({ ...seen, at: seen.at + 1 });
  client.snapshots++;
  const [other] = crowd.watchers;
  const [place = ''] = [...(other?.heard.keys() ?? [])];
  other?.heard.set(place, 'something else');
  await redis.hincrby(key('show'), 'chat_last', 1);
  client.sales.get(SALE)?.left.set(SKUS[0], 99);
  await finds({
    'an event that differs from the log': /^I6: /,
    'a message that never came': /^chat: \d+ messages up to \d+ never came to a client/,
    'a message that others know by other words': /^chat: a client on .* elsewhere/,
    'a snapshot on a line that held': /^I7: .* snapshots in place of events/,
    'a screen that shows the wrong number': /^view: .* shows 99 left/,
  });
  await crowd.leave();
});
