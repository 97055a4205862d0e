/** The control API over a real store on a separate Redis. All parts end with the test. */
import { randomUUID } from 'node:crypto';
import { Packr } from 'msgpackr';
import type { Test } from 'tap';
import { type RedisServer, startRedis } from '../../bench/launch/redis-server.ts';
import { createErasures } from '../../src/archive/index.ts';
import { createApiKeys } from '../../src/auth/api-keys.ts';
import { createTokens, type Tokens } from '../../src/auth/tokens.ts';
import { type ControlDeps, type ControlOptions, createControl } from '../../src/control/index.ts';
import type { SaleBooks } from '../../src/domain/sale.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';

export const API_KEY = 'studio-secret-0123456789';
export const OTHER_API_KEY = 'office-secret-0123456789';
export const logger = createLogger({ level: 'silent' });
const OPTIONS = { version: '0.0.0-test', node: 'n1', publicGatewayUrl: 'ws://gateway.test:8080', gatewayPort: 8080 };
const packr = new Packr({ useRecords: false, variableMapSize: true });

/** Any JSON: the tests state what they expect. */
export type Json = ReturnType<typeof JSON.parse>;

export interface Response {
  status: number;
  headers: Record<string, string | string[] | number | undefined>;
  body: Json;
  text: string;
}

export interface RequestOptions {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS' | 'HEAD';
  /** Text and bytes are sent as JSON, unless `headers` say otherwise. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Default: API_KEY. null: none. */
  key?: string | null;
}

export interface Control {
  app: Awaited<ReturnType<typeof createControl>>;
  store: ConnectedStore;
  tokens: Tokens;
  redis: RedisServer;
  keyPrefix: string;
  archiveDir: string;
  archives: ReturnType<typeof archivesOf>;
  request(url: string, options?: RequestOptions): Promise<Response>;
  post(url: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
}

/** `beside`: another process of the same engine, with a separate store on the same Redis. */
export type Change = Partial<Omit<ControlDeps, 'options'>> & { options?: Partial<ControlOptions>; beside?: Control };

export async function startControl(t: Test, change: Change = {}, onRedis?: RedisServer): Promise<Control> {
  const { options, beside, ...deps } = change;
  const shared = onRedis ?? beside?.redis;
  const redis = shared ?? (await startRedis());
  const keyPrefix = beside?.keyPrefix ?? `t-${randomUUID().slice(0, 8)}:`;
  const store = await connectStore({ redis: redis.target, keyPrefix, logger });
  const archiveDir = beside?.archiveDir ?? temporaryFolder(t);
  const archives = archivesOf(store, archiveDir);
  const tokens = createTokens({ secret: 'a-secret-of-at-least-thirty-two-bytes', nowMs: () => store.now() });
  const metrics = createMetrics({ processMetrics: false });
  metrics.observe({ health: store });
  const app = await createControl({
    store,
    archives,
    erasures: createErasures({ store, folder: archiveDir, logger }),
    tokens,
    apiKeys: createApiKeys({ studio: API_KEY, 'back-office': OTHER_API_KEY }),
    logger,
    metrics,
    ...deps,
    options: { ...OPTIONS, ...options },
  });
  t.teardown(async () => {
    await app.close();
    await store.close();
    if (!shared) await redis.stop();
  });
  const request: Control['request'] = async (url, { method = 'GET', body, headers = {}, key = API_KEY } = {}) => {
    const authorization = key === null ? {} : { authorization: `Bearer ${key}` };
    const type = typeof body === 'string' || Buffer.isBuffer(body) ? { 'content-type': 'application/json' } : {};
    const payload = body === undefined ? {} : { payload: body as object };
    const reply = await app.inject({ method, url, headers: { ...authorization, ...type, ...headers }, ...payload });
    const isJson = reply.body !== '' && /json(?!l)/.test(String(reply.headers['content-type']));
    const parsed = isJson ? reply.json() : undefined;
    return { status: reply.statusCode, headers: reply.headers, text: reply.body, body: parsed };
  };
  const post: Control['post'] = (url, body, headers = {}) => request(url, { method: 'POST', body, headers });
  return { app, store, tokens, redis, keyPrefix, archiveDir, archives, request, post };
}

/** Creates a live show with two products and a sale `drop` of 10 units at 19.99 and 5 at 49.00. */
export async function planShow(control: Control, sale: Record<string, unknown> = {}, id = 'gala'): Promise<void> {
  const show = `/v1/shows/${id}`;
  const product = (sku: string, title: string) => ({ brand: 'acme', title, skus: [{ sku }] });
  const skus = [
    { sku: 'TEE-M', product: 'tee', price: 1999, quantity: 10 },
    { sku: 'BAG', product: 'bag', price: 4900, quantity: 5 },
  ];
  const drop = { id: 'drop', title: 'Drop', currency: 'EUR', perBuyer: 2, holdMs: 60_000, skus, ...sale };
  const steps: ReadonlyArray<[RequestOptions['method'] & string, string, unknown]> = [
    ['POST', '/v1/shows', { id, title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] }],
    ['PUT', `${show}/products/tee`, product('TEE-M', 'Tee')],
    ['PUT', `${show}/products/bag`, product('BAG', 'Bag')],
    ['POST', `${show}/start`, undefined],
    ['POST', `${show}/sales`, drop],
  ];
  for (const [method, url, body] of steps) {
    const { status, text } = await control.request(url, { method, body });
    if (status >= 300) throw new Error(`set-up failed: ${status} ${text}`);
  }
}

/** Appends a batch of chat by one user, as a gateway does. */
export async function sendChat({ store }: Control, show: string, user: string, ...texts: string[]): Promise<void> {
  const items = Buffer.concat(texts.map((text, i) => packr.pack([i, i, `Name of ${user}`, text])));
  const batch = { node: 'n1', at: 1_000, count: texts.length, items };
  const result = await store.appendChat(show, batch, Array(texts.length).fill(user));
  if (!result.ok) throw new Error(result.error.message);
}

/** Reserves units of the sale `drop` and returns the id of the hold. */
export async function hold({ store }: Control, show: string, user: string, sku: string, qty: number): Promise<string> {
  const [result] = await store.reserve(show, [{ user, key: `hold-${user}`, sale: 'drop', lines: [{ sku, qty }] }]);
  if (!result?.ok) throw new Error(`set-up failed: ${result?.error.message}`);
  return result.value.reservation.id;
}

/** Returns allocated, available, held, sold and withdrawn units of a SKU. */
export function bookOf(sale: SaleBooks, sku: string): Array<number | undefined> {
  const book = sale.skus.find((one) => one.sku === sku);
  return [book?.allocated, book?.available, book?.held, book?.sold, book?.withdrawn];
}
