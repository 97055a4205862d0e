/** The whole engine, each role in a process that a test can kill, stop and start again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { EngineProcess, Program, plainEnvironment } from '../../bench/launch/engine-process.ts';
import { freePort } from '../../bench/launch/free-port.ts';
import { type RedisServer, startRedis } from '../../bench/launch/redis-server.ts';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { programArguments } from '../support/root.ts';
import { until } from '../support/until.ts';
import { Replicas } from './replicas.ts';

export const API_KEY = 'an-api-key-for-fault-runs';
export const AUTH_SECRET = 'a-secret-for-fault-runs-of-32-bytes-and-more';
export const KEY_PREFIX = 'faults:';
export const SHOW = 'show';
const PROGRAM = programArguments('src/cli/main');
const SETTINGS = { NODE_ENV: 'production', KEY_PREFIX, AUTH_SECRET, API_KEYS: `host:${API_KEY}`, LOG_LEVEL: 'info' };
const SHIFTED_CLOCK = new URL('./shifted-clock.mjs', import.meta.url).href;

export interface EnginePlan {
  readonly gateways?: number;
  /** The roles of each gateway. */
  readonly roles?: string;
  /** The processes beside the gateways, each with its list of roles. */
  readonly others?: readonly string[];
  readonly appendfsync?: 'always' | 'everysec';
  /** One process with all roles, two workers and an embedded Redis, instead of `others`. */
  readonly isEmbedded?: boolean;
  /** Redis has a replica. All processes reach the primary through the proxy. */
  readonly hasReplica?: boolean;
  /** A user of Redis, as which all processes connect through the proxy. */
  readonly user?: { readonly name: string; readonly password: string; readonly rules: readonly string[] };
  /** Processes that share the port of each gateway. */
  readonly workers?: number;
  /** Which processes reach Redis through the proxy. */
  readonly proxied?: (name: string) => boolean;
  /** What all processes run instead of this tree. */
  readonly program?: () => readonly string[];
  /** Names of processes that the scenario starts. */
  readonly startLater?: readonly string[];
  /** How far off the wall clock of a process is. */
  readonly shiftMsOf?: (name: string) => number;
}

export class Part extends EngineProcess {
  readonly roles: string;
  readonly port: number;
  readonly controlUrl: string;
  readonly #flags: readonly string[];

  constructor(name: string, roles: string, port: number, settings: Record<string, string>, shiftMs = 0) {
    const own = { ROLES: roles, NODE_NAME: name, SHIFT_MS: String(shiftMs), ...settings };
    const ports = { [roles.startsWith('gateway') ? 'GATEWAY_PORT' : 'CONTROL_PORT']: String(port) };
    const shift = shiftMs === 0 ? [] : ['--import', SHIFTED_CLOCK];
    const env = { ...plainEnvironment(), ...SETTINGS, ...ports, ...own };
    super({ name, command: [...shift, ...PROGRAM, 'serve'], env, followsParent: true });
    this.roles = roles;
    this.port = port;
    this.controlUrl = `http://127.0.0.1:${settings.CONTROL_PORT ?? port}`;
    this.#flags = shift;
  }

