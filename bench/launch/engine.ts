/** The engine that a bench loads: a gateway on a fresh Redis; control API in another process. */
import { once } from 'node:events';
import { createTokens } from '../../src/auth/tokens.ts';
import type { Role } from '../../src/protocol/messages.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { EngineProcess } from './engine-process.ts';
import { freePort } from './free-port.ts';
import { builtProgram } from './program.ts';
import { type AppendMode, startBenchRedis } from './redis-server.ts';

/** The heap of V8, and what its objects hold outside of it. */
type Collected = { readonly heapBytes: number; readonly externalBytes: number };

const SECRET = 'bench-secret-bench-secret-bench-secret';
export const API_KEY = 'bench-key-bench-key-bench-key-0001';
/** A clone builds the engine; an installed load tester has it as a peer. */
const NO_ENGINE =
  'The engine is missing: run "npm run build" in a clone, "npm install stampede" elsewhere, or give --url.';
const COLLECTOR = new URL('./collector.mjs', import.meta.url).href;
const COLLECT_MS_MAX = 5_000;
/** The lines with which the engine reports that it is ready. */
const READY_NOTICE = /^(stampede \S+ is ready| {2}(gateway|control|redis|metrics) )/;

export type BenchEngine = Awaited<ReturnType<typeof startBenchEngine>>;

export async function startBenchEngine(options: {
  readonly append: AppendMode;
  readonly env?: Readonly<Record<string, string>>;
  readonly control?: boolean;
  /** Jobs in another process. */
  readonly jobs?: boolean;
  /** A second gateway. */
  readonly spare?: boolean;
}) {
  const { append, env = {}, control = false, jobs = false, spare = false } = options;
  const program = builtProgram();
  if (program === null) throw new Error(NO_ENGINE);
  const redis = await startBenchRedis(append);
  const processes: EngineProcess[] = [];
  let store: ConnectedStore | null = null;
  const stop = async (): Promise<void> => {
    await Promise.all(processes.map((each) => each.stop()));
    await store?.close();
    await redis.stop();
  };
  try {
    store = await connectStore({ redis: redis.target });
    const [gatewayPort, controlPort, metricsPort] = [await freePort(), await freePort(), await freePort()];
    const sparePort = await freePort();
    const settings = {
      ...process.env,
      NODE_ENV: 'production',
      HOST: '127.0.0.1',
      AUTH_SECRET: SECRET,
      API_KEYS: `bench:${API_KEY}`,
      LOG_LEVEL: 'warn',
      REDIS_URL: redis.url,
      GATEWAY_PORT: String(gatewayPort),
      CONTROL_PORT: String(controlPort),
      ...env,
    };
    const moreFlags = (process.env.BENCH_NODE_FLAGS ?? '').split(' ').filter(Boolean);
    const gatewayFlags = ['--max-semi-space-size=64', ...moreFlags];
    const add = (name: string, role: string, flags: readonly string[], more: Record<string, string>): void => {
      processes.push(
        new EngineProcess({
          name,
          command: [...flags, '--import', COLLECTOR, program, 'serve', '--roles', role],
          env: { ...settings, ...more },
          followsParent: true,
          onLine(line, stream) {
            if (stream === 'stderr' && !READY_NOTICE.test(line)) process.stderr.write(`${name}: ${line}\n`);
          },
        }),
      );
    };
    add('gateway', 'gateway', gatewayFlags, { METRICS_PORT: String(metricsPort) });
    if (control) add('control', 'control', [], {});
    if (jobs) add('jobs', 'jobs', [], {});
    if (spare) add('spare gateway', 'gateway', gatewayFlags, { GATEWAY_PORT: String(sparePort) });
    await Promise.all(processes.map((each) => each.start()));
    const [gateway] = processes as [EngineProcess];
    const tokens = createTokens({ secret: SECRET, nowMs: () => Date.now() });
    return {
      redis,
      store,
      port: Number(settings.GATEWAY_PORT),
      /** The metrics of the gateway. */
      metricsUrl: `http://127.0.0.1:${metricsPort}/metrics`,
      pid: gateway.pid,
      /** By name: redis, gateway, and control, jobs and spare gateway where they run. */
      get pids(): Record<string, number> {
        const running = processes.filter(({ isAlive }) => isAlive);
        return Object.fromEntries([...running.map(({ name, pid }) => [name, pid]), ['redis', redis.pid]]);
      },
      /** Kills the gateway; it may start again. */
      spare: spare ? { port: sparePort, killOther: () => gateway.kill(), startOther: () => gateway.start() } : null,
      secret: SECRET,
      /** Null unless requested. */
      control: control ? { url: `http://127.0.0.1:${settings.CONTROL_PORT}`, apiKey: API_KEY } : null,
      token: (show: string, user: string, role: Role = 'buyer') => tokens.mint({ show, user, name: user, role }, 3600),
      collectGarbage: () => collectGarbage(gateway),
      /** Of each process by name; null without a reply. */
      collectAll: async () =>
        Object.fromEntries(
          await Promise.all(processes.map(async (each) => [each.name, await collectGarbage(each)] as const)),
        ),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Collects all garbage of the gateway. Returns what is left, or null without a reply. */
async function collectGarbage({ program: { child } }: EngineProcess): Promise<Collected | null> {
  if (!child.connected) return null;
  child.send({ kind: 'collect' });
  const reply = await once(child, 'message', { signal: AbortSignal.timeout(COLLECT_MS_MAX) }).catch(() => null);
  return reply === null ? null : (reply[0] as Collected);
}
