/** What is put under load: an engine of the bench's own, or a running one. */
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

/** How workers get in. Plain data: it travels to them. */
export type Access =
  /** Workers sign their own tokens: any number of people. */
  | { readonly kind: 'secret'; readonly secret: string }
  /** Made before by the control API; person i takes the i-th. */
  | { readonly kind: 'tokens'; readonly tokens: readonly string[] }
  /** No token: the show must allow guests, and nobody may write or buy. */
  | { readonly kind: 'guest' };

export interface Gate {
  readonly host: string;
  readonly port: number;
  /** Before `/v1/shows/...`; empty unless the engine stands behind a proxy. */
  readonly pathPrefix: string;
  /** Absent: without TLS. */
  readonly tls?: Trust;
}

/** Usage so far; subtract two of them. */
export interface ServerReading {
  readonly processes: ReadonlyArray<{
    readonly name: string;
    readonly cpuSeconds: number;
    readonly memoryBytes: number;
  }>;
}

export interface Target {
  readonly url: string;
  readonly own: boolean;
  readonly redis?: string;
  readonly gate: Gate;
  /** Null when no control API and key are known. */
  readonly office: BackOffice | null;
  /** Of an engine of its own. */
  readonly engine: BenchEngine | null;
  /**
   * For `people` of a show; the control API is asked for tokens when it must be. Throws when buyers
   * are needed and nobody can make tokens.
   */
  access(show: string, people: number): Promise<Access>;
  /**
   * CPU and memory of the engine's processes: from /proc when it is our own, else from its
   * /metrics; null when neither can be had.
   */
  read(): Promise<ServerReading | null>;
  stop(): Promise<void>;
}

/** What was used between two readings; memory is that of the second. */
export function usedBetween(before: ServerReading | null, after: ServerReading | null): ServerUse | null {
  if (before === null || after === null) return null;
  return {
    processes: after.processes.map(({ name, cpuSeconds, memoryBytes }) => ({
      name,
      cpuSeconds: cpuSeconds - (before.processes.find((process) => process.name === name)?.cpuSeconds ?? 0),
      memoryMiB: memoryBytes / 2 ** 20,
    })),
  };
}

/** CPU seconds of one process of the engine; NaN where that cannot be seen. */
export function cpuSecondsBetween(name: string, before: ServerReading | null, after: ServerReading | null): number {
  return usedBetween(before, after)?.processes.find((process) => process.name === name)?.cpuSeconds ?? Number.NaN;
}

/**
 * The HTTP API answers at most 6,000 requests a minute of one key: more people than this need the
 * signing secret.
 */
const TOKENS_BY_HTTP_MAX = 5_000;
const TOKENS_AT_ONCE = 16;
const GET_MS_MAX = 2_000;

/** Throws `FlagError` when the flags do not say enough to get in. */
export async function openTarget(common: CommonFlags, { control = true, env = {} }: TargetNeeds = {}): Promise<Target> {
  if (common.url !== null) return remoteTarget(common, common.url, control);
  if (common.ca !== null) throw new FlagError('--ca is for a --url with wss://');
  const engine = await startBenchEngine({ append: common.append, control, env });
  return {
    url: `ws://127.0.0.1:${engine.port}`,
    own: true,
    redis: await redisVersion(engine),
    gate: { host: '127.0.0.1', port: engine.port, pathPrefix: '' },
    office: engine.control === null ? null : new BackOffice(engine.control.url, engine.control.apiKey),
    engine,
    access: async () => ({ kind: 'secret', secret: engine.secret }),
    async read() {
      const processes = Object.entries(engine.pids).map(([name, pid]) => ({
        name,
        cpuSeconds: cpuSecondsOf(pid),
        memoryBytes: memoryBytesOf(pid),
      }));
      return { processes };
    },
    stop: () => engine.stop(),
  };
}

