// slow: the socket server checks idle connections every 4 s
/** The idle timeout, shortened from 60 s to the shortest one that the socket server accepts. */
import { once } from 'node:events';
import t from 'tap';

const IDLE_TIMEOUT_SECONDS = 8;
const PING = Buffer.of(0x89, 0);

/** Loads the limits unfrozen, before any module that uses them, and shortens the timeout. */
async function shortenIdleTimeout(): Promise<void> {
  const { freeze } = Object;
  Object.freeze = <T>(value: T): T => value;
  const { LIMITS } = await import('../../src/limits.ts');
  Object.freeze = freeze;
  Object.assign(LIMITS, { idleTimeoutSeconds: IDLE_TIMEOUT_SECONDS });
}

t.test('idle connections are pinged, and closed if they stay silent (K-1.1)', async (t) => {
  await shortenIdleTimeout();
  const { startWorld } = await import('./harness.ts');
  const { rawUpgrade } = await import('./client.ts');
  const world = await startWorld(t);
  const viewer = await world.connect();
  const pinged = once(viewer.socket, 'ping');
  const { status, socket } = await rawUpgrade(world.node.port, { path: `/v1/shows/${world.show}` });
  t.teardown(() => socket.destroy());
  t.equal(status, 101);
  const received: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => received.push(bytes));
  const startedMs = performance.now();
  await once(socket, 'close');
  t.ok(performance.now() - startedMs < 2_000 * IDLE_TIMEOUT_SECONDS + 4_000);
  t.ok(Buffer.concat(received).includes(PING), 'it was pinged before');
  await pinged;
  t.match(await viewer.request({ t: 'sync', at: 1 }), { t: 'ok' }, 'a viewer that replies to pings stays');
});
