/** Gateway nodes over a real Redis, and a live show with a product. */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createSigner } from 'fast-jwt';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { type RedisServer, startRedis } from '../../bench/launch/redis-server.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { createGateway, type Gateway, type GatewayDeps, type GatewayOptions } from '../../src/gateway/index.ts';
import type { Role } from '../../src/protocol/messages.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts';
import { times, unwrap } from '../support/store-fixture.ts';
import { Client, type Encoding } from './client.ts';

export { until } from '../support/until.ts';

export const SECRET = 'a secret of the tests, long enough for HS256';
export const logger = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

export interface Node {
  readonly gateway: Gateway;
  readonly store: ConnectedStore;
  readonly url: string;
  readonly port: number;
  readonly metrics: Metrics;
  /** Sums a metric (without the prefix `stampede_`) over the samples with this label value. */
  metric(name: string, label?: string): Promise<number>;
}

export interface Engine {
  readonly store: ConnectedStore;
  readonly node: Node;
  readonly show: string;
  /** `redisUrl`: another route to the same Redis. */
  addNode(options?: Partial<GatewayOptions>, redisUrl?: string): Promise<Node>;
  token(user: string, more?: { role?: Role; show?: string; name?: string; ttlSeconds?: number }): string;
  connect(options?: ConnectOptions): Promise<Client>;
  /** Connects and waits for the welcome. */
  join(options?: ConnectOptions): Promise<Client>;
  joinMany(count: number, options: (index: number) => ConnectOptions): Promise<Client[]>;
  openSale(spec?: Partial<Record<'quantity' | 'perBuyer' | 'opensInMs' | 'holdMs', number>>): Promise<string>;
}

export interface World extends Engine {
  readonly redis: RedisServer;
}

export interface EngineOptions {
  readonly gateway?: Partial<GatewayOptions>;
  readonly guests?: boolean;
  /** Tokens are signed by an identity provider (EdDSA) instead of the engine's secret. */
  readonly publicKeyTokens?: boolean;
  /** The show's id; it determines the cluster slot. */
  readonly show?: string;
}

export interface ConnectOptions {
  node?: Pick<Node, 'url'>;
  user?: string;
  role?: Role;
  show?: string;
  /** null: no token. */
  token?: string | null;
  encoding?: Encoding;
  /** Offered besides the token. Default: the subprotocol of `encoding`. */
  protocols?: string[];
  query?: string;
}

/** Options of a gateway on a free port. */
const DEFAULTS = { host: '127.0.0.1', port: 0, exclusive: true, node: 'test', allowedOrigins: null };
export const optionsOf = (more: Partial<GatewayOptions> = {}): GatewayOptions => ({ ...DEFAULTS, ...more });

/** Dependencies of a gateway that verifies no token. */
export const gatewayDeps = ({ store }: Engine): Omit<GatewayDeps, 'options'> => ({
  store,
  log: store,
  tokens: { verify: () => ({ ok: false, error: { code: 'unauthenticated', message: '' } }), pass: () => null },
  logger,
  metrics: createMetrics({ processMetrics: false }),
});

type WorldOptions = EngineOptions & { redis?: Parameters<typeof startRedis>[0] };

export async function startWorld(t: Test, options: WorldOptions = {}): Promise<World> {
  const redis = await startRedis(options.redis);
  t.teardown(() => redis.stop());
  return { ...(await startEngine(t, redis.url, options)), redis };
}

/** Runs a test with a new world. */
export const test = (name: string, run: (t: Test, world: World) => Promise<void>) =>
  t.test(name, async (t) => run(t, await startWorld(t)));