async function remoteTarget(
  { authSecret, apiKey, control, ca }: CommonFlags,
  address: string,
  needsControl: boolean,
): Promise<Target> {
  const gate = gateOf(address, ca);
  if (needsControl && (control === null || apiKey === null))
    throw new FlagError('--url needs --control and --api-key too: this scenario makes its own show');
  // Thousands of lines that break would not say why.
  if (gate.tls !== undefined)
    await get(gate, '/healthz').catch((error: unknown) => {
      throw new FlagError(
        `--url ${address}: ${error instanceof Error ? error.message : String(error)}; --ca FILE names who vouches for its certificate`,
      );
    });
  const office = control === null || apiKey === null ? null : new BackOffice(control, apiKey);
  return {
    url: address,
    own: false,
    gate,
    office,
    engine: null,
    async access(show, people) {
      if (authSecret !== null) return { kind: 'secret', secret: authSecret };
      if (office === null)
        throw new FlagError('--url needs --auth-secret, or --control and --api-key, so that people can be let in');
      if (people > TOKENS_BY_HTTP_MAX)
        throw new FlagError(`tokens for ${people} people are too many to ask for over HTTP: give --auth-secret`);
      return { kind: 'tokens', tokens: await mintAll(office, show, people) };
    },
    read: () => readMetrics(gate),
    stop: async () => {},
  };
}

function gateOf(address: string, caFile: string | null): Gate {
  const url = URL.canParse(address) ? new URL(address) : null;
  if (url === null || !['ws:', 'http:', 'wss:', 'https:'].includes(url.protocol))
    throw new FlagError(`--url must be ws://host:port or wss://host:port of a gateway, got ${JSON.stringify(address)}`);
  const secure = url.protocol === 'wss:' || url.protocol === 'https:';
  if (caFile !== null && !secure) throw new FlagError('--ca is for a --url with wss://');
  const name = url.hostname.replace(/^\[|\]$/g, '');
  // One lookup for thousands of connections.
  const host = name === 'localhost' ? '127.0.0.1' : name;
  const gate = { host, port: Number(url.port || (secure ? 443 : 80)), pathPrefix: url.pathname.replace(/\/+$/, '') };
  return secure ? { ...gate, tls: { name, ca: caFile === null ? null : readAuthorities(caFile) } } : gate;
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

async function mintAll(office: BackOffice, show: string, people: number): Promise<string[]> {
  const tokens: string[] = [];
  for (let from = 0; from < people; from += TOKENS_AT_ONCE) {
    const persons = Array.from({ length: Math.min(TOKENS_AT_ONCE, people - from) }, (_, i) => from + i);
    tokens.push(
      ...(await Promise.all(persons.map((person) => office.mintToken(show, userOf(person), userOf(person), 'buyer')))),
    );
  }
  return tokens;
}

/** The gateway's own metrics: of one process, also where several share the port. */
async function readMetrics(gate: Gate): Promise<ServerReading | null> {
  const text = await metricsText(gate);
  const cpuSeconds = valueIn(text, 'process_cpu_seconds_total');
  if (Number.isNaN(cpuSeconds)) return null;
  return { processes: [{ name: 'gateway', cpuSeconds, memoryBytes: valueIn(text, 'process_resident_memory_bytes') }] };
}

/** Numbers of the gateway's metrics, without labels of their own; NaN for what cannot be had. */
export async function metricsOf(gate: Gate, names: readonly string[]): Promise<number[]> {
  const text = await metricsText(gate);
  return names.map((name) => valueIn(text, name));
}

const valueIn = (text: string, name: string): number =>
  Number(new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.eE+-]+)$`, 'm').exec(text)?.[1] ?? Number.NaN);

const metricsText = (gate: Gate): Promise<string> => get(gate, '/metrics').catch(() => '');

/** What a gateway answers at a path; rejects with no answer in time, or another than 200. */
async function get({ host, port, tls }: Gate, path: string): Promise<string> {
  const options = { host, port, path, agent: false, signal: AbortSignal.timeout(GET_MS_MAX) } as const;
  const request = tls === undefined ? httpGet(options) : httpsGet({ ...options, ...trusting(tls) });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const body = await text(response);
  if (response.statusCode !== 200) throw new Error(`${path} answered ${response.statusCode}`);
  return body;
}

async function redisVersion({ redis }: BenchEngine): Promise<string> {
  return /redis_version:(\S+)/.exec(await redis.client.info('server'))?.[1] ?? 'unknown';
}
