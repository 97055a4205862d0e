/** What a hot room costs Redis: nodes times ticks, whoever writes and however many watch. */
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { type Client, startWorld, until } from './harness.ts';

const NODES = 2;
const WRITERS = 50;
/** Below the burst that a connection is allowed. */
const MESSAGES_EACH = 4;

/** Calls a command, from `INFO commandstats`; what scripts call is counted like anything else. */
function callsOf(stats: string): Map<string, number> {
  return new Map(
    [...stats.matchAll(/cmdstat_([a-z|]+):calls=(\d+)/g)].map(([, name = '', calls]) => [name, Number(calls)]),
  );
}

t.test('a burst of chat costs Redis one script a node and tick, not one a message or viewer', async (t) => {
  const world = await startWorld(t);
  const second = await world.addNode();
  const writers: Client[] = await Promise.all(
    Array.from({ length: WRITERS }, (_, i) => world.connect({ user: `w${i}`, node: i % NODES ? second : world.node })),
  );
  await Promise.all(writers.map((writer) => writer.type('welcome')));
  await until(
    () => writers.every((writer) => writer.received.some(({ state }) => state?.viewers === WRITERS)),
    'counts have settled',
  );
  const admin = world.redis.client();
  const burst = async (): Promise<{ scripts: number; total: number; ticks: number }> => {
    await admin.config('RESETSTAT');
    const startedMs = performance.now();
    for (let n = 0; n < MESSAGES_EACH; n += 1)
      await Promise.all(writers.map((writer) => writer.ask({ t: 'chat', text: `message ${n}` })));
    const ticks = Math.ceil((performance.now() - startedMs) / LIMITS.tickMinMs) + 1;
    const calls = callsOf(await admin.info('commandstats'));
    const own = (calls.get('info') ?? 0) + (calls.get('config|resetstat') ?? 0);
    return {
      scripts: calls.get('fcall') ?? 0,
      total: [...calls.values()].reduce((sum, count) => sum + count, 0) - own,
      ticks,
    };
  };
  const messages = WRITERS * MESSAGES_EACH;
  const { scripts, total, ticks } = await burst();
  await until(() => writers.every((writer) => writer.chat().length === messages), 'everybody heard everything');
  // Besides chat, a node reports its viewers once a second at the most.
  const most = NODES * (ticks + 1 + Math.ceil((ticks * LIMITS.tickMinMs) / LIMITS.countsTickMs));
  t.ok(scripts <= most, `${scripts} scripts for ${messages} messages in ${ticks} ticks; at most ${most}`);
  t.ok(scripts < messages / 2, 'far fewer than messages');
  t.ok(total <= scripts * COMMANDS_A_SCRIPT_MAX, `${total} commands in all`);
  t.comment(
    `${messages} messages to ${WRITERS} viewers on ${NODES} nodes, ${ticks} ticks: ${scripts} scripts, ${total} commands`,
  );
});

/**
 * A script reads the clock, the show, and writes what it has to; none loops over messages or
 * viewers.
 */
const COMMANDS_A_SCRIPT_MAX = 10;
