/**
 * A gateway on a port of its own over a real Redis, and clients that speak the protocol with plain
 * libraries.
 */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { decode as msgpackDecode, encode as msgpackEncode } from '@msgpack/msgpack';
import { createSigner } from 'fast-jwt';
import { pino } from 'pino';
import type { Test } from 'tap';
import { WebSocket } from 'ws';
import { createTokens } from '../../src/auth/tokens.ts';
import { createGateway, type Gateway, type GatewayOptions } from '../../src/gateway/index.ts';
import type {
  ChatGroup,
  ReservationView,
  Role,
  ShowEvent,
  Snapshot,
  StateView,
  Welcome,
} from '../../src/protocol/messages.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { createMetrics, type Metrics } from '../../src/telemetry/metrics.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

/** Any server message, as if every field were there: tests look at those they expect. */
export interface Message {
  t: string;
  id: string | number;
  v: number;
  at: number;
  node: string;
  epoch: string;
  offset: number;
  you: Welcome['you'];
  snapshot: Snapshot;
  resumed: boolean;
  chat: ChatGroup[];
  events: ShowEvent[];
  state: Required<StateView>;
  missed: number;
  code: string | number;
  message: string;
  retryAfterMs: number;
  details: { opensAt: number; field: string };
  data: { chat: number; reservation: ReservationView; replayed: boolean; resumed: boolean };
  reservation: ReservationView;
  reason: string;
  reconnectAfterMs: number;
}

const SECRET = 'a secret of the tests, long enough for HS256';

export interface Node {
  readonly gateway: Gateway;
  readonly store: ConnectedStore;
  readonly url: string;
  readonly port: number;
  readonly metrics: Metrics;
  /** Sums a metric of the node (without the prefix `stampede_`) over the samples with this label value. */
  metric(name: string, label?: string): Promise<number>;
}

/** Nodes over a Redis of the test's choice. */
export interface Stage {
  readonly store: ConnectedStore;
  readonly node: Node;
  readonly show: string;
  addNode(options?: Partial<GatewayOptions>, redisUrl?: string): Promise<Node>;
  token(user: string, more?: { role?: Role; show?: string; name?: string; ttlSeconds?: number }): string;
  connect(options?: ConnectOptions): Promise<Client>;
  openSale(spec?: {
    quantity?: number;
    perBuyer?: number;
    opensInMs?: number;
    holdMs?: number;
    id?: string;
  }): Promise<string>;
}

export interface World extends Stage {
  readonly redis: TestRedis;
}

export interface StageOptions {
  readonly gateway?: Partial<GatewayOptions>;
  readonly guests?: boolean;
  /** Tokens are signed by an identity provider (EdDSA) instead of the engine's secret. */
  readonly publicKeyTokens?: boolean;
  /** The show's id; it decides the slot. */
  readonly show?: string;
}

export interface ConnectOptions {
  node?: Pick<Node, 'url'>;
  user?: string;
  role?: Role;
  show?: string;
  /** null: none at all. */
  token?: string | null;
  encoding?: 'json' | 'msgpack';
  /** Overrides what is offered besides the token. */
  protocols?: string[];
  query?: string;
}

export const logger = pino({ level: process.env['TEST_LOG'] ?? 'silent' });

export async function startWorld(
  t: Test,
  options: StageOptions & { redis?: Parameters<typeof startRedis>[0] } = {},
): Promise<World> {
  const redis = await startRedis(options.redis);
  t.teardown(() => redis.stop());
  return { ...(await startStage(t, redis.url, options)), redis };
}

/**
 * One node and a live show; more nodes may come. `url` as REDIS_URL takes it: a node may be given
 * another way to the same Redis.
 */
