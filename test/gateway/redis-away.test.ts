import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { isConsecutive } from './check-received.ts';
import { startWorld, test, until } from './harness.ts';

test('after a lost Redis connection, missed events and chat come from the log (E-5, M-5.1)', async (t, world) => {
  const ann = await world.join({ user: 'ann' });
  const bob = await world.join({ user: 'bob', node: await world.addNode() });
  const admin = world.redis.client();
  for (let round = 0; round < 5; round += 1) {
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await Promise.all([1, 2, 3].map((n) => world.store.announce(world.show, `round ${round}: ${n}`, 'test')));
    await bob.say(`chat ${round}`);
    await sleep(150);
  }
  await until(() => [ann, bob].every((c) => c.events().length === 15), 'all events on both nodes');
  for (const client of [ann, bob])
    t.ok(isConsecutive(client.events().map(({ offset }) => offset)), 'offsets without a gap or a repetition');
  await until(() => ann.chat().length === 5 && bob.chat().length === 5, 'all chat on both nodes');
  t.same(ann.chat(), bob.chat());
});

t.test('a Redis restart gives viewers a snapshot and a new epoch (E-4.1, E-4.2, R-7.1, R-7.2, R-7.4)', async (t) => {
  const world = await startWorld(t, { redis: { appendfsync: 'always' } });
  const ann = await world.connect({ user: 'ann' });
  const bob = await world.connect({ user: 'bob', encoding: 'msgpack' });
  const welcome = await ann.type('welcome');
  const sale = await world.openSale({ quantity: 3 });
  t.match(await ann.reserve(sale, 'before'), { t: 'ok' });
  const restarted = world.redis.crashAndRestart({ downMs: 600 });
  await until(() => world.store.trouble() !== null, 'the node detects it');
  t.match(await ann.say('hello?'), { t: 'error', code: 'redis_unavailable', retryAfterMs: Number });
  const during = ann.reserve(sale, 'during', 9_000);
  await restarted;
  t.ok(await during, 'a request during the outage gets its reply');
  // After a restart of Redis, sales are paused until their books are verified.
  await until(async () => (await ann.reserve(sale, 'during')).t === 'ok', 'repeating the key succeeds');
  const [a, b] = await Promise.all([ann, bob].map((client) => client.find((m) => m.t === 'frame' && !!m.snapshot)));
  t.not(a?.epoch, welcome.epoch, 'a new epoch');
  t.equal(a?.epoch, b?.epoch);
  await world.store.announce(world.show, 'we are back', 'test');
  t.equal((await bob.event('announcement')).epoch, b?.epoch);
  await until(async () => (await ann.say('hello again')).t === 'ok', 'chat works again');
  t.match(await ann.reserve(sale, 'before'), { t: 'ok', data: { replayed: true } });
  t.equal(ann.socket.readyState, ann.socket.OPEN);
  const books = await world.store.getSale(world.show, sale);
  t.match(books, { ok: true, value: { skus: [{ available: 1, held: 2 }] } });
});
