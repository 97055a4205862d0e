/** Shows without viewers cost nothing: no Redis command names them, and no timer runs for them. */
// slow: measures real time
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../../src/limits.ts';
import { unwrap } from '../support/store-fixture.ts';
import { test, until } from './harness.ts';

const SHOWS = 20;
const QUIET_MS = 2_500;

const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

test('idle shows cost a report per node now and then; shows without viewers cost nothing', async (t, world) => {
  const shows: string[] = [];
  for (let i = 0; i < SHOWS; i += 1) {
    const { id } = unwrap(await world.store.createShow({ title: `Show ${i}`, guests: true }, 'test'));
    await world.store.startShow(id, 'test');
    shows.push(id);
  }
  const monitor = await world.redis.client().monitor();
  let commands: string[] = [];
  monitor.on('monitor', (_time, args: string[]) => {
    if (args.some((arg) => shows.some((show) => arg.includes(show)))) commands.push(args[0] ?? '');
  });
  const commandsOfQuietTime = async (): Promise<string[]> => {
    await sleep(LIMITS.countsTickMs * 1.5);
    commands = [];
    await sleep(QUIET_MS);
    return commands;
  };
  const timersBefore = timers();
  const viewers = await Promise.all(shows.map((show) => world.join({ show, token: null })));

  // Each node repeats its viewer count before it expires.
  const repeats = SHOWS * Math.ceil(QUIET_MS / (LIMITS.nodeCountsTtlMs / 3));
  const { length } = await commandsOfQuietTime();
  t.ok(length <= repeats * 4, `${length} commands for ${SHOWS} shows with an idle viewer each in ${QUIET_MS} ms`);

  await Promise.all(viewers.map((viewer) => viewer.close()));
  await until(async () => (await world.node.metric('connections')) === 0, 'all viewers have left');
  t.same(await commandsOfQuietTime(), [], 'the last command reported no viewers');
  // A room stays for a while, because viewers reload pages.
  t.ok(timers() - timersBefore <= SHOWS, `${timers() - timersBefore} timers for ${SHOWS} empty shows`);
  monitor.disconnect();
});

test('a connection has no timer', async (t, world) => {
  await world.join({ user: 'first' });
  await sleep(LIMITS.countsTickMs * 1.5);
  const before = timers();
  const viewers = await world.joinMany(50, (i) => ({ user: `u${i}` }));
  t.match(await viewers[0]?.request({ t: 'sync', at: 1 }), { t: 'ok' });
  await sleep(LIMITS.countsTickMs * 1.5);
  t.ok(timers() - before < 10, `${timers() - before} more timers with 50 more viewers`);
});
