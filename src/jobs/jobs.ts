/**
 * The durable backup of the clock (BullMQ). Gateways open and close sales on time while they have
 * viewers. Jobs do it without viewers and after a restart of all processes: one delayed job for
 * each moment, and a sweep over all live shows every few seconds.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnectionOptions, DelayedError, type Job, Queue, Worker } from 'bullmq';
import type { Health } from '../domain/health.ts';
import type { SaleBooks } from '../domain/sale.ts';
import type { Scheduler } from '../domain/schedule.ts';
import { LIMITS } from '../limits.ts';
import { errorFields, type Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { tickLiveShows, tickShow } from './due-work.ts';
import { type SweepTask, sweepWhileFull } from './full-sweeps.ts';
import { type MomentData, planMoments } from './moments.ts';

/** An ioredis client for BullMQ, which duplicates it for its workers. */
export interface JobsConnection {
  readonly client: ConnectionOptions;
  close(): void;
}

export interface JobsDeps {
  readonly store: Scheduler & Health;
  /** Called when the store can use Redis: what kind of server it is, is known then. */
  readonly connect: () => JobsConnection;
  /** The prefix of the store. Keys of jobs start with `<keyPrefix>{jobs}`. */
  readonly keyPrefix: string;
  /** Does what is due at the end of shows (retention.ts). */
  readonly retention?: () => Promise<void>;
  readonly logger: Logger;
  readonly metrics?: Metrics;
}

export interface Jobs {
  /** Waits for Redis in the background. Resolves when jobs run, or were stopped. Never rejects. */
  start(): Promise<void>;
  /** Plans the opening and the closing of a sale. Never rejects: errors are left to the sweep. */
  planSale(showId: string, sale: SaleBooks): Promise<void>;
  /** Waits for running jobs, at most `jobStopMs`; then another process takes them over. */
  stop(): Promise<void>;
}

const QUEUE = 'clock';
const SWEEP = 'sweep';
const RETENTION = 'retention';
const START_RETRY_MS = 500;
const ERROR_LOG_EVERY_MS = 10_000;
/** With BullMQ's default of 15 s, an opening would wait that long after an outage. */
const RETRY_AFTER_ERROR_MS = 500;
const FOLLOW_EVERY_MS = 250;

interface Running {
  readonly connection: JobsConnection;
  readonly queue: Queue;
  readonly worker: Worker;
  readonly timers: readonly NodeJS.Timeout[];
  readonly unwatch: () => void;
  /** Connects again if the store has found another server. Never rejects. */
  follow(): Promise<void>;
}

