/** The log and relay of shows: sharded pub/sub, one channel for each show. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChatBatch } from '../domain/chat.ts';
import { ChatPiece } from '../domain/chat-piece.ts';
import type { MuteEntry, RelayListener, RoomSnapshot, ShowLog } from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import { ok, type Result } from '../protocol/codes.ts';
import type { Product, ShowEvent } from '../protocol/messages.ts';
import { viewOf } from './command-reply.ts';
import { booksOf, pack, saleView, unpack } from './records.ts';
import { anonymous, type ChatHead, chatBatch, decodeEvents, decodeRelay } from './relay.ts';
import { bufferOf, mapped, numberOf, type ScriptRunner, textOf } from './script-runner.ts';
import type { ScriptReply } from './scripts.ts';

const RESUBSCRIBE_PAUSE_MS = 200;
const NOTHING = Buffer.alloc(0);

function withoutRemoved(batch: ChatBatch, removed: ReadonlySet<number>): ChatBatch {
  if (removed.size === 0) return batch;
  const piece = batch.count > 0 ? ChatPiece.of(batch).without(removed) : null;
  if (piece === null) return { ...batch, count: 0, items: NOTHING };
  return { ...batch, count: piece.count, items: piece.items, last: piece.lastId - batch.firstId };
}

/** Reads members of a sorted set with their scores. */
const mutesOf = (flat: readonly Buffer[]): MuteEntry[] =>
  flat.flatMap((user, i) => (i % 2 === 0 ? [[textOf(user), numberOf(flat[i + 1])] as const] : []));

/** Reads the reply of load.lua. */
function snapshotOf(reply: ScriptReply): RoomSnapshot {
  const [epoch, offset, revText, nextDue, state, view, created, , hearts, peak, viewers, ...more] = reply;
  const [products, sales, stock, chat, unique, lastChat, removedIds, mutes] = more;
  const rev = numberOf(revText);
  const removed = new Set((removedIds as Buffer[]).map(numberOf));
  const chatParts = chat as Buffer[];
  const batches = chatParts.flatMap((head, i) =>
    i % 2 === 0 ? [chatBatch(unpack<ChatHead>(head), chatParts[i + 1] as Buffer)] : [],
  );
  return {
    rev,
    nextDueAt: textOf(nextDue) === '' ? null : numberOf(nextDue),
    chat: batches.map((batch) => withoutRemoved(batch, removed)),
    lastChat: numberOf(lastChat),
    mutes: mutesOf(mutes as Buffer[]),
    snapshot: {
      epoch: textOf(epoch),
      offset: numberOf(offset),
      show: viewOf(view, state, created),
      products: (products as Buffer[]).map((bytes) => unpack<Product>(bytes)).sort((a, b) => (a.id < b.id ? -1 : 1)),
      sales: booksOf(stock as Buffer[], sales as Buffer[], rev).map(saleView),
      state: { viewers: numberOf(viewers), peak: numberOf(peak), hearts: numberOf(hearts), unique: numberOf(unique) },
    },
  };
}

