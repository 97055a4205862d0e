/** The control API over the real store on a Redis of its own; everything ends with the test. */
import { randomUUID } from 'node:crypto';
import { Packr } from 'msgpackr';
import type { Test } from 'tap';
import { createApiKeys } from '../../src/auth/api-keys.ts';
import { createTokens, type Tokens } from '../../src/auth/tokens.ts';
import { type ControlDeps, type ControlOptions, createControl } from '../../src/control/index.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';

export const API_KEY = 'studio-secret-0123456789';
export const logger = createLogger({ level: 'silent' });
const packr = new Packr({ useRecords: false, variableMapSize: true });

// Whatever came back: tests look into it and say what they expect.
export type Json = ReturnType<typeof JSON.parse>;

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | number | undefined>;
  body: Json;
  text: string;
}

export interface Ask {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS' | 'HEAD';
  body?: unknown;
  headers?: Record<string, string>;
  /** Left out: the harness's own key. null: none. */
  key?: string | null;
}

export interface Control {
  app: Awaited<ReturnType<typeof createControl>>;
  store: ConnectedStore;
  tokens: Tokens;
  redis: TestRedis;
  keyPrefix: string;
  ask(url: string, ask?: Ask): Promise<Answer>;
  post(url: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

/** `beside`: one more process of the same engine, with a store of its own on the other's Redis. */
export type Change = Partial<Omit<ControlDeps, 'options'>> & { options?: Partial<ControlOptions>; beside?: Control };

export const appOptions = (change: Partial<ControlOptions> = {}): ControlOptions => ({
  version: '0.0.0-test',
  node: 'n1',
  publicGatewayUrl: 'ws://gateway.test:8080',
  gatewayPort: 8080,
  ...change,
});

export async function startControl(t: Test, change: Change = {}, onRedis?: TestRedis): Promise<Control> {
  const { options, beside, ...deps } = change;
  const shared = onRedis ?? beside?.redis;
  const redis = shared ?? (await startRedis());
  const keyPrefix = beside?.keyPrefix ?? `t-${randomUUID().slice(0, 8)}:`;
  const store = await connectStore({ url: redis.url, keyPrefix, logger });
  const tokens = createTokens({ secret: 'a-secret-of-at-least-thirty-two-bytes', nowMs: () => store.now() });
  const app = await createControl({
    store,
    tokens,
    apiKeys: createApiKeys({ studio: API_KEY, 'back-office': 'office-secret-0123456789' }),
    logger,
    metrics: createMetrics({ processMetrics: false }),
    ...deps,
    options: appOptions(options),
  });
  t.teardown(async () => {
    await app.close();
    await store.close();
    if (!shared) await redis.stop();
  });
  const ask: Control['ask'] = async (url, { method = 'GET', body, headers = {}, key = API_KEY } = {}) => {
    const reply = await app.inject({
      method,
      url,
      headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), ...headers },
      ...(body === undefined ? {} : { payload: body as object }),
    });
    const isJson = String(reply.headers['content-type']).includes('json');
    return {
      status: reply.statusCode,
      headers: reply.headers,
      text: reply.body,
      body: isJson && reply.body !== '' ? reply.json() : undefined,
    };
  };
  return {
    app,
    store,
    tokens,
    redis,
    keyPrefix,
    ask,
    post: (url, body, headers) =>
      ask(url, { method: 'POST', ...(body === undefined ? {} : { body }), ...(headers ? { headers } : {}) }),
  };
}

/**
 * A live show, `gala` unless named, with one brand, two products and a sale `drop` of 10 + 5 units
 * at 19.99 and 49.00.
 */
export async function planShow({ ask, post }: Control, sale: Record<string, unknown> = {}, id = 'gala'): Promise<void> {
  const show = `/v1/shows/${id}`;
  const expect = (answer: Answer, status: number): void => {
    if (answer.status !== status) throw new Error(`set-up failed: ${answer.status} ${answer.text}`);
  };
  expect(await post('/v1/shows', { id, title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] }), 201);
  expect(
    await ask(`${show}/products/tee`, {
      method: 'PUT',
      body: { brand: 'acme', title: 'Tee', skus: [{ sku: 'TEE-M' }] },
    }),
    200,
  );
  expect(
    await ask(`${show}/products/bag`, { method: 'PUT', body: { brand: 'acme', title: 'Bag', skus: [{ sku: 'BAG' }] } }),
    200,
  );
  expect(await post(`${show}/start`), 200);
  const skus = [
    { sku: 'TEE-M', product: 'tee', price: 1999, quantity: 10 },
    { sku: 'BAG', product: 'bag', price: 4900, quantity: 5 },
  ];
  expect(
    await post(`${show}/sales`, {
      id: 'drop',
      title: 'Drop',
      currency: 'EUR',
      perBuyer: 2,
      holdMs: 60_000,
      skus,
      ...sale,
    }),
    201,
  );
}

/** One batch of chat by one user, as a gateway hands it on. */
export async function say({ store }: Control, showId: string, user: string, ...texts: string[]): Promise<void> {
  const items = Buffer.concat(texts.map((text, i) => packr.pack([i, i, `Name of ${user}`, text])));
  const said = await store.appendChat(
    showId,
    { node: 'n1', at: 1_000, count: texts.length, items },
    Array(texts.length).fill(user),
  );
  if (!said.ok) throw new Error(said.error.message);
}
