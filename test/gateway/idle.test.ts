/**
 * What nobody watches costs nothing: no command to Redis names the show, and no timer runs for it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { startWorld, until } from './harness.ts';

const SHOWS = 20;
const QUIET_MS = 2_500;

const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

t.test('shows that nobody watches any more, and idle ones', async (t) => {
  const world = await startWorld(t);
  const shows: string[] = [];
  for (let i = 0; i < SHOWS; i += 1) {
    const created = await world.store.createShow({ title: `Show ${i}`, guests: true }, 'test');
    if (!created.ok) throw new Error(created.error.message);
    await world.store.startShow(created.value.id, 'test');
    shows.push(created.value.id);
  }
  const monitor = await world.redis.client().monitor();
  let commands: string[] = [];
  monitor.on('monitor', (_time, args: string[]) => {
    if (args.some((arg) => shows.some((show) => arg.includes(show)))) commands.push(args[0] ?? '');
  });
  const timersBefore = timers();
  const viewers = await Promise.all(shows.map((show) => world.connect({ show, token: null })));
  await Promise.all(viewers.map((viewer) => viewer.type('welcome')));

  await sleep(LIMITS.countsTickMs * 1.5);
  commands = [];
  await sleep(QUIET_MS);
  // Each node repeats its count of a show before it lapses, and that is all.
  const repeats = SHOWS * Math.ceil(QUIET_MS / (LIMITS.nodeCountsTtlMs / 3));
  t.ok(
    commands.length <= repeats * 4,
    `${commands.length} commands for ${SHOWS} shows with one idle viewer each in ${QUIET_MS} ms`,
  );

  await Promise.all(viewers.map((viewer) => viewer.close()));
  await until(async () => (await world.node.metric('connections')) === 0, 'all gone');
  await sleep(LIMITS.countsTickMs * 1.5);
  commands = [];
  await sleep(QUIET_MS);
  t.same(commands, [], 'the last word was "nobody here"');
  // One a show remains: the room is kept a while, because people reload pages, and that ends by
  // itself.
  t.ok(timers() - timersBefore <= SHOWS, `${timers() - timersBefore} timers for ${SHOWS} empty shows`);
  monitor.disconnect();
});

t.test('no timer belongs to a connection', async (t) => {
  const world = await startWorld(t);
  await (await world.connect({ user: 'first' })).type('welcome');
  await sleep(LIMITS.countsTickMs * 1.5);
  const before = timers();
  const viewers = await Promise.all(Array.from({ length: 50 }, (_, i) => world.connect({ user: `u${i}` })));
  await Promise.all(viewers.map((viewer) => viewer.type('welcome')));
  t.match(await viewers[0]?.ask({ t: 'sync', at: 1 }), { t: 'ok' });
  await sleep(LIMITS.countsTickMs * 1.5);
  t.ok(timers() - before < 10, `${timers() - before} more timers with 50 more viewers`);
});
