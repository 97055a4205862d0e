/** All that Redis stores, as one object: the ports of `src/domain`. */
import type { Logger } from 'pino';
import type { Reconciliation } from '../domain/audit.ts';
import { type Health, type RedisState, troubleText } from '../domain/health.ts';
import type { RedisTarget } from '../domain/redis-target.ts';
import type { CountHolds } from '../domain/reservation.ts';
import type { Scheduler } from '../domain/schedule.ts';
import type { Store } from '../domain/store.ts';
import { LIMITS } from '../limits.ts';
import { type Failure, failure, isGone, ok, type Result, StampedeError } from '../protocol/codes.ts';
import { createArchiveStore } from './archive-store.ts';
import { createCommandGuard } from './command-guard.ts';
import { FIRST_REPLY_MS_MAX, RedisConnection } from './connection.ts';
import { createErasures } from './erasures.ts';
import { isFull, writeIfFull } from './full.ts';
import { createKeys } from './keys.ts';
import { createLedgerAuditor } from './ledger-auditor.ts';
import { createMemoryReader } from './memory.ts';
import { createModeration } from './moderation.ts';
import { watchNodeName } from './node-name.ts';
import { createOrders } from './orders.ts';
import { createPublicShows } from './public-shows.ts';
import { createRecovery, type Recover, type Recovered } from './recovery.ts';
import { createReservations } from './reservations.ts';
import { createSales } from './sales.ts';
import { mapped, numberOf, ScriptRunner, textOf } from './script-runner.ts';
import type { ScriptModes, ScriptReply } from './scripts.ts';
import { createShowLog } from './show-log.ts';
import { createShowPlans } from './show-plans.ts';
import { createShowTransfer } from './show-transfer.ts';
import { createShows } from './shows.ts';
import { isRefused } from './states.ts';

export interface StoreOptions {
  redis: RedisTarget;
  /** Starts every key; no braces. */
  keyPrefix?: string;
  /** Follows the prefix in each key, for a store that must not touch the installation. */
  keySpace?: string;
  /** How scripts run; by default as the server allows. */
  scripts?: 'auto' | ScriptModes['scripts'];
  /** How scripts publish to the relay; by default as the server allows. */
  publish?: 'auto' | ScriptModes['publish'];
  /** The process runs jobs, which need more permissions. */
  runsJobs?: boolean;
  /** The longest hold of a new sale, and of a hold that is extended. */
  holdMaxMs?: number;
  logger?: Logger;
  /** Name of this process; a warning is logged while another live process has the same. */
  node?: string;
  /** Called when another live process has the same name, and when it no longer has. */
  onNodeNameShared?: (isShared: boolean) => void;
  /** Receives how long each script took, from sending it to its reply. */
  onScript?: (script: string, elapsedMs: number) => void;
  /** Receives what the calls of this process did to holds. */
  onHolds?: CountHolds;
  /** Receives the amount of each order that this process confirmed, in minor units. */
  onOrder?: (currency: string, amount: number) => void;
  /** Called after another Redis server was noticed, for each show whose books were verified. */
  onRecovered?: (found: Recovered) => void;
}

export type ConnectedStore = Store & ReturnType<typeof createShowLog>;

function createScheduler(runner: ScriptRunner, recover: Recover): Scheduler {
  const { live, resting } = runner.keys;

  /**
   * Removes a show from the index of live ones, until something is due. Puts it back if a host
   * planned something between the tick and the removal.
   */
  async function rest(showId: string, dueAt: number | null): Promise<Result<unknown>> {
    const removed = await runner.guard(async (client) => {
      if (dueAt !== null) await writeIfFull(client, 'ZADD', resting, dueAt, showId);
      await client.srem(live, showId);
    });
    if (!removed.ok) return removed;
    const again = await runner.run('tick', showId, { mayRest: true });
    if (!again.ok) return again;
    const hasChanged = again.value[2] === 1 || momentOf(again.value[0]) !== dueAt;
    return hasChanged ? runner.write('SADD', live, showId) : again;
  }

  return {
    async tick(showId, mayRest = false) {
      const reply = await runner.run('tick', showId, mayRest ? { mayRest } : {});
      if (!reply.ok) {
        if (isGone(reply.error.code))
          await runner.guard((client) => Promise.all([client.srem(live, showId), client.zrem(resting, showId)]));
        return reply;
      }
      const [nextDue, done, isLive, recovering] = reply.value;
      const nextDueAt = momentOf(nextDue);
      if (recovering === 1) void recover(showId);
      if (isLive === 0) await rest(showId, nextDueAt);
      return ok({ done: Number(done), nextDueAt });
    },
    liveShows: () =>
      runner.guard(async (client) => {
        const until = String(Math.floor(runner.connection.clock.now() + LIMITS.restAheadMs / 2));
        const woken = await client.zrange(resting, '-inf', until, 'BYSCORE', 'LIMIT', 0, LIMITS.pageItemsMax);
        if (woken.length > 0) await writeIfFull(client, 'SADD', live, ...woken);
        if (woken.length > 0) await client.zrem(resting, ...woken);
        return (await client.smembers(live)).filter((id) => runner.isShowId(live, id));
      }),
  };
}

const momentOf = (text: ScriptReply[number] | undefined): number | null =>
  textOf(text) === '' ? null : numberOf(text);

