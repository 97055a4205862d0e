import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startWorld, until } from './harness.ts';

t.test('E-5: a cut line to Redis leaves no gap: missed events and chat come from the log', async (t) => {
  const world = await startWorld(t);
  const ann = await world.connect({ user: 'ann' });
  await ann.type('welcome');
  const other = await world.addNode();
  const bob = await world.connect({ user: 'bob', node: other });
  await bob.type('welcome');
  const admin = world.redis.client();
  for (let round = 0; round < 5; round += 1) {
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await Promise.all(
      [1, 2, 3].map((n) => world.store.announce(world.show, `round ${round} announcement ${n}`, 'test')),
    );
    await bob.ask({ t: 'chat', text: `chat ${round}` });
    await sleep(150);
  }
  await until(() => [ann, bob].every((c) => c.events().length === 15), 'all events on both nodes');
  for (const client of [ann, bob]) {
    const offsets = client.events().map(({ offset }) => offset);
    t.same(
      offsets,
      offsets.map((_, i) => (offsets[0] ?? 0) + i),
      'numbered without a hole or a repetition',
    );
  }
  await until(() => ann.chat().length === 5 && bob.chat().length === 5, 'all chat on both nodes');
  t.same(ann.chat(), bob.chat());
});

t.test(
  'R-7: Redis killed and back in mid-show: coded answers, no socket lost, a snapshot under a new epoch, service goes on',
  async (t) => {
    const world = await startWorld(t, { redis: { appendfsync: 'always' } });
    const ann = await world.connect({ user: 'ann' });
    const bob = await world.connect({ user: 'bob', encoding: 'msgpack' });
    const welcome = await ann.type('welcome');
    const sale = await world.openSale({ quantity: 3 });
    t.match(await ann.ask({ t: 'reserve', key: 'before', sale, lines: [{ sku: 'shirt-m', qty: 1 }] }), { t: 'ok' });
    const restarted = world.redis.crashAndRestart({ downMs: 600 });
    await until(() => world.store.trouble() !== null, 'the node notices');
    t.match(await ann.ask({ t: 'chat', text: 'anyone?' }), {
      t: 'error',
      code: 'redis_unavailable',
      retryAfterMs: Number,
    });
    const during = ann.ask({ t: 'reserve', key: 'during', sale, lines: [{ sku: 'shirt-m', qty: 1 }] }, 9_000);
    await restarted;
    t.ok(await during, 'the request that came while Redis was away got its answer');
    // A show that another server process took over pauses its sales until the books are verified.
    await until(
      async () =>
        (await ann.ask({ t: 'reserve', key: 'during', sale, lines: [{ sku: 'shirt-m', qty: 1 }] }))['t'] === 'ok',
      'repeating the key succeeds',
    );
    const [a, b] = await Promise.all([
      ann.find((m) => m['snapshot'] && m['t'] === 'frame'),
      bob.find((m) => m['snapshot'] && m['t'] === 'frame'),
    ]);
    t.not(a?.['epoch'], welcome['epoch'], 'a new epoch');
    t.equal(a?.['epoch'], b?.['epoch']);
    await world.store.announce(world.show, 'we are back', 'test');
    const back = await bob.find((m) => m['events']?.some((e) => e.type === 'announcement'));
    t.equal(back['epoch'], b?.['epoch']);
    await until(async () => (await ann.ask({ t: 'chat', text: 'hello again' }))['t'] === 'ok', 'chat works again');
    t.match(await ann.ask({ t: 'reserve', key: 'before', sale, lines: [{ sku: 'shirt-m', qty: 1 }] }), {
      t: 'ok',
      data: { replayed: true },
    });
    t.equal(ann.socket.readyState, ann.socket.OPEN);
    const books = await world.store.getSale(world.show, sale);
    t.match(books, { ok: true, value: { skus: [{ available: 1, held: 2 }] } });
  },
);
