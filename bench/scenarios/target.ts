/** What is put under load: an engine started for the run, or a running one. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get as httpGet, type IncomingMessage } from 'node:http';
import { get as httpsGet } from 'node:https';
import { text } from 'node:stream/consumers';
import { createSecureContext } from 'node:tls';
import { userOf } from '../generator/access.ts';
import { type Trust, trusting } from '../generator/websocket.ts';
import { cpuSecondsOf, memoryBytesOf } from '../launch/cpu.ts';
import { type BenchEngine, startBenchEngine } from '../launch/engine.ts';
import type { ServerUse } from '../report/result.ts';
import { BackOffice } from '../users/back-office.ts';
import type { CommonFlags } from './common-flags.ts';
import { FlagError } from './flags.ts';
import type { TargetNeeds } from './scenario.ts';

/** How virtual users get their tokens. Plain data: it is sent to the workers. */
export type Access =
  /** Workers sign tokens for any number of users. */
  | { readonly kind: 'secret'; readonly secret: string }
  /** Made by the control API; user i takes the i-th. */
  | { readonly kind: 'tokens'; readonly tokens: readonly string[] }
  /** No token: the show must allow guests, who cannot write or buy. */
  | { readonly kind: 'guest' };

export interface GatewayAddress {
  readonly host: string;
  readonly port: number;
  /** Before `/v1/shows/...`; empty unless the engine is behind a proxy. */
  readonly pathPrefix: string;
  /** Absent: without TLS. */
  readonly tls?: Trust;
}

/** Usage since the processes started. */
export type ServerReading = { readonly processes: readonly ProcessReading[] };
type ProcessReading = { readonly name: string; readonly cpuSeconds: number; readonly memoryBytes: number };

export interface Target {
  readonly url: string;
  readonly own: boolean;
  readonly redis?: string;
  readonly gateway: GatewayAddress;
  /** Null if no control API and key are known. */
  readonly office: BackOffice | null;
  /** Null if the engine was not started for the run. */
  readonly engine: BenchEngine | null;
  /** For this many users of a show. Throws `FlagError` if the flags do not allow tokens. */
  access(show: string, users: number): Promise<Access>;
  /** CPU and memory of the engine's processes, from /proc or from /metrics; null if unknown. */
  read(): Promise<ServerReading | null>;
  /** The engine's metrics as text; '' if they cannot be reached. */
  scrape(): Promise<string>;
  stop(): Promise<void>;
}

/** Usage between two readings; memory is that of the second. */
export function usedBetween(before: ServerReading | null, after: ServerReading | null): ServerUse | null {
  if (before === null || after === null) return null;
  const processes = after.processes.map(({ name, cpuSeconds, memoryBytes }) => {
    const earlier = before.processes.find((process) => process.name === name)?.cpuSeconds ?? 0;
    // A process that was killed and started again begins at zero.
    const used = cpuSeconds < earlier ? cpuSeconds : cpuSeconds - earlier;
    return { name, cpuSeconds: used, memoryMiB: memoryBytes / 2 ** 20 };
  });
  return { processes };
}

/** CPU seconds of one process of the engine; NaN if unknown. */
export const cpuSecondsBetween = (name: string, before: ServerReading | null, after: ServerReading | null): number =>
  usedBetween(before, after)?.processes.find((process) => process.name === name)?.cpuSeconds ?? Number.NaN;

/** The HTTP API accepts 6,000 requests per minute and key: more users need the signing secret. */
const TOKENS_BY_HTTP_MAX = 5_000;
const TOKENS_AT_ONCE = 16;
const GET_MS_MAX = 2_000;

/** Throws `FlagError` if flags are missing. */
export async function openTarget(
  common: CommonFlags,
  { control = true, env = {}, jobs = false, spare = false }: TargetNeeds = {},
): Promise<Target> {
  if (common.url !== null && spare) throw new FlagError('this scenario kills a node: it needs an engine of its run');
  if (common.url !== null) return remoteTarget(common, common.url, control);
  if (common.ca !== null) throw new FlagError('--ca is for a --url with wss://');
  const engine = await startBenchEngine({ append: common.append, control, env, jobs, spare });
  return {
    url: `ws://127.0.0.1:${engine.port}`,
    own: true,
    redis: await redisVersion(engine),
    gateway: { host: '127.0.0.1', port: engine.port, pathPrefix: '' },
    office: engine.control === null ? null : new BackOffice(engine.control.url, engine.control.apiKey),
    engine,
    access: async () => ({ kind: 'secret', secret: engine.secret }),
    async read() {
      const processes = Object.entries(engine.pids).map(([name, pid]) => {
        return { name, cpuSeconds: cpuSecondsOf(pid), memoryBytes: memoryBytesOf(pid) };
      });
      return { processes };
    },
    scrape: () => textOf(engine.metricsUrl),
    stop: () => engine.stop(),
  };
}