function createHealth(runner: ScriptRunner): Health {
  const { connection } = runner;
  return {
    now: () => connection.clock.now(),
    nowErrorMs: () => connection.clock.errorMs(),
    clockSteps: () => connection.clock.steps,
    trouble: () => connection.status.trouble,
    refusal: () => connection.status.refusal,
    watchTrouble: (listener) => connection.status.watch(listener),
    ready: () => connection.status.ready(),
    redisCapabilities: () => connection.capabilities,
    ...createMemoryReader(runner),
    durability: () => connection.durability,
    runId: () => connection.runId(),
    noteRefusal(error) {
      if (isRefused(error) || isFull(error)) connection.report(error);
    },
    async ping() {
      const sent = performance.now();
      return mapped(await runner.guard((client) => client.ping()), () => ({ roundTripMs: performance.now() - sent }));
    },
  };
}

/** Returns why an untrusted sale may go on selling after this refusal to pause it, or null. */
function whyUnpaused({ code, message, details }: Failure): string | null {
  if (code !== 'illegal_move') return `${code}: ${message}`;
  if (details?.state !== 'scheduled') return null;
  return 'it is scheduled and opens at its time: cancel it, or schedule it later';
}

/** Waiting may help, but a caller that needs Redis now should know that it replied. */
const MUST_NOT_BE_USED: ReadonlySet<RedisState> = new Set([
  'replica',
  'evicting',
  'too_old',
  'no_permission',
  'missing_command',
  'not_cluster',
  'other_relay',
  'no_relay',
]);

/**
 * Resolves once Redis replied or is known to be unavailable; until it is back, every method returns
 * `redis_unavailable`. Rejects with a `StampedeError` if Redis replied but must not be used, for
 * example because it is a replica.
 */
export async function connectStore(options: StoreOptions): Promise<ConnectedStore> {
  const { store, connection } = openStore(options);
  const trouble = await connection.status.firstOutcome(FIRST_REPLY_MS_MAX);
  if (trouble === null || !MUST_NOT_BE_USED.has(trouble.state)) return store;
  await store.close();
  const code = trouble.state === 'replica' ? 'redis_readonly' : 'redis_unavailable';
  throw new StampedeError(failure(code, troubleText(trouble)));
}

/** Starts to connect. Until Redis can be used, every method returns `redis_unavailable`. */
export const createStore = (options: StoreOptions): ConnectedStore => openStore(options).store;

function openStore(options: StoreOptions): { store: ConnectedStore; connection: RedisConnection } {
  const { redis: target, keyPrefix = 'stampede:', keySpace = '', logger, node, onScript, onRecovered } = options;
  const { onHolds, onOrder, holdMaxMs = LIMITS.holdMaxDefaultMs } = options;
  const { scripts = 'auto', publish = 'auto', runsJobs = false } = options;
  const keys = createKeys(keyPrefix + keySpace);
  const connection = new RedisConnection({ target, keys, keyPrefix, modes: { scripts, publish }, runsJobs, logger });
  const runner = new ScriptRunner({ connection, keys, logger, onScript, onHolds, onOrder });
  const shows = createShows(runner);
  const { createFilling: _createFilling, ...ofShows } = shows;
  const { endAll, ...sales } = createSales(runner, holdMaxMs);
  const auditor = createLedgerAuditor(runner);
  const recover = createRecovery(runner, auditor, logger, onRecovered);
  runner.onFenced = (showId) => void recover(showId);
  const showLog = createShowLog(runner);
  const moderation = createModeration(runner);
  const unwatch = node === undefined ? null : watchNodeName(runner, node, logger, options.onNodeNameShared);

  const scheduler = createScheduler(runner, recover);
  const store: ConnectedStore = {
    ...scheduler,
    ...createPublicShows(runner),
    ...createArchiveStore({ runner, recover, endAll, tick: scheduler.tick }),
    ...createShowTransfer(runner),
    ...createHealth(runner),
    ...ofShows,
    ...createShowPlans(runner, shows, sales, holdMaxMs),
    ...moderation,
    ...createErasures(runner, moderation),
    ...sales,
    ...createReservations(runner, holdMaxMs),
    ...createOrders(runner),
    ...createCommandGuard(runner),
    ...auditor,
    ...showLog,
    async endShow(showId, actor) {
      // The state comes first: an ended show takes no new sale. A repeat continues after a crash.
      const show = await shows.endShow(showId, actor);
      if (!show.ok) return show;
      const ended = await endAll(showId, actor);
      // What cannot be read is logged, and must not keep a show live.
      return ended.ok || ended.error.code === 'internal' ? show : ended;
    },
    async reconcile(showId, actor) {
      const books = await auditor.reconcile(showId, actor);
      if (!books.ok) return books;
      const { entries, untrusted } = books.value;
      const unpaused: Reconciliation['unpaused'] = [];
      for (const sale of untrusted) {
        const command = { key: `untrusted:${entries}:${sale}`, actor };
        const paused = await sales.moveSale(showId, sale, { op: 'pause' }, command);
        const reason = paused.ok ? null : whyUnpaused(paused.error);
        if (reason !== null) unpaused.push({ sale, reason });
      }
      return ok({ ...books.value, unpaused });
    },
    async close() {
      unwatch?.();
      await connection.close();
    },
  };
  return { store, connection };
}
