/**
 * How large the head of a request may be, and how long it may take. The time is built into the
 * socket server, so this test takes that long too.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import t from 'tap';
// First of ours, as in the program: the socket server takes its limit from the environment when it
// is loaded.
import '../../src/config/environment.ts';
import { LIMITS } from '../../src/limits.ts';
import { startWorld } from './harness.ts';
import { rawUpgrade } from './raw-upgrade.ts';

/**
 * The socket server's clock ticks every 4 seconds; the rest is for a machine with other things to
 * do.
 */
const GRACE_MS = 8_000;

t.test('who sends nothing, or a request head byte by byte, is cut', { timeout: 40_000 }, async (t) => {
  const world = await startWorld(t);
  const { port } = world.node;
  const viewer = await world.connect();
  await viewer.type('welcome');
  const startedMs = performance.now();
  const cutAfter = async (kind: 'silent' | 'slow'): Promise<number> => {
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
  const cuts = await Promise.all([cutAfter('silent'), cutAfter('slow')]);
  for (const ms of cuts)
    t.ok(ms < LIMITS.requestHeadTimeoutSeconds * 1000 + GRACE_MS, `cut after ${Math.round(ms)} ms`);
  t.match(await viewer.ask({ t: 'sync', at: 1 }), { t: 'ok' }, 'a viewer who joined stays');
});

t.test('the longest token fits beside cookies; a head beyond the limit is refused and holds nothing', async (t) => {
  const world = await startWorld(t);
  const path = `/v1/shows/${world.show}`;
  const cookies = `Cookie: ${'c'.repeat(LIMITS.requestHeadBytesMax / 2 - 500)}`;
  const token = world.token('ann', { name: 'A' });
  const longest = 'x'.repeat(LIMITS.handshakeTokenBytesMax);
  const ask = async (...headers: string[]): Promise<number> => {
    const { status, socket } = await rawUpgrade(world.node.port, { path, headers });
    t.teardown(() => socket.destroy());
    return status;
  };
  t.equal(await ask(`Sec-WebSocket-Protocol: stampede.v1.json, token.${token}`, cookies), 101);
  t.equal(
    await ask(`Sec-WebSocket-Protocol: stampede.v1.json, token.${longest}`, cookies),
    401,
    'read, and found to be no token',
  );
  t.equal(await ask(`X-Much: ${'m'.repeat(LIMITS.requestHeadBytesMax)}`), 431);
});
