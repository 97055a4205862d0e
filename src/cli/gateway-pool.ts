/**
 * Gateway processes that share one port: children of this program, drained over their IPC channel
 * and restarted when they die. A child ends when the channel closes, even if its parent was killed.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { LIMITS } from '../limits.ts';
import type { MetricFamily } from '../telemetry/exposition.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { WorkerState } from '../telemetry/metrics.ts';

interface PoolOptions {
  readonly workers: number;
  /** What the environment cannot say: a HOST that is a name is ignored there. */
  readonly flags: readonly string[];
  readonly logger: Logger;
}

export interface GatewayPool {
  /**
   * Starts child 1, 2, ... Resolves when all have opened the port. If one fails, ends the others
   * and rejects.
   */
  start(environmentOf: (worker: number) => Record<string, string>): Promise<void>;
  /** Resolves when every child could use Redis once. */
  readonly ready: Promise<void>;
  /** `stop` or `kill` was called. */
  isDraining(): boolean;
  /** The state of each child, with the result of the last scrape. */
  workers(): readonly WorkerState[];
  /** Returns the metrics of the children that reply within a second. */
  scrape(): Promise<MetricFamily[][]>;
  /** Drains all children and kills those that exceed the bound. */
  stop(): Promise<void>;
  /** Kills all children with SIGKILL. */
  kill(): void;
}

/** Messages over the IPC channel. */
export type FromWorker =
  /** The port is open. */
  | { readonly kind: 'listening' }
  /** Redis can be used. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'metrics'; readonly request: number; readonly families: MetricFamily[] };
export type ToWorker = { readonly kind: 'drain' } | { readonly kind: 'metrics'; readonly request: number };

const LISTENING_MS_MAX = 60_000;
const SCRAPE_MS_MAX = 1_000;
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
  state: WorkerState['state'];
  isScraped: boolean;
  restarts: number;
  missedScrapes: number;
  startedAt: number;
  restartMs: number;
  timer: NodeJS.Timeout | null;
}

export function createGatewayPool({ workers, flags, logger }: PoolOptions): GatewayPool {
  const slots: Slot[] = Array.from({ length: workers }, (_, at) => ({
    worker: at + 1,
    child: null,
    state: 'starting',
    isScraped: false,
    restarts: 0,
    missedScrapes: 0,
    startedAt: 0,
    restartMs: RESTART_MS_MIN,
    timer: null,
  }));
  let environmentOf: (worker: number) => Record<string, string> = () => ({});
  let stopping = false;
  let scrapes = 0;
  let onAllReady: () => void = () => {};
  const ready = new Promise<void>((resolve) => {
    onAllReady = resolve;
  });

  function launch(slot: Slot): ChildProcess {
    const child = fork(ENTRY, ['serve', ...flags], {
      env: environmentOf(slot.worker),
      execArgv: [...process.execArgv, YOUNG_HEAP],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // JSON has no infinite numbers, which metrics may have.
      serialization: 'advanced',
    });
    slot.child = child;
    slot.startedAt = performance.now();
    child.on('error', (err) =>
      logger.error({ err, worker: slot.worker }, 'gateway worker not started or not reachable'),
    );
    child.on('message', (message: FromWorker) => {
      if (message.kind !== 'ready') return;
      slot.state = 'ready';
      if (slots.every(({ state }) => state === 'ready')) onAllReady();
    });
    child.once('exit', (code, signal) => {
      slot.child = null;
      slot.state = 'restarting';
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
    slot.restarts += 1;
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

  async function scrape(slot: Slot, request: number): Promise<MetricFamily[]> {
    const families = slot.child === null ? null : await familiesOf(slot.child, request);
    slot.isScraped = families !== null;
    if (families === null) slot.missedScrapes += 1;
    return families ?? [];
  }

  return {
    ready,
    isDraining: () => stopping,
    workers: () => slots,
    scrape() {
      const request = ++scrapes;
      return Promise.all(slots.map((slot) => scrape(slot, request)));
    },
    async start(environment) {
      environmentOf = environment;
      const first = await Promise.allSettled(slots.map((slot) => untilListening(launch(slot), slot.worker)));
      const failed = first.find((outcome) => outcome.status === 'rejected');
      if (!failed) return;
      kill();
      throw failed.reason;
    },
    stop,
    kill,
  };
}

/** Redis may be away for long: a worker that waits for it is alive. */
function untilListening(child: ChildProcess, worker: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const seconds = LISTENING_MS_MAX / 1000;
    const late = setTimeout(
      () => reject(new Error(`gateway worker ${worker} did not open its port within ${seconds} s. See its log.`)),
      LISTENING_MS_MAX,
    );
    child.once('exit', (code, signal) => {
      clearTimeout(late);
      const end = signal ?? `exit code ${code}`;
      reject(new Error(`gateway worker ${worker} ended before it was ready (${end}). See its output above.`));
    });
    child.on('message', (message: FromWorker) => {
      if (message.kind !== 'listening') return;
      clearTimeout(late);
      resolve();
    });
  });
}

/** Returns the metrics of a child, or null if it does not reply in time. */
async function familiesOf(child: ChildProcess, request: number): Promise<MetricFamily[] | null> {
  const timer = new AbortController();
  const late = sleep(SCRAPE_MS_MAX, null, { signal: timer.signal }).catch(() => null);
  let onMessage: (message: FromWorker) => void = () => {};
  const reply = new Promise<MetricFamily[]>((resolve) => {
    onMessage = (message) => {
      if (message.kind === 'metrics' && message.request === request) resolve(message.families);
    };
  });
  child.on('message', onMessage);
  if (child.connected) child.send({ kind: 'metrics', request } satisfies ToWorker, () => {});
  const families = await Promise.race([reply, late]);
  timer.abort();
  child.off('message', onMessage);
  return families;
}

function drain(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    if (child.connected) child.send({ kind: 'drain' } satisfies ToWorker);
    else child.kill('SIGKILL');
  });
}
