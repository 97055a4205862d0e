/**
 * Gateway processes that share one port: children of this program, drained over their IPC channel
 * and restarted when they die. A child ends when the channel closes, even if its parent was killed.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { LIMITS } from '../limits.ts';
import type { Logger } from '../telemetry/logger.ts';

interface PoolOptions {
  readonly workers: number;
  /** The environment of child 1, 2, ... */
  readonly environmentOf: (worker: number) => Record<string, string>;
  readonly logger: Logger;
}

export interface GatewayPool {
  /** Resolves when all children serve. If one fails, ends the others and rejects. */
  start(): Promise<void>;
  /** Drains all children and kills those that exceed the bound. */
  stop(): Promise<void>;
  /** Kills all children with SIGKILL. */
  kill(): void;
}

/** Messages over the IPC channel. */
export type FromWorker = { readonly kind: 'ready' };
export type ToWorker = { readonly kind: 'drain' };

const READY_MS_MAX = 20_000;
const STOP_MS_MAX = LIMITS.drainMs + 4_000;
const RESTART_MS_MIN = 250;
const RESTART_MS_MAX = 10_000;
/**
 * A rush makes many short-lived objects. A young heap larger than V8's 16 MiB saves copying them.
 * V8 reads the flag at its start only; the first line of `main.ts` sets it for a single process.
 */
const YOUNG_HEAP = '--max-semi-space-size=64';
/** A child that ran this long is healthy: its next restart is immediate again. */
const HEALTHY_MS = 30_000;

const ENTRY = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url));

interface Slot {
  readonly worker: number;
  child: ChildProcess | null;
  startedAt: number;
  restartMs: number;
  timer: NodeJS.Timeout | null;
}

export function createGatewayPool({ workers, environmentOf, logger }: PoolOptions): GatewayPool {
  const slots: Slot[] = Array.from({ length: workers }, (_, at) => ({
    worker: at + 1,
    child: null,
    startedAt: 0,
    restartMs: RESTART_MS_MIN,
    timer: null,
  }));
  let stopping = false;

  function launch(slot: Slot): ChildProcess {
    const child = fork(ENTRY, ['serve'], {
      env: environmentOf(slot.worker),
      execArgv: [...process.execArgv, YOUNG_HEAP],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    slot.child = child;
    slot.startedAt = performance.now();
    child.on('error', (err) =>
      logger.error({ err, worker: slot.worker }, 'gateway worker not started or not reachable'),
    );
    child.once('exit', (code, signal) => {
      slot.child = null;
      if (!stopping) restartLater(slot, code, signal);
    });
    return child;
  }

  function restartLater(slot: Slot, code: number | null, signal: NodeJS.Signals | null): void {
    if (performance.now() - slot.startedAt > HEALTHY_MS) slot.restartMs = RESTART_MS_MIN;
    logger.error(
      { worker: slot.worker, code, signal, restartMs: slot.restartMs },
      'gateway worker ended unexpectedly, restarting',
    );
    slot.timer = setTimeout(() => launch(slot), slot.restartMs);
    slot.restartMs = Math.min(slot.restartMs * 2, RESTART_MS_MAX);
  }

  function kill(): void {
    stopping = true;
    for (const slot of slots) {
      if (slot.timer) clearTimeout(slot.timer);
      slot.child?.kill('SIGKILL');
    }
  }

  async function stop(): Promise<void> {
    stopping = true;
    const late = setTimeout(kill, STOP_MS_MAX);
    await Promise.all(
      slots.map(async ({ child, timer }) => {
        if (timer) clearTimeout(timer);
        if (child) await drain(child);
      }),
    );
    clearTimeout(late);
  }

  return {
    async start() {
      const first = await Promise.allSettled(slots.map((slot) => waitUntilReady(launch(slot), slot.worker)));
      const failed = first.find((outcome) => outcome.status === 'rejected');
      if (!failed) return;
      kill();
      throw failed.reason;
    },
    stop,
    kill,
  };
}

function waitUntilReady(child: ChildProcess, worker: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () => reject(new Error(`gateway worker ${worker} was not ready within ${READY_MS_MAX / 1000} s. See its log.`)),
      READY_MS_MAX,
    );
    child.once('exit', (code, signal) => {
      clearTimeout(late);
      const end = signal ?? `exit code ${code}`;
      reject(new Error(`gateway worker ${worker} ended before it was ready (${end}). See its output above.`));
    });
    child.on('message', (message: FromWorker) => {
      if (message.kind !== 'ready') return;
      clearTimeout(late);
      resolve();
    });
  });
}

function drain(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    if (child.connected) child.send({ kind: 'drain' } satisfies ToWorker);
    else child.kill('SIGKILL');
  });
}