export async function startStage(t: Test, url: string, options: StageOptions = {}): Promise<Stage> {
  const keyPrefix = `t${randomUUID().slice(0, 8)}:`;
  const provider = options.publicKeyTokens ? generateKeyPairSync('ed25519') : null;
  const publicKeys = provider ? [provider.publicKey.export({ type: 'spki', format: 'pem' }) as string] : [];
  const clients: Client[] = [];
  const nodes: Node[] = [];
  const addNode = async (more: Partial<GatewayOptions> = {}, redisUrl = url): Promise<Node> => {
    const store = await connectStore({ url: redisUrl, keyPrefix, logger });
    const tokens = createTokens({ secret: SECRET, publicKeys, nowMs: () => store.now() });
    const metrics = createMetrics({ processMetrics: false });
    const gateway = createGateway({
      store,
      log: store,
      tokens,
      logger,
      metrics,
      options: {
        host: '127.0.0.1',
        port: 0,
        exclusive: true,
        node: `n${nodes.length + 1}`,
        allowedOrigins: null,
        ...more,
      },
    });
    const { port } = await gateway.listen();
    const metric = (name: string, label?: string): Promise<number> => sumOf(metrics, name, label);
    const node = { gateway, store, port, metrics, metric, url: `ws://127.0.0.1:${port}` };
    nodes.push(node);
    return node;
  };
  const node = await addNode(options.gateway);
  const { store } = node;
  const tokens = createTokens({ secret: SECRET, nowMs: () => store.now() });
  const created = await store.createShow(
    {
      ...(options.show === undefined ? {} : { id: options.show }),
      title: 'Test show',
      guests: options.guests ?? true,
      brands: [{ id: 'acme', name: 'Acme' }],
    },
    'test',
  );
  if (!created.ok) throw new Error(created.error.message);
  const show = created.value.id;
  await store.putProduct(
    show,
    {
      id: 'shirt',
      brand: 'acme',
      title: 'Shirt',
      skus: [
        { sku: 'shirt-m', title: 'M' },
        { sku: 'shirt-l', title: 'L' },
      ],
    },
    'test',
  );
  await store.startShow(show, 'test');
  t.teardown(async () => {
    for (const client of clients) client.cut();
    await Promise.all(nodes.map(({ gateway }) => gateway.drain({ timeoutMs: 1_000 })));
    await Promise.all(nodes.map((each) => each.store.close()));
  });
  const token: World['token'] = (user, more = {}) => {
    const claims = {
      show: more.show ?? show,
      name: more.name ?? `Name of ${user}`,
      role: more.role ?? 'buyer',
    } as const;
    const ttlSeconds = more.ttlSeconds ?? 3600;
    if (provider === null) return tokens.mint({ ...claims, user }, ttlSeconds);
    const key = provider.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
    return createSigner({ key })({ ...claims, sub: user, exp: Math.ceil(store.now() / 1000) + ttlSeconds });
  };
  return {
    store,
    node,
    show,
    addNode,
    token,
    async connect(connectOptions = {}) {
      const { node: at = node, user = 'ann', role = 'buyer', encoding = 'json', query = '' } = connectOptions;
      const jwt = connectOptions.token === undefined ? token(user, { role }) : connectOptions.token;
      const protocols = [
        ...(connectOptions.protocols ?? [`stampede.v1.${encoding}`]),
        ...(jwt === null ? [] : [`token.${jwt}`]),
      ];
      const client = new Client(`${at.url}/v1/shows/${connectOptions.show ?? show}${query}`, protocols, encoding);
      clients.push(client);
      await client.opened;
      return client;
    },
    async openSale({
      quantity = 5,
      perBuyer = 2,
      opensInMs,
      holdMs = 60_000,
      id = `sale-${randomUUID().slice(0, 8)}`,
    } = {}) {
      const spec = {
        id,
        title: 'Flash',
        currency: 'EUR',
        perBuyer,
        holdMs,
        skus: [{ sku: 'shirt-m', product: 'shirt', price: 1999, quantity }],
      };
      const sale = await store.createSale(
        show,
        opensInMs === undefined ? spec : { ...spec, opensInMs, durationMs: 60_000 },
        {
          key: randomUUID(),
          actor: 'test',
        },
      );
      if (!sale.ok) throw new Error(sale.error.message);
      if (opensInMs === undefined) {
        const opened = await store.moveSale(
          show,
          id,
          { op: 'open', durationMs: 60_000 },
          { key: randomUUID(), actor: 'test' },
        );
        if (!opened.ok) throw new Error(opened.error.message);
      }
      return id;
    },
  };
}

