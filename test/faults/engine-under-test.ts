/** The whole engine, each role in a process that a test can kill, stop and start again. */
import { EngineProcess, Program, plainEnvironment } from '../../bench/launch/engine-process.ts';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { programArguments } from '../support/root.ts';

export const API_KEY = 'an-api-key-for-fault-runs';
export const AUTH_SECRET = 'a-secret-for-fault-runs-of-32-bytes-and-more';
export const KEY_PREFIX = 'faults:';
export const SHOW = 'show';
const PROGRAM = programArguments('src/cli/main');
const SETTINGS = { NODE_ENV: 'production', KEY_PREFIX, AUTH_SECRET, API_KEYS: `host:${API_KEY}`, LOG_LEVEL: 'info' };
const SHIFTED_CLOCK = new URL('./shifted-clock.mjs', import.meta.url).href;

export interface EnginePlan {
  readonly gateways?: number;
  /** The processes beside the gateways, each with its list of roles. */
  readonly others?: readonly string[];
  readonly appendfsync?: 'always' | 'everysec';
  /** Which processes reach Redis through the proxy. */
  readonly proxied?: (name: string) => boolean;
  /** How far off the wall clock of a process is. */
  readonly shiftMsOf?: (name: string) => number;
}

export class Part extends EngineProcess {
  readonly roles: string;
  readonly port: number;

  constructor(name: string, roles: string, port: number, redisUrl: string, shiftMs: number) {
    const own = { ROLES: roles, REDIS_URL: redisUrl, NODE_NAME: name, SHIFT_MS: String(shiftMs) };
    const ports = { [roles === 'gateway' ? 'GATEWAY_PORT' : 'CONTROL_PORT']: String(port) };
    const shift = shiftMs === 0 ? [] : ['--import', SHIFTED_CLOCK];
    const env = { ...plainEnvironment(), ...SETTINGS, ...own, ...ports };
    super({ name, command: [...shift, ...PROGRAM, 'serve'], env, followsParent: true });
    this.roles = roles;
    this.port = port;
  }
}

export type EngineUnderTest = Awaited<ReturnType<typeof startEngineUnderTest>>;

export async function startEngineUnderTest(plan: EnginePlan = {}) {
  const { gateways: count = 2, others = ['control,jobs'], appendfsync = 'everysec' } = plan;
  const redis = await startRedis({ appendfsync });
  const redisProxy = await TcpProxy.to({ path: redis.socketPath });
  const parts: Part[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(parts.map((part) => part.kill()));
    await redisProxy.close();
    await redis.stop();
  };
  try {
    const names = [
      ...Array.from({ length: count }, (_, i) => [`gateway-${i}`, 'gateway'] as const),
      ...others.map((roles, i) => [`other-${i}`, roles] as const),
    ];
    for (const [name, roles] of names) {
      const port = roles === 'jobs' ? 0 : await freePort();
      const redisUrl = plan.proxied?.(name) === true ? redisProxy.redisUrl : redis.url;
      parts.push(new Part(name, roles, port, redisUrl, plan.shiftMsOf?.(name) ?? 0));
    }
    await Promise.all(parts.map((part) => part.start()));
    const gateways = parts.slice(0, count);
    const rest = parts.slice(count);
    return {
      redis,
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
      controlUrls: rest.filter(({ roles }) => roles.includes('control')).map(({ port }) => `http://127.0.0.1:${port}`),
      verify: () => verify(redis.url),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Runs `stampede verify`. */
async function verify(redisUrl: string) {
  const command = [...PROGRAM, 'verify', '--show', SHOW, '--json'];
  const env = { ...plainEnvironment(), REDIS_URL: redisUrl, KEY_PREFIX };
  const { code, stdout, stderr } = await new Program({ name: 'verify', command, env }).finished;
  const text = stdout + stderr;
  try {
    return { code, text, report: JSON.parse(stdout) as { violations: string[] } };
  } catch {
    return { code, text, report: { violations: [`verify printed no report: ${text.slice(0, 500)}`] } };
  }
}