async function remoteTarget(common: CommonFlags, address: string, needsControl: boolean): Promise<Target> {
  const { authSecret, apiKey, control, ca } = common;
  const gateway = gatewayOf(address, ca);
  if (needsControl && (control === null || apiKey === null))
    throw new FlagError('--url needs --control and --api-key too: this scenario creates a show');
  // Thousands of broken connections would not show the reason.
  if (gateway.tls !== undefined)
    await get(gateway, '/healthz').catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      throw new FlagError(`--url ${address}: ${why}; --ca FILE names the authority of its certificate`);
    });
  const office = control === null || apiKey === null ? null : new BackOffice(control, apiKey);
  const scrape = async (): Promise<string> =>
    control === null || apiKey === null ? '' : textOf(`${control.replace(/\/+$/, '')}/metrics`, apiKey);
  return {
    url: address,
    own: false,
    gateway,
    office,
    engine: null,
    async access(show, users) {
      if (authSecret !== null) return { kind: 'secret', secret: authSecret };
      if (office === null)
        throw new FlagError('--url needs --auth-secret, or --control and --api-key, for the tokens of the users');
      if (users > TOKENS_BY_HTTP_MAX)
        throw new FlagError(`tokens for ${users} users are too many requests: use --auth-secret`);
      return { kind: 'tokens', tokens: await mintAll(office, show, users) };
    },
    read: async () => readingIn(await scrape()),
    scrape,
    stop: async () => {},
  };
}

function gatewayOf(address: string, caFile: string | null): GatewayAddress {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null || !['ws:', 'http:', 'wss:', 'https:'].includes(url.protocol))
    throw new FlagError(`--url must be ws://host:port or wss://host:port of a gateway, got ${JSON.stringify(address)}`);
  const secure = url.protocol === 'wss:' || url.protocol === 'https:';
  if (caFile !== null && !secure) throw new FlagError('--ca is for a --url with wss://');
  const name = url.hostname.replace(/^\[|\]$/g, '');
  // Avoids a lookup per connection.
  const host = name === 'localhost' ? '127.0.0.1' : name;
  const gateway = { host, port: Number(url.port || (secure ? 443 : 80)), pathPrefix: url.pathname.replace(/\/+$/, '') };
  return secure ? { ...gateway, tls: { name, ca: caFile === null ? null : readAuthorities(caFile) } } : gateway;
}

function readAuthorities(file: string): string {
  try {
    const pem = readFileSync(file, 'utf8');
    createSecureContext({ ca: pem });
    if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem;
  } catch (error) {
    throw new FlagError(`--ca ${file} cannot be used: ${error instanceof Error ? error.message : String(error)}`);
  }
  throw new FlagError(`--ca ${file} holds no certificate (PEM)`);
}

async function mintAll(office: BackOffice, show: string, users: number): Promise<string[]> {
  const tokens: string[] = [];
  for (let from = 0; from < users; from += TOKENS_AT_ONCE) {
    const names = Array.from({ length: Math.min(TOKENS_AT_ONCE, users - from) }, (_, i) => userOf(from + i));
    tokens.push(...(await Promise.all(names.map((name) => office.mintToken(show, name, name, 'buyer')))));
  }
  return tokens;
}

/** The processes of one scrape together; with --workers it covers all of them. */
function readingIn(text: string): ServerReading | null {
  const cpuSeconds = valueIn(text, 'process_cpu_seconds_total');
  if (Number.isNaN(cpuSeconds)) return null;
  return { processes: [{ name: 'gateway', cpuSeconds, memoryBytes: valueIn(text, 'process_resident_memory_bytes') }] };
}

/** Sums of metrics over all samples; NaN if unknown. */
export async function metricsOf(target: Pick<Target, 'scrape'>, names: readonly string[]): Promise<number[]> {
  const text = await target.scrape();
  return names.map((name) => valueIn(text, name));
}

function valueIn(text: string, name: string): number {
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.eE+-]+)$`, 'gm'))];
  return values.length === 0 ? Number.NaN : values.reduce((sum, [, value]) => sum + Number(value), 0);
}

async function textOf(url: string, apiKey: string | null = null): Promise<string> {
  const headers = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  const signal = AbortSignal.timeout(GET_MS_MAX);
  return fetch(url, { headers, signal }).then(
    (response) => (response.ok ? response.text() : ''),
    () => '',
  );
}

/** Fetches a path of a gateway. Rejects after a timeout and for a status other than 200. */
async function get({ host, port, tls }: GatewayAddress, path: string): Promise<string> {
  const options = { host, port, path, agent: false, signal: AbortSignal.timeout(GET_MS_MAX) } as const;
  const request = tls === undefined ? httpGet(options) : httpsGet({ ...options, ...trusting(tls) });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const body = await text(response);
  if (response.statusCode !== 200) throw new Error(`${path} returned status ${response.statusCode}`);
  return body;
}

const redisVersion = async ({ redis }: BenchEngine): Promise<string> =>
  /redis_version:(\S+)/.exec(await redis.admin.info('server'))?.[1] ?? 'unknown';