/** Starts one node and a show on the Redis or cluster at `url`. */
export async function startEngine(t: Test, url: string, options: EngineOptions = {}): Promise<Engine> {
  const keyPrefix = `t${randomUUID().slice(0, 8)}:`;
  const provider = options.publicKeyTokens ? generateKeyPairSync('ed25519') : null;
  const publicKeys = provider ? [provider.publicKey.export({ type: 'spki', format: 'pem' }) as string] : [];
  const clients: Client[] = [];
  const nodes: Node[] = [];
  t.teardown(async () => {
    for (const client of clients) client.terminate();
    await Promise.all(nodes.map(({ gateway }) => gateway.drain({ timeoutMs: 1_000 })));
    await Promise.all(nodes.map((each) => each.store.close()));
  });
  const addNode: Engine['addNode'] = async (more = {}, redisUrl = url) => {
    const store = await connectStore({ redis: redisTarget(redisUrl), keyPrefix, logger });
    const tokens = createTokens({ secret: SECRET, publicKeys, nowMs: () => store.now() });
    const metrics = createMetrics({ processMetrics: false });
    const gatewayOptions = optionsOf({ node: `n${nodes.length + 1}`, ...more });
    const gateway = createGateway({ store, log: store, tokens, logger, metrics, options: gatewayOptions });
    const { port } = await gateway.listen();
    const metric: Node['metric'] = (name, label) => sumOf(metrics, name, label);
    const node: Node = { gateway, store, port, metrics, metric, url: `ws://127.0.0.1:${port}` };
    nodes.push(node);
    return node;
  };
  const node = await addNode(options.gateway);
  const { store } = node;
  const show = await startShow(store, options);
  const token: Engine['token'] = (user, { ttlSeconds = 3600, ...more } = {}) => {
    const claims = { show, name: `Name of ${user}`, role: 'buyer', ...more } as const;
    if (provider === null)
      return createTokens({ secret: SECRET, nowMs: () => store.now() }).mint({ ...claims, user }, ttlSeconds);
    const key = provider.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    return createSigner({ key })({ ...claims, sub: user, exp: Math.ceil(store.now() / 1000) + ttlSeconds });
  };
  const connect: Engine['connect'] = async (connectOptions = {}) => {
    const { node: at = node, user = 'ann', role = 'buyer', encoding = 'json', query = '' } = connectOptions;
    const jwt = connectOptions.token === undefined ? token(user, { role }) : connectOptions.token;
    const protocols = connectOptions.protocols ?? [`stampede.v1.${encoding}`];
    const url = `${at.url}/v1/shows/${connectOptions.show ?? show}${query}`;
    const client = new Client(url, jwt === null ? protocols : [...protocols, `token.${jwt}`], encoding);
    clients.push(client);
    await client.opened;
    return client;
  };
  const join: Engine['join'] = async (connectOptions) => {
    const client = await connect(connectOptions);
    await client.type('welcome');
    return client;
  };
  const joinMany: Engine['joinMany'] = (count, options) => Promise.all(times(count, (i) => join(options(i))));
  const openSale: Engine['openSale'] = async ({ quantity = 5, perBuyer = 2, opensInMs, holdMs = 60_000 } = {}) => {
    const id = `sale-${randomUUID().slice(0, 8)}`;
    const skus = [{ sku: 'shirt-m', product: 'shirt', price: 1999, quantity }];
    const sale = { id, title: 'Flash', currency: 'EUR', perBuyer, holdMs, skus };
    const opening = opensInMs === undefined ? {} : { opensInMs, durationMs: 60_000 };
    const by = () => ({ key: randomUUID(), actor: 'test' });
    unwrap(await store.createSale(show, { ...sale, ...opening }, by()));
    if (opensInMs === undefined) unwrap(await store.moveSale(show, id, { op: 'open', durationMs: 60_000 }, by()));
    return id;
  };
  return { store, node, show, addNode, token, connect, join, joinMany, openSale };
}

async function startShow(store: ConnectedStore, { show, guests = true }: EngineOptions): Promise<string> {
  const id = show === undefined ? {} : { id: show };
  const brands = [{ id: 'acme', name: 'Acme' }];
  const created = unwrap(await store.createShow({ ...id, title: 'Test show', guests, brands }, 'test'));
  const skus = ['m', 'l'].map((size) => ({ sku: `shirt-${size}`, title: size.toUpperCase() }));
  await store.putProduct(created.id, { id: 'shirt', brand: 'acme', title: 'Shirt', skus }, 'test');
  await store.startShow(created.id, 'test');
  return created.id;
}

async function sumOf({ registry }: Metrics, name: string, label?: string): Promise<number> {
  const found = await registry.getSingleMetric(`stampede_${name}`)?.get();
  if (found === undefined) throw new Error(`there is no metric stampede_${name}`);
  return found.values
    .filter(({ labels }) => label === undefined || Object.values(labels).includes(label))
    .reduce((sum, { value }) => sum + value, 0);
}
