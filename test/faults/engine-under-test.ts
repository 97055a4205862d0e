/**
 * The whole engine as it runs in production, roles apart, every part a process that can be killed,
 * stopped and started again on its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../support/free-port.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { commandLine, ROOT } from './built-program.ts';
import { TcpProxy } from './tcp-proxy.ts';

export const API_KEY = 'an-api-key-for-fault-runs';
export const AUTH_SECRET = 'a-secret-for-fault-runs-of-32-bytes-and-more';
export const KEY_PREFIX = 'faults:';
const READY_MS_MAX = 40_000;

export interface Part {
  readonly name: string;
  readonly port: number;
  readonly alive: boolean;
  /** What it logged, for a report. */
  readonly log: string;
  signal(name: NodeJS.Signals): void;
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>;
  /** Starts it again with the same settings and port; resolves when it says that it is ready. */
  start(): Promise<void>;
}

export interface EnginePlan {
  readonly gateways?: number;
  /** What runs beside the gateways: one process a list of roles. */
  readonly others?: readonly string[];
  readonly appendfsync?: 'always' | 'everysec';
  /** Which processes reach Redis through the proxy. */
  readonly proxied?: (name: string) => boolean;
  /** How far off the wall clock of the process of that name is. */
  readonly shiftMsOf?: (name: string) => number;
}

export interface House {
  readonly redis: TestRedis;
  /** Between Redis and the processes that the plan put behind it. */
  readonly redisLine: TcpProxy;
  readonly parts: readonly Part[];
  readonly gateways: readonly Part[];
  /** By its roles, `control,jobs` for example. */
  other(roles: string): Part;
  readonly gatewayUrls: readonly string[];
  readonly controlUrls: readonly string[];
  /** Runs `stampede verify` as a person would. */
  verify(show: string): Promise<{ code: number | null; report: { violations: string[] }; text: string }>;
  stop(): Promise<void>;
}

export async function startEngineUnderTest(plan: EnginePlan = {}): Promise<House> {
  const { gateways: count = 2, others = ['control,jobs'], appendfsync = 'everysec' } = plan;
  const redis = await startRedis({ appendfsync });
  const redisLine = await TcpProxy.to({ path: redis.socketPath });
  const parts: Process[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(parts.map((part) => part.kill()));
    await redisLine.close();
    await redis.stop();
  };
  const add = async (name: string, roles: string): Promise<Process> => {
    const port = roles === 'jobs' ? 0 : await freePort();
    const redisUrl = plan.proxied?.(name) === true ? `redis://127.0.0.1:${redisLine.port}` : redis.url;
    const part = new Process({ name, roles, port, shiftMs: plan.shiftMsOf?.(name) ?? 0, redisUrl });
    parts.push(part);
    return part;
  };
  try {
    const gateways: Process[] = [];
    for (let i = 0; i < count; i++) gateways.push(await add(`gateway-${i}`, 'gateway'));
    const rest = new Map<string, Process>();
    for (const [at, roles] of others.entries())
      rest.set(roles.concat('#', String(at)), await add(`other-${at}`, roles));
    await Promise.all(parts.map((part) => part.start()));
    const controls = [...rest].filter(([roles]) => roles.includes('control')).map(([, part]) => part);
    return {
      redis,
      redisLine,
      parts,
      gateways,
      other(roles) {
        const found = [...rest].find(([name]) => name.startsWith(`${roles}#`));
        if (!found) throw new Error(`no process has the roles ${roles}`);
        return found[1];
      },
      gatewayUrls: gateways.map(({ port }) => `ws://127.0.0.1:${port}`),
      controlUrls: controls.map(({ port }) => `http://127.0.0.1:${port}`),
      verify: (show) => verify(show, redis.url),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface ProcessPlan {
  readonly name: string;
  readonly roles: string;
  readonly port: number;
  readonly shiftMs: number;
  readonly redisUrl: string;
}

function environmentOf({ name, roles, port, shiftMs, redisUrl }: ProcessPlan): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env;
  return {
    PATH,
    HOME,
    NODE_ENV: 'production',
    ROLES: roles,
    REDIS_URL: redisUrl,
    KEY_PREFIX,
    [roles === 'gateway' ? 'GATEWAY_PORT' : 'CONTROL_PORT']: String(port),
    AUTH_SECRET,
    API_KEYS: `host:${API_KEY}`,
    NODE_NAME: name,
    LOG_LEVEL: 'info',
    ...(shiftMs === 0 ? {} : { SHIFT_MS: String(shiftMs) }),
  };
}

const LOG_CHARS_MAX = 200_000;

/** However this process ends, it leaves none behind. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

class Process implements Part {
  readonly #plan: ProcessPlan;
  #child: ChildProcess | null = null;
  #log = '';

  constructor(plan: ProcessPlan) {
    this.#plan = plan;
  }

  get name(): string {
    return this.#plan.name;
  }

  get port(): number {
    return this.#plan.port;
  }

  get alive(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get log(): string {
    return this.#log;
  }

  async start(): Promise<void> {
    const child = spawn('env', commandLine(['serve'], this.#plan.shiftMs), {
      cwd: ROOT,
      env: environmentOf(this.#plan),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    running.add(child);
    child.once('exit', () => running.delete(child));
    let ready = false;
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        if (this.#log.length < LOG_CHARS_MAX) this.#log += text;
        ready ||= text.includes('"msg":"ready"');
      });
    const until = Date.now() + READY_MS_MAX;
    while (!ready) {
      if (child.exitCode !== null || Date.now() > until)
        throw new Error(`${this.name} is not ready (exit code ${child.exitCode}):\n${this.#log}`);
      await sleep(20);
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child || !this.alive) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
}

function verify(
  show: string,
  redisUrl: string,
): Promise<{ code: number | null; report: { violations: string[] }; text: string }> {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn('env', commandLine(['verify', '--show', show, '--json']), {
    cwd: ROOT,
    env: { PATH, HOME, REDIS_URL: redisUrl, KEY_PREFIX },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece: string) => {
      text += piece;
    });
  return new Promise((resolve) =>
    child.once('close', (code) => {
      let report: { violations: string[] } = { violations: [] };
      try {
        report = JSON.parse(text) as { violations: string[] };
      } catch {
        report = { violations: [`verify printed no report: ${text.slice(0, 500)}`] };
      }
      resolve({ code, report, text });
    }),
  );
}
