/** The idle timeout of the socket server, shortened from 60 s to the 8 s that it accepts at least. */
import { once } from 'node:events';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { logger, type Node, startWorld } from '../gateway/harness.ts';
import { rawUpgrade } from '../gateway/raw-upgrade.ts';

const IDLE_TIMEOUT_SECONDS = 8;
const PING = Buffer.of(0x89, 0);

t.test('idle connections are pinged, and closed if they stay silent (K-1.1)', { timeout: 60_000 }, async (t) => {
  const limits = { LIMITS: { ...LIMITS, idleTimeoutSeconds: IDLE_TIMEOUT_SECONDS } };
  const { createGateway } = await t.mockImport<typeof import('../../src/gateway/index.ts')>(
    '../../src/gateway/index.ts',
    { '../../src/limits.ts': limits },
  );
  const world = await startWorld(t);
  const { store } = world;
  const tokens = {
    verify: () => ({ ok: false as const, error: { code: 'unauthenticated' as const, message: 'never' } }),
  };
  const options = { host: '127.0.0.1', port: 0, exclusive: true, node: 'idle', allowedOrigins: null };
  const gateway = createGateway({ store, log: store, tokens, logger, options });
  const { port } = await gateway.listen();
  t.teardown(() => gateway.drain({ timeoutMs: 500 }));
  const node: Node = { gateway, store, port, url: `ws://127.0.0.1:${port}` };

  const viewer = await world.connect({ node, token: null });
  const pinged = once(viewer.socket, 'ping');
  const { socket } = await rawUpgrade(port, { path: `/v1/shows/${world.show}` });
  t.teardown(() => socket.destroy());
  const received: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => received.push(bytes));
  const startedMs = performance.now();
  await once(socket, 'close');
  t.ok(performance.now() - startedMs < 2_000 * IDLE_TIMEOUT_SECONDS + 4_000);
  t.ok(Buffer.concat(received).includes(PING), 'it was pinged before');
  await pinged;
  t.match(await viewer.ask({ t: 'sync', at: 1 }), { t: 'ok' }, 'the viewer that replies to pings stays');
});
