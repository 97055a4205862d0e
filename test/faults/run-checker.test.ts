/** The checker of the fault runs finds each violation in forged books and views. */
import t from 'tap';
import { createPrng } from '../../bench/generator/prng.ts';
import { type ReservationRecord, unpackReservation } from '../../src/redis/records.ts';
import { packReservation } from '../support/packed-reservation.ts';
import { KEY_PREFIX, SHOW, startEngineUnderTest } from './engine-under-test.ts';
import { createFlashSaleShow, SALE, SKUS } from './flash-sale.ts';
import { checkRun } from './run-checker.ts';
import { joinUsers } from './virtual-users.ts';

t.test('a correct run has no violation, and every forgery is found', async (t) => {
  const engine = await startEngineUnderTest({ gateways: 1 });
  t.teardown(engine.stop);
  const staged = await createFlashSaleShow(engine, { units: 10, opensInMs: 800 });
  const users = await joinUsers(engine, staged, createPrng(3), { buyers: 16, viewers: 1, spreadMs: 100 });
  await users.rush();
  const clean = await checkRun(engine, users, { unbroken: users.clients });
  t.same(clean.violations, []);

  const redis = engine.redis.admin;
  const key = (name: string): string => `${KEY_PREFIX}{${SHOW}}:${name}`;
  /** One check for several forgeries, because each waits for the views to become right. */
  const finds = async (forgeries: Readonly<Record<string, RegExp>>): Promise<void> => {
    const { violations } = await checkRun(engine, users, { unbroken: users.clients });
    for (const [text, pattern] of Object.entries(forgeries)) t.match(violations.join('\n'), pattern, text);
  };
  const grants = users.buyers.flatMap(({ grants }) => grants);
  const [one, two] = grants.map(({ reservation }) => reservation.id);
  if (!one || !two) return t.fail('two holds are needed');
  const record = await redis.hgetBuffer(key('reservations'), one);
  if (!record) return t.fail('the books have the first hold');

  await redis.hdel(key('reservations'), one);
  await redis.zadd(key('waitlist'), 0, `${SALE}/${SKUS[0]}/0000000000000000/pusher`);
  await finds({
    'a waitlist entry without a join': /^waitlist: .*pusher/m,
    'an accepted reserve that is gone': /^lost accept: .* the books do not have it/m,
    'the program itself finds it too': /^stampede verify ended with 1/m,
  });

  const { user, ...rest } = unpackReservation(record);
  const forged: ReservationRecord = { ...rest, user, lines: [{ sku: SKUS[0], qty: staged.units + 1 }] };
  await redis.hset(key('reservations'), {
    [one]: packReservation(forged),
    'r-stranger': packReservation({ ...rest, id: 'r-stranger', user: 'stranger' }),
    [two]: packReservation({ ...rest, id: two, user: 'thief' }),
  });
  await finds({
    'a buyer over the limit': /^I2: .* has \d+ units/m,
    'more units than there are': /^history: oversell/m,
    'units that do not add up': /^I1: /m,
    'a hold that was granted to no buyer': /^unasked: /m,
    'a hold of another buyer': /^I4: /m,
  });

  const { client } = users.buyers[0] ?? {};
  const seen = client?.events.at(-1);
  if (!client || !seen) return t.fail('a buyer received an event');
  client.events.push({ ...seen, at: seen.at + 1 });
  client.snapshots++;
  const [other] = users.viewers;
  const [place = ''] = [...(other?.heard.keys() ?? [])];
  other?.heard.set(place, 'something else');
  await redis.hincrby(key('show'), 'chat_last', 1);
  client.sales.get(SALE)?.left.set(SKUS[0], 99);
  await finds({
    'an event that differs from the log': /^I6: /m,
    'a message that never came': /^chat: \d+ messages up to \d+ never came to a client/m,
    'a message with another text elsewhere': /^chat: a client on .* elsewhere/m,
    'a snapshot on an unbroken connection': /^I7: .* snapshots in place of events/m,
    'a view with the wrong number': /^view: .* shows 99 left/m,
  });
  await users.leave();
});
