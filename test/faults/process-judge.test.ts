/** The judge of the fault runs, held against books and screens that are wrong: it must find each of them. */
import t from 'tap';
import { createPrng } from '../../bench/audience/prng.ts';
import { pack, type ReservationRecord, unpack } from '../../src/redis/records.ts';
import { gather } from './crowd.ts';
import { KEY_PREFIX, openHouse } from './house.ts';
import { SALE, SKUS, stageShow } from './stage-show.ts';
import { judge } from './verdict.ts';

t.test('a clean run is clean, and every forgery is found', async (t) => {
  const house = await openHouse({ gateways: 1 });
  t.teardown(house.stop);
  const staged = await stageShow(house, 'forged', { units: 10, opensInMs: 800 });
  const crowd = await gather(house, staged, createPrng(3), { buyers: 16, watchers: 1, spreadMs: 100 });
  await crowd.rush();
  const clean = await judge(house, crowd, { unbroken: crowd.clients });
  t.same(clean.violations, []);

  const redis = house.redis.client();
  const key = (name: string): string => `${KEY_PREFIX}{${staged.show}}:${name}`;
  const finds = async (pattern: RegExp, text: string): Promise<void> => {
    const { violations } = await judge(house, crowd, { unbroken: crowd.clients });
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
  await finds(/^lost accept: .* the books do not have it/, 'an accepted answer that is gone');
  await finds(/^stampede verify ended with 1/, 'by the program itself, too');
  const { key: of, user, ...rest } = unpack<ReservationRecord>(record);
  await redis.hset(key('reservations'), one, pack({ ...rest, key: of, user: 'somebody-else' }));
  await finds(/^I4: /, 'a hold that stands for somebody else');
  await redis.hset(key('reservations'), one, pack({ ...rest, key: of, user, lines: [[SKUS[0], 11]] }));
  await finds(/^I2: .* has \d+ units/, 'a buyer over the limit');
  await finds(/^history: oversell/, 'more units than there are');
  await redis.hset(key('reservations'), one, record);
  await redis.hset(key('reservations'), 'r-nobody', pack({ ...rest, id: 'r-nobody', key: 'x', user: 'nobody' }));
  await finds(/^unasked: /, 'a hold nobody was granted');
  await redis.hdel(key('reservations'), 'r-nobody');

  const { client } = crowd.buyers[0] ?? {};
  const seen = client?.events.at(-1);
  if (!client || !seen) return t.fail('somebody saw an event');
  client.events.push({ ...seen, at: seen.at + 1 });
  await finds(/^I6: /, 'an event that differs from the log');
  client.events.pop();
  client.snapshots++;
  await finds(/^I7: .* snapshots in place of events/, 'a snapshot on a line that held');
  client.snapshots--;
  const left = client.sales.get(SALE)?.left;
  left?.set(SKUS[0], 99);
  await finds(/^view: .* shows 99 left/, 'a screen that shows the wrong number');
  await crowd.leave();
});