export function createJobs(deps: JobsDeps): Jobs {
  const { store, metrics } = deps;
  const logger = deps.logger.child({ part: 'jobs' });
  const stopping = new AbortController();
  const logError = errorLog(store, logger);
  const onError = (error: unknown): void => {
    store.noteRefusal(error);
    logError(error);
  };
  let running: Running | null = null;
  let opening: JobsConnection | null = null;
  let starting: Promise<void> | null = null;
  let sweeps = 0;
  const tasks: SweepTask[] = [
    {
      name: SWEEP,
      everyMs: LIMITS.jobSweepEveryMs,
      run: () => tickLiveShows(store, sweeps++ % LIMITS.jobSweepsPerRestCheck === 0),
    },
  ];
  if (deps.retention !== undefined)
    tasks.push({ name: RETENTION, everyMs: LIMITS.jobRetentionEveryMs, run: deps.retention });
  let endFullSweeps = async (): Promise<void> => {};

  async function process(job: Job, token?: string): Promise<void> {
    const task = tasks.find(({ name }) => name === job.name);
    if (task !== undefined) return task.run();
    const { show, at } = job.data as MomentData;
    await tickShow(store, show);
    // BullMQ uses the local clock. A job that is early on the Redis clock is delayed again.
    const earlyMs = at - store.now();
    if (earlyMs <= 0) return;
    await job.moveToDelayed(Date.now() + Math.ceil(earlyMs), token);
    throw new DelayedError();
  }

  /** Adds the sweeps, after each start and repeatedly: the jobs may have been deleted in Redis. */
  async function schedule(queue: Queue): Promise<void> {
    for (const { name, everyMs: every } of tasks)
      await queue.upsertJobScheduler(name, { every }, { name, opts: { attempts: 1 } });
  }

  async function open(): Promise<Running> {
    const connection = deps.connect();
    const shared = {
      connection: connection.client,
      prefix: `${deps.keyPrefix}{jobs}`,
      // A user without INFO cannot be asked for the version of Redis.
      skipVersionCheck: store.redisCapabilities()?.identity === 'key',
    };
    const queue = new Queue(QUEUE, {
      ...shared,
      // Nothing reads them. By default BullMQ keeps 10,000.
      streams: { events: { maxLen: LIMITS.jobEventsKept } },
      defaultJobOptions: {
        attempts: LIMITS.jobAttemptsMax,
        backoff: { type: 'exponential', delay: LIMITS.jobBackoffMs, jitter: 0.5 },
        removeOnComplete: { count: LIMITS.jobsKeptCompleted },
        removeOnFail: { count: LIMITS.jobsKeptFailed },
      },
    });
    queue.on('error', onError);
    opening = connection;
    try {
      await queue.waitUntilReady();
      await schedule(queue);
    } catch (error) {
      await queue.close().catch(onError);
      connection.close();
      throw error;
    } finally {
      opening = null;
    }
    const worker = new Worker(QUEUE, process, {
      ...shared,
      concurrency: LIMITS.jobConcurrency,
      maxStalledCount: LIMITS.jobAttemptsMax,
      lockDuration: LIMITS.jobLockMs,
      stalledInterval: LIMITS.jobStalledCheckEveryMs,
      runRetryDelay: RETRY_AFTER_ERROR_MS,
    });
    worker.on('error', onError);
    worker.on('completed', (job) => {
      metrics?.jobs.inc({ queue: QUEUE, outcome: 'completed' });
      metrics?.jobLastRun.setToCurrentTime({ task: job.name });
    });
    worker.on('failed', (job, err) => {
      metrics?.jobs.inc({ queue: QUEUE, outcome: 'failed' });
      store.noteRefusal(err);
      if (store.trouble() !== null) return;
      const fields = { job: job?.name, id: job?.id, attempt: job?.attemptsMade };
      logger.warn({ ...errorFields(err), ...fields }, 'a job failed');
    });
    const scheduleAgain = (): void => {
      if (store.trouble() === null) schedule(queue).catch(onError);
    };
    const guard = setInterval(scheduleAgain, LIMITS.jobScheduleGuardMs);
    // Redis may have refused the step that adds the next sweep.
    const unwatch = store.watchTrouble(scheduleAgain);
    const follow = follower(store, queue, worker, { schedule: () => schedule(queue), onError });
    const timers = [guard, setInterval(follow, FOLLOW_EVERY_MS)];
    for (const timer of timers) timer.unref();
    return { connection, queue, worker, timers, unwatch, follow };
  }

  function onFullSweep(task: string, error: unknown): void {
    if (error === null) metrics?.jobLastRun.setToCurrentTime({ task });
    else onError(error);
  }

  async function openWhenUp(): Promise<void> {
    while (!stopping.signal.aborted) {
      if (store.trouble() === null) {
        const opened = await open().catch(onError);
        if (opened) {
          running = opened;
          logger.info('jobs run');
          return;
        }
      }
      await sleep(START_RETRY_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  }

  return {
    async start() {
      if (stopping.signal.aborted) throw new Error('jobs were stopped and do not start again');
      if (starting === null) endFullSweeps = sweepWhileFull(store, tasks, onFullSweep);
      starting ??= openWhenUp();
      await starting;
    },
    async planSale(showId, sale) {
      if (!running || store.trouble() !== null) {
        logger.debug({ show: showId, sale: sale.id }, 'Redis is unavailable: the sweep opens and closes the sale');
        return;
      }
      await running.follow();
      await planMoments(running.queue, showId, sale, store.now()).catch((err: unknown) =>
        logger.warn(
          { err, show: showId, sale: sale.id },
          'a moment was not planned: the sweep opens and closes the sale',
        ),
      );
    },
    async stop() {
      stopping.abort();
      const closed = Promise.resolve(starting).then(() => (running ? close(running) : undefined));
      const ended = Promise.all([closed, endFullSweeps()]);
      const inTime = await Promise.race([ended.then(() => true), sleep(LIMITS.jobStopMs, false, { ref: false })]);
      if (inTime) return;
      logger.warn('jobs did not end in time: another process takes them over');
      if (running) abandon(running);
      else opening?.close();
    },
  };
}

interface FollowerCalls {
  schedule(): Promise<void>;
  onError(error: unknown): void;
}

/**
 * Returns a check that makes BullMQ connect again when the store has found another server. A client
 * that waits for a job would stay at the old primary, and one behind a name at its old address.
 */
function follower(store: Health, queue: Queue, worker: Worker, { schedule, onError }: FollowerCalls) {
  let known = store.runId();
  return async (): Promise<void> => {
    const runId = store.runId();
    if (runId === null || runId === known) return;
    const isMoved = known !== null;
    known = runId;
    if (!isMoved) return;
    try {
      const clients = await Promise.all([queue.getBackend().client, worker.getBackend().blockingClient]);
      for (const client of clients)
        if (client?.status === 'ready' || client?.status === 'connect') client.disconnect(true);
      await schedule();
    } catch (error) {
      onError(error);
    }
  };
}

async function close({ connection, queue, worker, timers, unwatch }: Running): Promise<void> {
  for (const timer of timers) clearInterval(timer);
  unwatch();
  await worker.close();
  await queue.close();
  connection.close();
}

function abandon({ connection, worker, timers, unwatch }: Running): void {
  for (const timer of timers) clearInterval(timer);
  unwatch();
  for (const closing of [worker.close(true), worker.disconnect()]) Promise.resolve(closing).catch(() => {});
  connection.close();
}

/**
 * Logs at most one error every few seconds, and none while the store knows why: it logs what to do
 * when that begins, and its end.
 */
function errorLog(store: Health, logger: Logger): (error: unknown) => void {
  let quietUntil = 0;
  return (error) => {
    const now = performance.now();
    if (store.trouble() !== null || now < quietUntil) return;
    quietUntil = now + ERROR_LOG_EVERY_MS;
    logger.warn(errorFields(error), 'jobs: error of Redis');
  };
}
