/**
 * Everything of Redis behind one object: what `src/sales/ports.ts` and `src/fanout/ports.ts` ask
 * for.
 */
import type { Logger } from 'pino';
import type { Health } from '../domain/health.ts';
import type { Scheduler } from '../domain/schedule.ts';
import type { ShowLog } from '../domain/show-log.ts';
import type { Store } from '../domain/store.ts';
import { ok, type Result } from '../protocol/codes.ts';
import { Ledgers } from './auditor.ts';
import { createKeys } from './keys.ts';
import { RedisLink } from './link.ts';
import { Moderation } from './moderation.ts';
import { Recovery } from './recovery.ts';
import { Reservations } from './reservations.ts';
import { RunningCommands } from './running.ts';
import { Sales } from './sales.ts';
import { registerScripts } from './scripts.ts';
import { ScriptSession, textOf } from './session.ts';
import { ShowLogs } from './show-log.ts';
import { Shows } from './shows.ts';

export interface StoreOptions {
  /** `redis://`, `rediss://`, `unix:///path`, or a comma-separated list of cluster nodes. */
  url: string;
  /** Starts every key; no braces. */
  keyPrefix?: string;
  logger?: Logger;
  /** Told how long each script took, in milliseconds from sending it to its reply. */
  onScript?: (script: string, elapsedMs: number) => void;
}

export interface ConnectedStore extends Store, ShowLog {
  relayStats(): { channels: number; messages: number };
}

/**
 * Connects and resolves once Redis answered or is known to be away; then every method answers
 * `redis_unavailable` until it is back, and no restart is needed. Rejects with a `StampedeError`
 * when Redis must not be used: a replica, an evicting maxmemory-policy, a version before 7.
 */
export async function connectStore({
  url,
  keyPrefix = 'stampede:',
  logger,
  onScript,
}: StoreOptions): Promise<ConnectedStore> {
  const link = new RedisLink(url, logger);
  const keys = createKeys(keyPrefix);
  const session = new ScriptSession({ link, keys, scripts: registerScripts(link.client), logger, onScript });
  const shows = new Shows(session);
  const sales = new Sales(session);
  const reservations = new Reservations(session);
  const running = new RunningCommands(session);
  const logs = new ShowLogs(session);
  const moderation = new Moderation(session);
  const ledgers = new Ledgers(session);
  const recovery = new Recovery(session, ledgers, logger);
  try {
    await link.open();
  } catch (error) {
    await link.close();
    throw error;
  }

  /**
   * Takes a show out of the index, then looks again: a sale made between the tick and the removal
   * puts it back, in whatever order the two interleave.
   */
  const retire = (showId: string): Promise<Result<unknown>> =>
    session.guard(async () => {
      await link.client.srem(keys.live, showId);
      const { show, due } = keys.show(showId).of;
      const [liveSales, dueCount] = await Promise.all([link.client.hget(show, 'live_sales'), link.client.zcard(due)]);
      if (Number(liveSales ?? 0) > 0 || dueCount > 0) await link.client.sadd(keys.live, showId);
    });

  const clockwork: Scheduler = {
    async tick(showId) {
      const reply = await session.run('tick', showId, []);
      if (!reply.ok) return reply;
      const [nextDue, done, live, recovering] = reply.value;
      if (recovering === 1) void recovery.run(showId);
      if (live === 0) await retire(showId);
      return ok({ done: Number(done), nextDueAt: textOf(nextDue) === '' ? null : Number(textOf(nextDue)) });
    },
    liveShows: () => session.guard(() => link.client.smembers(keys.live)),
  };

  const health: Health = {
    now: () => link.clock.now(),
    nowErrorMs: () => link.clock.errorMs(),
    trouble: () => link.trouble(),
    durability: () => link.durability(),
    runId: () => link.runId(),
    async ping(): Promise<Result<{ roundTripMs: number }>> {
      const sent = performance.now();
      const pong = await session.guard(() => link.client.ping());
      return pong.ok ? ok({ roundTripMs: performance.now() - sent }) : pong;
    },
  };

  return {
    ...clockwork,
    ...health,
    createShow: shows.createShow.bind(shows),
    getShow: shows.getShow.bind(shows),
    listShows: shows.listShows.bind(shows),
    updateShow: shows.updateShow,
    startShow: shows.startShow,
    async endShow(showId, actor) {
      // The state first: an ended show takes no new sale, so that none slips in behind. Repeating
      // it finishes what a crash left.
      const show = await shows.endShow(showId, actor);
      if (!show.ok) return show;
      const ended = await sales.endAll(showId, actor);
      return ended.ok ? show : ended;
    },
    putProduct: shows.putProduct.bind(shows),
    removeProduct: shows.removeProduct.bind(shows),
    listProducts: shows.listProducts.bind(shows),
    pinProduct: shows.pinProduct.bind(shows),
    announce: shows.announce.bind(shows),
    removeChat: moderation.removeChat.bind(moderation),
    mute: moderation.mute.bind(moderation),
    unmute: moderation.unmute.bind(moderation),
    mutes: moderation.mutes.bind(moderation),
    recentChat: moderation.recentChat.bind(moderation),
    viewerNumbers: moderation.viewerNumbers.bind(moderation),
    createSale: sales.createSale.bind(sales),
    getSale: sales.getSale.bind(sales),
    listSales: sales.listSales.bind(sales),
    moveSale: sales.moveSale.bind(sales),
    reserve: reservations.reserve.bind(reservations),
    confirm: reservations.confirm.bind(reservations),
    release: reservations.release.bind(reservations),
    getReservation: reservations.getReservation.bind(reservations),
    holdingsOf: reservations.holdingsOf.bind(reservations),
    alone: running.alone.bind(running),
    once: running.once.bind(running),
    extendHold: reservations.extendHold.bind(reservations),
    waitlist: reservations.waitlist.bind(reservations),
    async reconcile(showId, actor) {
      const books = await ledgers.reconcile(showId, actor);
      if (!books.ok) return books;
      for (const sale of books.value.untrusted) {
        const paused = await sales.moveSale(
          showId,
          sale,
          { op: 'pause' },
          { key: `untrusted:${books.value.entries}`, actor },
        );
        if (!paused.ok && paused.error.code !== 'illegal_move') return paused;
      }
      return books;
    },
    verify: ledgers.verify.bind(ledgers),
    subscribe: logs.subscribe.bind(logs),
    load: logs.load.bind(logs),
    eventsAfter: logs.eventsAfter.bind(logs),
    appendChat: logs.appendChat.bind(logs),
    reportCounts: logs.reportCounts.bind(logs),
    reportRefusals: logs.reportRefusals.bind(logs),
    relayStats: logs.relayStats.bind(logs),
    close: () => link.close(),
  };
}
