import { times } from '../support/store-fixture.ts';
import { test, until } from './harness.ts';

/** Loading, the log, lookups (ten per second) and reports, each with a few commands. */
const COMMANDS_MAX = 100;

test('a storm onto a fresh node costs as many Redis commands for 60 as for 600 viewers (I9, R-2.1)', async (t, world) => {
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
    const back = await world.joinMany(viewers, (i) => ({ user: `u${i}`, node, query }));
    const commands = (await redis.commandsRun()) - before;
    t.ok(commands <= COMMANDS_MAX, `${viewers} viewers: ${commands} commands`);
    t.ok(
      back.every(({ received }) => received[0]?.resumed),
      'all resume',
    );
    await until(() => back.every((each) => each.chat().length === 190), 'they get the chat that they missed');
    t.ok(back.every((each) => each.missed() === 0 && each.events()[0]?.type === 'announcement'));
    t.match(
      back.map(({ received }) => received[0]?.you.reservations.length),
      [1, 0, 0],
      'and what they hold',
    );
  }
});
