/** Slow viewers in a room of more than one broadcast group. */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Connection } from '../../src/gateway/connection.ts';
import { LIMITS } from '../../src/limits.ts';
import { checkReceived } from './check-received.ts';
import { rawUpgrade } from './client.ts';
import { FLOOD_MESSAGES, flood, hasFlood } from './flood.ts';
import { startWorld, until, type World } from './harness.ts';

/** A guest that discards what it reads, so that a full room costs the test little. */
async function connectIdle({ node, show }: World): Promise<Socket> {
  const headers = ['Sec-WebSocket-Protocol: stampede.v1.msgpack'];
  const { socket } = await rawUpgrade(node.port, { path: `/v1/shows/${show}`, headers });
  return socket.resume();
}

/** Calls `onCall` after each call of the method, until the end of the test. */
function watch(method: 'demote' | 'bufferedBytes', onCall: (connection: Connection, result: unknown) => void): void {
  const original = Connection.prototype[method];
  const watched = function (this: Connection): unknown {
    const result = original.call(this);
    onCall(this, result);
    return result;
  };
  Object.assign(Connection.prototype, { [method]: watched });
  t.teardown(() => Object.assign(Connection.prototype, { [method]: original }));
}

t.test('stalled viewers of each group lose chat, keep events and get the missed count (B-1.2, B-2.1)', async (t) => {
  // Users, because idle viewers in this process may be slow too on a busy machine.
  const demoted = new Set<string | null>();
  let maxBuffered = 0;
  watch('demote', ({ identity }) => demoted.add(identity.user));
  watch('bufferedBytes', (_, bytes) => {
    maxBuffered = Math.max(maxBuffered, Number(bytes));
  });
  const world = await startWorld(t);
  const join = (user: string) => world.join({ user, encoding: 'msgpack' });
  const [slowFirst, fastFirst] = [await join('slow-first'), await join('fast-first')];
  const idle = await Promise.all(Array.from({ length: LIMITS.publishViewersPerTurn - 2 }, () => connectIdle(world)));
  t.teardown(() => {
    for (const socket of idle) socket.destroy();
  });
  const slow = [slowFirst, await join('slow-second')];
  const fast = [fastFirst, await join('fast-second')];
  for (const { socket } of slow) socket.pause();

  let rounds = 0;
  for (; !(demoted.has('slow-first') && demoted.has('slow-second')); rounds += 1) {
    if (rounds > 400) throw new Error('a stalled viewer was not demoted');
    await flood(world, rounds);
    await sleep(20);
  }
  await flood(world, rounds++);
  await world.store.announce(world.show, 'to all', 'test');
  const total = rounds * FLOOD_MESSAGES;
  for (const client of fast) {
    await until(() => client.chat().length === total, 'fast viewers have all chat', 15_000);
    t.same(checkReceived(client.received).problems, [], 'in order, without a gap');
    t.equal(checkReceived(client.received).missed, 0);
    await client.find(({ events }) => events?.some(({ data }) => data['text'] === 'to all') ?? false);
  }
  t.notOk(demoted.has('fast-first') || demoted.has('fast-second'), 'viewers that read are not demoted');

  for (const { socket } of slow) socket.resume();
  for (const client of slow) {
    const restored = await client.find(({ missed }) => missed > 0, 10_000);
    t.match(restored.state, { sales: [], viewers: Number });
    const texts = client.events().map(({ data }) => data['text']);
    t.ok(texts.includes('to all'), 'demoted viewers get events');
    t.equal(client.chat().length + restored.missed, total, 'exactly');
  }
  await flood(world, rounds);
  for (const client of slow) {
    await until(() => hasFlood(client, rounds), 'chat continues', 8_000);
    t.same(checkReceived(client.received).problems, []);
  }
  t.ok(maxBuffered <= LIMITS.backpressureHardBytes * 1.25, `at most ${maxBuffered} bytes buffered for one viewer`);
  t.comment(`${rounds} rounds, at most ${maxBuffered} bytes buffered for one viewer`);
});
