import { times } from '../support/store-fixture.ts';
import { test, until } from './harness.ts';

/** Loading and the log; lookups and reports, ten and one per second, have a few commands each. */
const COMMANDS_MAX = 60;
const COMMANDS_PER_SECOND_MAX = 40;
const WITHIN_MS = 30_000;

test('a storm onto a fresh node costs Redis as much for 60 as for 600 viewers (I9, R-2.1)', async (t, world) => {
  const { redis, store, show } = world;
  const early = await world.join({ user: 'u0' });
  const sale = await world.openSale({ quantity: 20 });
  t.equal((await early.reserve(sale, 'first')).t, 'ok');
  const writers = await world.joinMany(40, (i) => ({ user: `w${i}` }));
  await Promise.all(writers.flatMap((each, i) => times(5, (n) => each.say(`${i}/${n}`))));
  await until(() => early.chat().length === 200, 'all chat has arrived');
  const { epoch, offset } = (await world.join({ user: 'w0' })).received[0] ?? { epoch: '', offset: 0 };
  const [chat] = early.chat()[9] ?? [0];
  await store.announce(show, 'one event', 'test');
  for (const viewers of [60, 600]) {
    const node = await world.addNode();
    const before = await redis.commandsRun();
    const query = `?epoch=${epoch}&offset=${offset}&chat=${chat}`;
    const startMs = performance.now();
    const back = await Promise.all(times(viewers, (i) => world.connect({ user: `u${i}`, node, query })));
    await Promise.all(back.map((each) => each.type('welcome', WITHIN_MS)));
    const commands = (await redis.commandsRun()) - before;
    const mayCost = COMMANDS_MAX + ((performance.now() - startMs) * COMMANDS_PER_SECOND_MAX) / 1000;
    t.ok(commands <= mayCost, `${viewers} viewers: ${commands} commands`);
    t.ok(
      back.every(({ received }) => received[0]?.resumed),
      'all resume',
    );
    await until(
      () => back.every((each) => each.chat().length === 190),
      'they get the chat that they missed',
      WITHIN_MS,
    );
    t.ok(back.every((each) => each.missed() === 0 && each.events()[0]?.type === 'announcement'));
    t.match(
      back.map(({ received }) => received[0]?.you.reservations.length),
      [1, 0, 0],
      'and what they hold',
    );
  }
});