  /** Runs this program from the next start on. */
  useProgram(program: readonly string[] = PROGRAM): void {
    this.use([...this.#flags, ...program, 'serve']);
  }
}

type RedisUnderTest = Pick<RedisServer, 'url' | 'target' | 'socketPath' | 'admin' | 'signal' | 'crashAndRestart'>;
export type EngineUnderTest = Omit<Awaited<ReturnType<typeof startProcesses>>, 'redis'> & { redis: RedisUnderTest };

export const startEngineUnderTest = (plan: EnginePlan = {}): Promise<EngineUnderTest> =>
  plan.isEmbedded ? startEmbedded(plan) : startProcesses(plan);

async function startProcesses(plan: EnginePlan) {
  const {
    gateways: count = 2,
    roles: gatewayRoles = 'gateway',
    others = ['control,jobs'],
    appendfsync = 'everysec',
    user,
    workers = 1,
  } = plan;
  const replicas = plan.hasReplica ? await Replicas.start(appendfsync) : null;
  const redis = replicas?.primary ?? (await startRedis({ appendfsync }));
  const redisProxy = await TcpProxy.to({ path: redis.socketPath });
  const parts: Part[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(parts.map((part) => part.kill()));
    await redisProxy.close();
    await (replicas ?? redis).stop();
  };
  try {
    if (user) await redis.admin.call('ACL', 'SETUSER', user.name, 'on', `>${user.password}`, ...user.rules);
    const proxyUrl = redisProxy.redisUrl.replace(
      '//',
      user ? `//${user.name}:${encodeURIComponent(user.password)}@` : '//',
    );
    const names = [
      ...Array.from({ length: count }, (_, i) => [`gateway-${i}`, gatewayRoles] as const),
      ...others.map((roles, i) => [`other-${i}`, roles] as const),
    ];
    for (const [name, roles] of names) {
      const port = roles === 'jobs' ? 0 : await freePort();
      const isProxied = replicas !== null || user !== undefined || plan.proxied?.(name) === true;
      const settings = {
        REDIS_URL: isProxied ? proxyUrl : redis.url,
        ...(roles === 'gateway' ? { WORKERS: String(workers) } : {}),
        ...(/gateway.*control/.test(roles) ? { CONTROL_PORT: String(await freePort()) } : {}),
      };
      parts.push(new Part(name, roles, port, settings, plan.shiftMsOf?.(name) ?? 0));
    }
    const program = plan.program?.();
    if (program) for (const part of parts) part.useProgram(program);
    await Promise.all(parts.filter(({ name }) => !plan.startLater?.includes(name)).map((part) => part.start()));
    const gateways = parts.slice(0, count);
    const rest = parts.slice(count);
    return {
      /** The primary, if there is a replica. */
      get redis(): RedisServer {
        return replicas?.primary ?? redis;
      },
      replicas,
      /** Between Redis and the processes that the plan put behind it. */
      redisProxy,
      parts,
      gateways,
      /** Returns the first process with these roles, for example `control,jobs`. */
      other(roles: string): Part {
        const found = rest.find((part) => part.roles === roles);
        if (!found) throw new Error(`no process has the roles ${roles}`);
        return found;
      },
      gatewayUrls: gateways.map(({ port }) => `ws://127.0.0.1:${port}`),
      controlUrls: parts.filter(({ roles }) => roles.includes('control')).map(({ controlUrl }) => controlUrl),
      verify: (program?: readonly string[]) => verify((replicas?.primary ?? redis).url, program),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The engine as its users start it. `crashAndRestart` kills the server; the engine restarts it. */
async function startEmbedded({ appendfsync = 'everysec' }: EnginePlan): Promise<EngineUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-faults-'));
  const controlPort = await freePort();
  const settings = { DATA_DIR: folder, APPENDFSYNC: appendfsync, WORKERS: '2', CONTROL_PORT: String(controlPort) };
  const part = new Part('engine', 'gateway,control,jobs', await freePort(), settings);
  await part.start();
  const socketPath = join(folder, 'redis', 'redis.sock');
  const admin = new Redis({ path: socketPath, retryStrategy: () => 50, maxRetriesPerRequest: null });
  admin.on('error', () => {});
  const pidOf = async (): Promise<number> => Number(/process_id:(\d+)/.exec(await admin.info('server'))?.[1]);
  const redisProxy = await TcpProxy.to({ path: socketPath });
  let pid = await pidOf();
  const url = `unix://${socketPath}`;
  const signal = (name: NodeJS.Signals): void => void process.kill(pid, name);
  return {
    redis: {
      url,
      target: redisTarget(url),
      socketPath,
      admin,
      signal,
      async crashAndRestart() {
        const killed = pid;
        signal('SIGKILL');
        await until(async () => {
          pid = await pidOf();
          return pid !== killed;
        }, 'a restart by the engine');
      },
    },
    replicas: null,
    redisProxy,
    parts: [part],
    gateways: [part],
    other: () => part,
    gatewayUrls: [`ws://127.0.0.1:${part.port}`],
    controlUrls: [part.controlUrl],
    verify: (program) => verify(url, program),
    async stop() {
      admin.disconnect();
      await Promise.all([part.kill(), redisProxy.close()]);
      rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}

/** Runs `stampede verify`. */
async function verify(redisUrl: string, program: readonly string[] = PROGRAM) {
  const command = [...program, 'verify', '--show', SHOW, '--json'];
  const env = { ...plainEnvironment(), REDIS_URL: redisUrl, KEY_PREFIX };
  const { code, stdout, stderr } = await new Program({ name: 'verify', command, env }).finished;
  const text = stdout + stderr;
  try {
    return { code, text, report: JSON.parse(stdout) as { violations: string[] } };
  } catch {
    return { code, text, report: { violations: [`verify printed no report: ${text.slice(0, 500)}`] } };
  }
}
