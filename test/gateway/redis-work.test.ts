/** The Redis calls of a busy room grow with nodes and ticks, not with messages or viewers. */
import { LIMITS } from '../../src/limits.ts';
import type { Message } from './client.ts';
import { test, until } from './harness.ts';

const NODES = 2;
const WRITERS = 50;
/** Below the burst of a connection. */
const MESSAGES_EACH = 4;

/** A script reads the clock and the show, and writes. It does not loop over messages or viewers. */
const COMMANDS_PER_SCRIPT_MAX = 10;

/** Returns the calls of each command, those of scripts included. */
function callsOf(stats: string): Map<string, number> {
  const matches = stats.matchAll(/cmdstat_([a-z|]+):calls=(\d+)/g);
  return new Map(Array.from(matches, ([, name = '', calls]) => [name, Number(calls)]));
}

test('a burst of chat costs one script per node and tick', async (t, world) => {
  const second = await world.addNode();
  const writers = await world.joinMany(WRITERS, (i) => ({ user: `w${i}`, node: i % NODES ? second : world.node }));
  const hasCount = ({ state }: Message): boolean => state?.viewers === WRITERS;
  await until(() => writers.every(({ received }) => received.some(hasCount)), 'viewer counts have arrived');
  const admin = world.redis.client();
  await admin.config('RESETSTAT');
  const startedMs = performance.now();
  for (let n = 0; n < MESSAGES_EACH; n += 1) await Promise.all(writers.map((writer) => writer.say(`message ${n}`)));
  const ticks = Math.ceil((performance.now() - startedMs) / LIMITS.tickMinMs) + 1;
  const calls = callsOf(await admin.info('commandstats'));
  const own = (calls.get('info') ?? 0) + (calls.get('config|resetstat') ?? 0);
  const scripts = calls.get('fcall') ?? 0;
  const total = [...calls.values()].reduce((sum, count) => sum + count, 0) - own;
  const messages = WRITERS * MESSAGES_EACH;
  await until(() => writers.every((writer) => writer.chat().length === messages), 'all viewers have all messages');
  // A node also reports its viewers, at most once a second.
  const most = NODES * (ticks + 1 + Math.ceil((ticks * LIMITS.tickMinMs) / LIMITS.countsTickMs));
  t.ok(scripts <= most, `${scripts} scripts for ${messages} messages in ${ticks} ticks; at most ${most}`);
  t.ok(scripts < messages / 2, 'fewer than half the messages');
  t.ok(total <= scripts * COMMANDS_PER_SCRIPT_MAX, `${total} commands in all`);
  t.comment(`${messages} messages, ${WRITERS} viewers, ${ticks} ticks: ${scripts} scripts, ${total} commands`);
});