export function createShowLog(
  runner: ScriptRunner,
): ShowLog & { relayStats(): { channels: number; messages: number } } {
  const { subscriber } = runner.connection;
  const listenersOf = new Map<string, Set<RelayListener>>();
  let received = 0;

  /** No caller waits for this; what still arrives is dropped. */
  function stopListening(channel: string): void {
    subscriber.sunsubscribe(channel).catch(() => {});
  }

  /**
   * A command of a subscriber waits for the connection, and never resolves if that breaks. The
   * caller waits no longer than for any other command.
   */
  async function listen(channel: string): Promise<void> {
    const subscribing = subscriber.ssubscribe(channel).then(() => true);
    const timer = new AbortController();
    const late = sleep(LIMITS.redisCommandTimeoutMs, false, { signal: timer.signal }).catch(() => false);
    if (await Promise.race([subscribing, late])) return timer.abort();
    // A late subscription has no listener, unless there was another call for this show.
    subscribing.then(() => listenersOf.has(channel) || stopListening(channel)).catch(() => {});
    throw new Error('Command timed out');
  }

  /**
   * What was published while the connection was down is lost, so all listeners load again, after
   * Redis has confirmed the subscription.
   */
  async function resync(channel: string): Promise<void> {
    while (listenersOf.has(channel) && subscriber.status === 'ready') {
      const isListening = await listen(channel).then(
        () => true,
        () => sleep(RESUBSCRIBE_PAUSE_MS, false),
      );
      if (!isListening) continue;
      for (const listener of listenersOf.get(channel) ?? []) listener.onResync();
      return;
    }
  }

  function deliver(channel: string, bytes: Buffer): void {
    received++;
    const listeners = listenersOf.get(channel);
    // The connection broke before the unsubscribe was sent.
    if (!listeners) return stopListening(channel);
    const message = decodeRelay(bytes);
    for (const listener of listeners) {
      // Unknown bytes come from another release or program: their content is loaded.
      if (message === null) listener.onResync();
      else listener.onMessage(message);
    }
  }

  let wasReady = false;
  const onReady = (): void => {
    if (wasReady) for (const channel of listenersOf.keys()) void resync(channel);
    wasReady = true;
  };
  subscriber.on('smessageBuffer', (channel: Buffer, message: Buffer) => deliver(channel.toString(), message));
  subscriber.on('ready', onReady);
  // In a cluster single connections break: a slot moved, a master died, a replica took over.
  subscriber.on('subscribersReady', onReady);

  return {
    relayStats: () => ({ channels: listenersOf.size, messages: received }),

    async subscribe(showId, listener) {
      const { channel } = runner.keysOf(showId);
      const known = listenersOf.get(channel);
      const listeners = known ?? new Set<RelayListener>();
      listeners.add(listener);
      if (!known) listenersOf.set(channel, listeners);
      const subscribed = await runner.guard(() => listen(channel));
      const unsubscribe = async (): Promise<void> => {
        listeners.delete(listener);
        if (listeners.size > 0 || listenersOf.get(channel) !== listeners) return;
        listenersOf.delete(channel);
        stopListening(channel);
      };
      if (subscribed.ok) return ok({ unsubscribe });
      await unsubscribe();
      return subscribed;
    },

    load: async (showId) => mapped(await runner.run('load', showId, [LIMITS.chatHistoryMessages]), snapshotOf),

    async eventsAfter(showId, epoch, after): Promise<Result<ShowEvent[] | null>> {
      if (!Number.isInteger(after) || after < 0) return ok(null);
      const { show, log } = runner.keysOf(showId);
      const read = await runner.guard(async (client) => {
        const reading = client.multi().hmget(show, 'epoch', 'offset').xrangeBuffer(log, `(${after}-0`, '+');
        const values = ((await reading.exec()) ?? []).map(([error, value]) => {
          if (error) throw error;
          return value;
        });
        return values as [[string | null, string | null], Array<[Buffer, Buffer[]]>];
      });
      if (!read.ok) return read;
      const [[current, offset], entries] = read.value;
      const last = Number(offset ?? 0);
      if (current !== epoch || after > last) return ok(null);
      const events = entries.map(([, fields]) => decodeEvents(fields[1] as Buffer)[0] as ShowEvent);
      // A trimmed log, or one that lost its end, has a gap: the caller needs a snapshot.
      const isComplete = events.length === last - after && events.every((event, i) => event.offset === after + 1 + i);
      return ok(isComplete ? events : null);
    },

    async appendChat(showId, { node, at, count, items, cap }, authors) {
      const args = [node, at, count, cap?.perSecond ?? 0, cap?.marked ?? []];
      const ends = cap ? bufferOf(cap.ends) : NOTHING;
      const reply = await runner.run('chat_append', showId, args, bufferOf(items), ends, pack(authors));
      if (!reply.ok) return reply;
      const [firstId, shown] = reply.value;
      return ok({ firstId: numberOf(firstId), ...(shown === undefined ? {} : { shown: shown as number[] }) });
    },

    async reportCounts(showId, node, viewers, heartsDelta, newcomers = []) {
      const args = [node, viewers, heartsDelta, LIMITS.nodeCountsTtlMs, newcomers.map(anonymous)];
      return mapped(await runner.run('counts', showId, args), ([sum, peak, hearts, epoch, rev, unique]) => ({
        counts: { viewers: Number(sum), peak: Number(peak), hearts: numberOf(hearts), unique: Number(unique) },
        ...{ epoch: textOf(epoch), rev: numberOf(rev) },
      }));
    },

    async reportRefusals(showId, node, at, reports) {
      const rows = reports.map(({ sale, code, count, offset, rev }) => [sale, code, count, offset, rev]);
      return mapped(await runner.run('gate', showId, [node, at, rows]), () => null);
    },
  };
}
