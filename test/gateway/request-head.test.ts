/** Limits on the size and duration of a request head. uWebSockets.js determines the duration. */
// slow: waits for timeouts of uWebSockets.js
import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
// First, as in the program: uWebSockets.js reads its limit from the environment when it is loaded.
import '../../src/config/environment.ts';
import { LIMITS } from '../../src/limits.ts';
import { rawUpgrade } from './client.ts';
import { startWorld, test } from './harness.ts';

/** uWebSockets.js checks every 4 seconds; the rest is for a busy machine. */
const GRACE_MS = 8_000;

t.test('without a complete request head, a connection is closed (H-3.5)', { timeout: 40_000 }, async (t) => {
  const world = await startWorld(t);
  const { port } = world.node;
  const viewer = await world.join();
  const startedMs = performance.now();
  const closedAfterMs = async (kind: 'silent' | 'slow'): Promise<number> => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    await once(socket, 'connect');
    if (kind !== 'silent') socket.write(`GET /v1/shows/${world.show} HTTP/1.1\r\nHost: x\r\nX-Slow: `);
    const drip = kind === 'slow' ? setInterval(() => socket.write('a'), 100) : undefined;
    await once(socket, 'close');
    clearInterval(drip);
    return performance.now() - startedMs;
  };
  const times = await Promise.all([closedAfterMs('silent'), closedAfterMs('slow')]);
  for (const ms of times)
    t.ok(ms < LIMITS.requestHeadTimeoutSeconds * 1000 + GRACE_MS, `closed after ${Math.round(ms)} ms`);
  t.match(await viewer.request({ t: 'sync', at: 1 }), { t: 'ok' }, 'viewers stay connected');
});

test('the longest token fits beside cookies; a larger request head is refused (H-3.4)', async (t, world) => {
  const path = `/v1/shows/${world.show}`;
  const cookies = `Cookie: ${'c'.repeat(LIMITS.requestHeadBytesMax / 2 - 500)}`;
  const token = world.token('ann', { name: 'A' });
  const longest = 'x'.repeat(LIMITS.handshakeTokenBytesMax);
  const upgrade = async (...headers: string[]): Promise<number> => {
    const { status, socket } = await rawUpgrade(world.node.port, { path, headers });
    t.teardown(() => socket.destroy());
    return status;
  };
  t.equal(await upgrade(`Sec-WebSocket-Protocol: stampede.v1.json, token.${token}`, cookies), 101);
  const withLongest = upgrade(`Sec-WebSocket-Protocol: token.${longest}`, cookies);
  t.equal(await withLongest, 401, 'checked as a token');
  t.equal(await upgrade(`X-Much: ${'m'.repeat(LIMITS.requestHeadBytesMax)}`), 431);
});