async function sumOf({ registry }: Metrics, name: string, label?: string): Promise<number> {
  const found = await registry.getSingleMetric(`stampede_${name}`)?.get();
  if (found === undefined) throw new Error(`there is no metric stampede_${name}`);
  return found.values
    .filter(({ labels }) => label === undefined || Object.values(labels).includes(label))
    .reduce((sum, { value }) => sum + value, 0);
}

/** A client made of `ws` and JSON or another MessagePack library than the server's. */
export class Client {
  readonly socket: WebSocket;
  readonly received: Message[] = [];
  readonly opened: Promise<void>;
  readonly closed: Promise<{ code: number; reason: string }>;
  private readonly waiting = new Set<() => void>();
  private readonly encoding: 'json' | 'msgpack';
  private nextId = 1;

  constructor(url: string, protocols: string[], encoding: 'json' | 'msgpack', ca?: Buffer) {
    this.encoding = encoding;
    this.socket = new WebSocket(url, protocols, { perMessageDeflate: false, ...(ca === undefined ? {} : { ca }) });
    this.socket.on('message', (data: Buffer, isBinary: boolean) => {
      const value = isBinary ? msgpackDecode(data) : JSON.parse(data.toString());
      this.received.push(value as Message);
      for (const check of [...this.waiting]) check();
    });
    this.closed = new Promise((resolve) =>
      this.socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })),
    );
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('open', () => resolve());
      this.socket.once('error', reject);
    });
    this.opened.catch(() => {});
    this.socket.on('error', () => {});
  }

  send(message: unknown): void {
    this.socket.send(
      this.encoding === 'json' ? JSON.stringify(message) : msgpackEncode(message, { ignoreUndefined: true }),
    );
  }

  /** The first message, now or later, that fits. */
  async find(fits: (message: Message) => boolean, timeoutMs = 5_000): Promise<Message> {
    const found = this.received.find(fits);
    if (found !== undefined) return found;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(check);
        reject(new Error(`no such message in ${timeoutMs} ms; got ${JSON.stringify(this.received).slice(-2000)}`));
      }, timeoutMs);
      const check = (): void => {
        const message = this.received.find(fits);
        if (message === undefined) return;
        clearTimeout(timer);
        this.waiting.delete(check);
        resolve(message);
      };
      this.waiting.add(check);
    });
  }

  type(t: string, timeoutMs?: number): Promise<Message> {
    return this.find((message) => message['t'] === t, timeoutMs);
  }

  /** Sends with a fresh id and waits for the one answer. */
  async ask(message: Record<string, unknown>, timeoutMs?: number): Promise<Message> {
    const id = message['id'] ?? `q${this.nextId++}`;
    this.send({ ...message, id });
    return this.find((answer) => (answer['t'] === 'ok' || answer['t'] === 'error') && answer['id'] === id, timeoutMs);
  }

  /** Everything said in chat so far, in order: `[id, name, text]`. Welcome history included. */
  chat(): Array<[number, string, string]> {
    return this.received.flatMap((message) =>
      ((message['chat'] ?? []) as Array<[number, number, Array<[number, number, string, string]>]>).flatMap(
        ([firstId, , items]) => items.map(([i, , name, text]): [number, string, string] => [firstId + i, name, text]),
      ),
    );
  }

  events(): ShowEvent[] {
    return this.received.flatMap((message) => message['events'] ?? []);
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }

  cut(): void {
    this.socket.terminate();
  }
}

/** The HTTP answer to an upgrade that is refused. */
export async function refusedUpgrade(
  url: string,
  protocols: string[],
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Message; headers: Record<string, unknown> }> {
  const socket = new WebSocket(url, protocols, { headers });
  socket.on('error', () => {});
  socket.once('open', () =>
    socket.emit('unexpected-response', null, {
      statusCode: 101,
      headers: {},
      async *[Symbol.asyncIterator]() {
        yield Buffer.from('{}');
      },
    }),
  );
  const [, response] = (await once(socket, 'unexpected-response')) as [unknown, import('node:http').IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return {
    status: response.statusCode ?? 0,
    body: JSON.parse(Buffer.concat(chunks).toString()) as Message,
    headers: response.headers,
  };
}

export async function until(holds: () => boolean | Promise<boolean>, what: string, timeoutMs = 5_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not in ${timeoutMs} ms: ${what}`);
    await sleep(10);
  }
}
