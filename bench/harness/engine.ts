/** A gateway in a process of its own on a Redis of the bench's own: what a load generator talks to. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createTokens } from '../../src/auth/tokens.ts';
import type { Role } from '../../src/protocol/messages.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { type AppendMode, type BenchRedis, startBenchRedis } from './redis.ts';

export interface BenchEngine {
  readonly redis: BenchRedis;
  readonly store: ConnectedStore;
  readonly port: number;
  /** Of the gateway process. */
  readonly pid: number;
  token(show: string, user: string, role?: Role): string;
  stop(): Promise<void>;
}

const SECRET = 'bench-secret-bench-secret-bench-secret';
const START_MS_MAX = 20_000;

export async function startBenchEngine(options: { append: AppendMode; env?: Record<string, string> }): Promise<BenchEngine> {
  const entry = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
  if (!existsSync(entry)) throw new Error('dist/ is missing: npm run build first');
  const redis = await startBenchRedis(options.append);
  const store = await connectStore({ url: redis.url });
  const port = await freePort();
  const child = spawn(
    process.execPath,
    ['--max-semi-space-size=64', ...(process.env.BENCH_NODE_FLAGS ?? '').split(' ').filter(Boolean), entry, 'serve', '--roles', 'gateway'],
    {
      env: {
        ...process.env,
        REDIS_URL: redis.url,
        GATEWAY_PORT: String(port),
        HOST: '127.0.0.1',
        AUTH_SECRET: SECRET,
        API_KEYS: 'bench:bench-key-bench-key-bench-key-0001',
        LOG_LEVEL: 'warn',
        NODE_ENV: 'production',
        ...options.env,
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  const stopNow = (): void => void child.kill('SIGKILL');
  process.once('exit', stopNow);
  await ready(port, child);
  const tokens = createTokens({ secret: SECRET, nowMs: () => Date.now() });
  return {
    redis,
    store,
    port,
    pid: child.pid ?? 0,
    token: (show, user, role = 'buyer') => tokens.mint({ show, user, name: user, role }, 3600),
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      stopNow();
      await ended;
      process.removeListener('exit', stopNow);
      await store.close();
      await redis.stop();
    },
  };
}

async function ready(port: number, child: ChildProcess): Promise<void> {
  const until = Date.now() + START_MS_MAX;
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    if (answer?.ok) return;
    if (child.exitCode !== null || Date.now() > until) throw new Error(`the gateway did not become ready (exit code ${child.exitCode})`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (address && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}
