/**
 * A gateway in a process of its own on a Redis of the bench's own, with a control API beside it on
 * request: what a load generator talks to.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { createTokens } from '../../src/auth/tokens.ts';
import type { Role } from '../../src/protocol/messages.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { freePort } from './free-port.ts';
import { builtProgram } from './program.ts';
import { type AppendMode, type BenchRedis, startBenchRedis } from './redis.ts';

export interface BenchEngine {
  readonly redis: BenchRedis;
  readonly store: ConnectedStore;
  readonly port: number;
  /** Of the gateway process. */
  readonly pid: number;
  /** What its processes are called, and their ids: gateway, Redis, and control where it runs. */
  readonly pids: Readonly<Record<string, number>>;
  readonly secret: string;
  /** Null unless it was asked for. */
  readonly control: { readonly url: string; readonly apiKey: string } | null;
  token(show: string, user: string, role?: Role): string;
  /**
   * Makes the gateway collect all garbage (it stands still for some 20 to 100 ms) and tells what is
   * left; null when it does not answer.
   */
  collectGarbage(): Promise<Collected | null>;
  stop(): Promise<void>;
}

/** V8's heap, and what its objects hold outside of it. */
export interface Collected {
  readonly heapBytes: number;
  readonly externalBytes: number;
}

const SECRET = 'bench-secret-bench-secret-bench-secret';
export const API_KEY = 'bench-key-bench-key-bench-key-0001';
/** Ends the engine when this process is gone, however it went. */
const LEASH = new URL('./exit-with-parent.mjs', import.meta.url).href;
const COLLECTOR = new URL('./collector.mjs', import.meta.url).href;
const COLLECT_MS_MAX = 5_000;
const READY_NOTICE = /^(stampede \S+ is ready| {2}(gateway|control|redis) )/;
const START_MS_MAX = 20_000;
const STOP_MS_MAX = 10_000;

export interface BenchEngineOptions {
  readonly append: AppendMode;
  readonly env?: Readonly<Record<string, string>>;
  /**
   * The control API too, in a process of its own, so that it does not show in what the gateway
   * uses.
   */
  readonly control?: boolean;
}

export async function startBenchEngine({
  append,
  env = {},
  control = false,
}: BenchEngineOptions): Promise<BenchEngine> {
  const program = builtProgram();
  if (program === null) throw new Error('the engine is not built: npm run build first');
  const redis = await startBenchRedis(append);
  const parts: EnginePart[] = [];
  let store: ConnectedStore | null = null;
  const stop = async (): Promise<void> => {
    await Promise.all(parts.map((part) => part.stop()));
    await store?.close();
    await redis.stop();
  };
  try {
    store = await connectStore({ url: redis.url });
    const shared = {
      REDIS_URL: redis.url,
      GATEWAY_PORT: String(await freePort()),
      CONTROL_PORT: String(await freePort()),
      ...env,
    };
    const gateway = startPart(program, 'gateway', shared);
    parts.push(gateway);
    if (control) parts.push(startPart(program, 'control', shared));
    await ready(shared.GATEWAY_PORT, gateway.child);
    for (const { child } of parts.slice(1)) await ready(shared.CONTROL_PORT, child);
    const tokens = createTokens({ secret: SECRET, nowMs: () => Date.now() });
    return {
      redis,
      store,
      port: Number(shared.GATEWAY_PORT),
      pid: gateway.child.pid ?? 0,
      pids: { ...Object.fromEntries(parts.map(({ role, child }) => [role, child.pid ?? 0])), redis: redis.pid },
      secret: SECRET,
      control: control ? { url: `http://127.0.0.1:${shared.CONTROL_PORT}`, apiKey: API_KEY } : null,
      token: (show, user, role = 'buyer') => tokens.mint({ show, user, name: user, role }, 3600),
      collectGarbage: () => collectGarbage(gateway.child),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface EnginePart {
  readonly role: 'gateway' | 'control';
  readonly child: ChildProcess;
  stop(): Promise<void>;
}

function startPart(program: string, role: EnginePart['role'], env: Readonly<Record<string, string>>): EnginePart {
  const flags =
    role === 'gateway'
      ? ['--max-semi-space-size=64', ...(process.env.BENCH_NODE_FLAGS ?? '').split(' ').filter(Boolean)]
      : [];
  const child = spawn(
    process.execPath,
    [...flags, '--import', LEASH, '--import', COLLECTOR, program, 'serve', '--roles', role],
    {
      // A group of its own: Ctrl-C reaches the bench, which still reads the books before it ends
      // the engine.
      detached: true,
      env: {
        ...process.env,
        HOST: '127.0.0.1',
        AUTH_SECRET: SECRET,
        API_KEYS: `bench:${API_KEY}`,
        LOG_LEVEL: 'warn',
        NODE_ENV: 'production',
        ...env,
      },
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    },
  );
  // That it is ready and where is told by /readyz; what it complains about is for a person.
  if (child.stderr !== null)
    createInterface({ input: child.stderr }).on('line', (line) => {
      if (!READY_NOTICE.test(line)) process.stderr.write(`${role}: ${line}\n`);
    });
  const stopNow = (): void => void child.kill('SIGKILL');
  process.once('exit', stopNow);
  return {
    role,
    child,
    async stop() {
      process.removeListener('exit', stopNow);
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      // Asked first: a profile is written at a regular end.
      child.kill('SIGTERM');
      const timer = setTimeout(stopNow, STOP_MS_MAX);
      await ended;
      clearTimeout(timer);
    },
  };
}

async function collectGarbage(child: ChildProcess): Promise<Collected | null> {
  if (!child.connected) return null;
  child.send({ kind: 'collect' });
  const answer = await once(child, 'message', { signal: AbortSignal.timeout(COLLECT_MS_MAX) }).catch(() => null);
  return answer === null ? null : (answer[0] as Collected);
}

async function ready(port: string, child: ChildProcess): Promise<void> {
  const until = Date.now() + START_MS_MAX;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    if (answer?.ok) return;
    if (child.exitCode !== null || Date.now() > until)
      throw new Error(`the engine did not become ready on port ${port} (exit code ${child.exitCode})`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
