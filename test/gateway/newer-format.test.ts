import { LIMITS } from '../../src/limits.ts';
import { createKeys } from '../../src/redis/keys.ts';
import { unwrap } from '../support/store-fixture.ts';
import { test, until } from './harness.ts';

const BYE = { code: 4003, reason: 'format_newer', message: /newer release/, reconnectAfterMs: Number };

test('viewers of a show of a newer release are closed with 4003, others go on (I10, H-8.1)', async (t, world) => {
  const { store } = world;
  const client = world.redis.client();
  const [indexKey = ''] = await client.keys('*:shows');
  const header = createKeys(indexKey.slice(0, -'shows'.length)).show(world.show).of.show;
  unwrap(await store.createShow({ id: 'other', title: 'Other', guests: true }, 'test'));
  const other = await world.join({ show: 'other', token: world.token('eve', { show: 'other' }) });
  const viewers = [await world.join({ user: 'ann' }), await world.join({ user: 'bob', encoding: 'msgpack' })];

  await client.hset(header, 'format', LIMITS.showFormat + 1);
  t.match(await viewers[0]?.say('hello?'), { t: 'error', code: 'format_newer' });
  for (const viewer of viewers) {
    t.match(await viewer.type('bye', LIMITS.nodeCountsTtlMs), BYE);
    t.equal((await viewer.closed).code, 4003, 'viewers connect to another node');
  }
  const late = await world.connect({ user: 'late' });
  t.match(await late.type('bye'), BYE, 'it is refused before its room opens');
  t.equal((await other.say('still here')).t, 'ok', 'the other show goes on');

  await client.hset(header, 'format', LIMITS.showFormat);
  const isServed = async (): Promise<boolean> => {
    const again = await world.connect({ user: 'again' });
    return (await again.find((message) => message.t === 'welcome' || message.t === 'bye')).t === 'welcome';
  };
  await until(isServed, 'a show that this release knows again is served', 2 * LIMITS.unknownShowMs);
});
