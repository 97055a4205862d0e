/** An engine in the process of the test: Redis, gateway, control API, and a client of that API. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { WebSocket } from 'ws';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { BackOffice } from '../../bench/users/back-office.ts';
import { createErasures } from '../../src/archive/index.ts';
import { createApiKeys } from '../../src/auth/api-keys.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import { type ClientOptions, connect, type StampedeClient } from '../../src/client/index.ts';
import { createControl } from '../../src/control/index.ts';
import { createGateway } from '../../src/gateway/index.ts';
import type { Role } from '../../src/protocol/messages.ts';
import { connectStore } from '../../src/redis/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { archivesOf, temporaryFolder } from './archives.ts';

export const SHOW = 'market';
export const PRODUCTS = [
  { id: 'tee', brand: 'nord', title: 'Plain Tee', skus: ['M', 'L'].map((title) => ({ sku: `TEE-${title}`, title })) },
  { id: 'cap', brand: 'sol', title: 'Sun Cap', skus: [{ sku: 'CAP', title: 'One size' }] },
];
const API_KEY = 'a-key-for-the-tests-only';

interface LiveEngineOptions {
  /** The folder of compiled page modules, to serve the viewer page. */
  readonly scripts?: string;
  /** Pages reach the gateway through `network`, which a test can cut. */
  readonly proxied?: boolean;
  /** Whose pages may show ours in a frame. */
  readonly frameAncestors?: readonly string[];
  /** May the page make a token for any name? Default: true. */
  readonly demoTokens?: boolean;
}

export async function startLiveEngine(t: Test, options: LiveEngineOptions = {}) {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const logger = createLogger({ level: 'silent', node: 'test' });
  const store = await connectStore({ redis: redis.target, keyPrefix: 'sdk:', logger });
  t.teardown(() => store.close());
  const tokens = createTokens({ secret: 'a secret of the tests, 32 bytes and more', nowMs: () => store.now() });
  const gateway = createGateway({
    store,
    log: store,
    tokens,
    logger,
    metrics: createMetrics({ processMetrics: false }),
    options: { host: '127.0.0.1', port: 0, exclusive: true, node: 'test', allowedOrigins: null },
  });
  const { port } = await gateway.listen();
  t.teardown(() => gateway.drain({ timeoutMs: 500 }));
  const network = options.proxied === true ? await TcpProxy.to({ port }) : null;
  if (network !== null) t.teardown(() => network.close());
  const web =
    options.scripts === undefined ? null : { pages: join(options.scripts, 'web/public'), scripts: options.scripts };
  const folder = temporaryFolder(t);
  const control = await createControl({
    store,
    archives: archivesOf(store, folder),
    erasures: createErasures({ store, folder, logger }),
    tokens,
    apiKeys: createApiKeys({ host: API_KEY }),
    logger,
    options: {
      ...{ version: 'test', node: 'test', publicGatewayUrl: null, gatewayPort: network?.port ?? port },
      ...{ web, demoTokens: options.demoTokens ?? true, frameAncestors: options.frameAncestors },
    },
  });
  const controlUrl = await control.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => control.close());

  const office = new BackOffice(controlUrl, API_KEY);
  const gatewayUrl = `ws://127.0.0.1:${port}`;
  const brands = ['Nord', 'Sol'].map((name) => ({ id: name.toLowerCase(), name }));
  await office.createShow({ id: SHOW, title: 'Evening Market', guests: true, brands });
  for (const product of PRODUCTS) await office.putProduct(SHOW, product);
  await office.startShow(SHOW);

  /** A request of the host about the show, for what `office` does not have. */
  const host = async <T = unknown>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${controlUrl}/v1/shows/${SHOW}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${API_KEY}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === '' ? null : JSON.parse(text)) as T;
  };
  const token = (user: string, role: Role = 'buyer', name = user) => office.mintToken(SHOW, user, name, role);
  /** Connects a client and waits for its welcome. The teardown closes it. */
  const joinAs = async (user: string, more: Partial<ClientOptions> = {}): Promise<StampedeClient> => {
    const client = connect({ url: gatewayUrl, show: SHOW, token: await token(user), WebSocket, ...more });
    t.teardown(() => client.close());
    await new Promise((resolve) => client.once('welcome', resolve));
    return client;
  };
  return { redis, store, office, host, tokens, network, gatewayUrl, controlUrl, gateway, token, join: joinAs };
}
