/**
 * The log and relay of shows: sharded pub/sub, one channel a show. A message is one kind byte, the
 * length of its head (4 bytes, big endian), the head in MessagePack, and a body that only its
 * consumer looks into; chat bodies pass through undecoded.
 */

import { hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChatAppend, ChatAppended, ChatBatch } from '../domain/chat.ts';
import { ChatPiece } from '../domain/chat-piece.ts';
import type {
  Commit,
  CountsResult,
  MuteEntry,
  RefusalReport,
  RelayListener,
  RelayMessage,
  ReservationChange,
  RoomSnapshot,
  ShowLog,
} from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import { ok, type Result } from '../protocol/codes.ts';
import type { Product, ShowEvent, ShowState } from '../protocol/messages.ts';
import {
  eventOf,
  PackedNews,
  pack,
  type SalePatch,
  type ShowRecord,
  saleStateOf,
  saleView,
  showView,
  unpack,
  unpackAll,
} from './records.ts';
import { booksOf } from './sales.ts';
import { bufferOf, bytesOf, type ScriptSession, textOf } from './session.ts';

const KIND_COMMIT = 0x63; // c
const KIND_CHAT = 0x6d; // m
const KIND_COUNTS = 0x6e; // n
const HEAD_AT = 5;
const RESYNC_PAUSE_MS = 200;

export class ShowLogs implements ShowLog {
  readonly #session: ScriptSession;
  readonly #listeners = new Map<string, Set<RelayListener>>();
  #received = 0;

  constructor(session: ScriptSession) {
    this.#session = session;
    const { subscriber } = session.link;
    subscriber.on('smessageBuffer', (channel: Buffer, message: Buffer) => this.#deliver(channel.toString(), message));
    // What was published while the line was down is gone, so everybody loads again.
    let wasReady = false;
    const back = (): void => {
      if (wasReady) void this.#resync();
      wasReady = true;
    };
    subscriber.on('ready', back);
    // Of a cluster single lines break: a slot moved, a master died, a replica took over.
    subscriber.on('subscribersReady', back);
  }

  relayStats(): { channels: number; messages: number } {
    return { channels: this.#listeners.size, messages: this.#received };
  }

  async subscribe(showId: string, listener: RelayListener): Promise<Result<{ unsubscribe(): Promise<void> }>> {
    const { channel } = this.#session.keys.show(showId).of;
    const known = this.#listeners.get(channel);
    const listeners = known ?? new Set<RelayListener>();
    listeners.add(listener);
    if (!known) this.#listeners.set(channel, listeners);
    const subscribed = await this.#session.guard(() => this.#listen(channel));
    const unsubscribe = async (): Promise<void> => {
      listeners.delete(listener);
      if (listeners.size > 0 || this.#listeners.get(channel) !== listeners) return;
      this.#listeners.delete(channel);
      this.#stopListening(channel);
    };
    if (!subscribed.ok) {
      await unsubscribe();
      return subscribed;
    }
    return ok({ unsubscribe });
  }

  /**
   * A subscriber waits for its line, and a command whose line breaks is never answered: whoever
   * asks for a show does not wait longer than for any other command.
   */
  async #listen(channel: string): Promise<void> {
    const subscribing = this.#session.link.subscriber.ssubscribe(channel).then(() => true);
    const timer = new AbortController();
    const late = sleep(LIMITS.redisCommandTimeoutMs, false, { signal: timer.signal }).catch(() => false);
    if (await Promise.race([subscribing, late])) return timer.abort();
    // It may still come: nobody listens by then, unless somebody asked again.
    subscribing.then(() => this.#listeners.has(channel) || this.#stopListening(channel)).catch(() => {});
    throw new Error('Command timed out');
  }

  /** Nobody waits for this: what still arrives is dropped. */
  #stopListening(channel: string): void {
    this.#session.link.subscriber.sunsubscribe(channel).catch(() => {});
  }

  async load(showId: string): Promise<Result<RoomSnapshot>> {
    const reply = await this.#session.run('load', showId, [LIMITS.chatHistoryMessages]);
    if (!reply.ok) return reply;
    const [
      epoch,
      offset,
      revText,
      nextDue,
      state,
      view,
      created,
      ,
      hearts,
      peak,
      viewers,
      products,
      sales,
      stock,
      chat,
      unique,
      lastChat,
      removedIds,
      mutes,
    ] = reply.value;
    const rev = Number(textOf(revText));
    const chatParts = chat as Buffer[];
    const removed = new Set((removedIds as Buffer[]).map((id) => Number(textOf(id))));
    const history = chatParts.flatMap((head, i) =>
      i % 2 === 0 ? [chatBatch(unpack<ChatHead>(head), chatParts[i + 1] as Buffer)] : [],
    );
    return ok({
      rev,
      nextDueAt: textOf(nextDue) === '' ? null : Number(textOf(nextDue)),
      chat: removed.size === 0 ? history : history.map((batch) => withoutRemoved(batch, removed)),
      lastChat: Number(textOf(lastChat)),
      mutes: pairsOf(mutes as Buffer[]),
      snapshot: {
        epoch: textOf(epoch),
        offset: Number(textOf(offset)),
        show: showView(unpack<ShowRecord>(bytesOf(view)), textOf(state) as ShowState, Number(textOf(created))),
        products: (products as Buffer[]).map((bytes) => unpack<Product>(bytes)).sort((a, b) => (a.id < b.id ? -1 : 1)),
        sales: booksOf(stock as Buffer[], sales as Buffer[], rev).map(saleView),
        state: {
          viewers: Number(textOf(viewers)),
          peak: Number(textOf(peak)),
          hearts: Number(textOf(hearts)),
          unique: Number(textOf(unique)),
        },
      },
    });
  }

  async eventsAfter(showId: string, epoch: string, after: number): Promise<Result<ShowEvent[] | null>> {
    const keys = this.#session.keys.show(showId).of;
    if (!Number.isInteger(after) || after < 0) return ok(null);
    const read = await this.#session.guard(async () => {
      const replies =
        (await this.#session.link.client
          .multi()
          .hmget(keys.show, 'epoch', 'offset')
          .xrangeBuffer(keys.log, `(${after}-0`, '+')
          .exec()) ?? [];
      return replies.map(([error, value]) => {
        if (error) throw error;
        return value;
      }) as [[string | null, string | null], Array<[Buffer, Buffer[]]>];
    });
    if (!read.ok) return read;
    const [meta, entries] = read.value;
    const last = Number(meta[1] ?? 0);
    if (meta[0] !== epoch || after > last) return ok(null);
    const events = entries.map(([, fields]) => decodeEvents(fields[1] as Buffer)[0] as ShowEvent);
    // A trimmed log, or one that lost its end, has a hole: the caller needs a snapshot instead.
    const complete = events.length === last - after && events.every((event, i) => event.offset === after + 1 + i);
    return ok(complete ? events : null);
  }

  async appendChat(
    showId: string,
    { node, at, count, items, cap }: ChatAppend,
    authors: readonly string[],
  ): Promise<Result<ChatAppended>> {
    const args = [node, at, count, cap?.perSecond ?? 0, cap?.marked ?? []];
    const reply = await this.#session.run(
      'chat_append',
      showId,
      args,
      bufferOf(items),
      cap ? bufferOf(cap.ends) : NOTHING,
      pack(authors),
    );
    if (!reply.ok) return reply;
    const [firstId, shown] = reply.value;
    return ok({ firstId: Number(textOf(firstId)), ...(shown === undefined ? {} : { shown: shown as number[] }) });
  }

  async reportCounts(
    showId: string,
    node: string,
    viewers: number,
    heartsDelta: number,
    newcomers: readonly string[] = [],
  ): Promise<Result<CountsResult>> {
    const reply = await this.#session.run('counts', showId, [
      node,
      viewers,
      heartsDelta,
      LIMITS.nodeCountsTtlMs,
      newcomers.map(anonymous),
    ]);
    if (!reply.ok) return reply;
    const [sum, peak, hearts, epoch, rev, unique] = reply.value;
    const counts = { viewers: Number(sum), peak: Number(peak), hearts: Number(textOf(hearts)), unique: Number(unique) };
    return ok({ counts, epoch: textOf(epoch), rev: Number(textOf(rev)) });
  }

  async reportRefusals(
    showId: string,
    node: string,
    at: number,
    reports: readonly RefusalReport[],
  ): Promise<Result<null>> {
    const reply = await this.#session.run('gate', showId, [
      node,
      at,
      reports.map(({ sale, code, count, offset, rev }) => [sale, code, count, offset, rev]),
    ]);
    return reply.ok ? ok(null) : reply;
  }

  #deliver(channel: string, bytes: Buffer): void {
    this.#received++;
    const listeners = this.#listeners.get(channel);
    // Left over from a line that broke before it could be given up.
    if (!listeners) return this.#stopListening(channel);
    const message = decodeRelay(bytes);
    for (const listener of listeners) {
      // Bytes that only a stranger on our channel, or another release, can have sent: what they hid
      // is loaded.
      if (message === null) listener.onResync();
      else listener.onMessage(message);
    }
  }

  /**
   * Listen first, load after: ioredis subscribes again by itself, but only our own SSUBSCRIBE's
   * answer says that Redis has done it.
   */
  async #resync(): Promise<void> {
    await Promise.all(
      [...this.#listeners.keys()].map(async (channel) => {
        while (this.#listeners.has(channel) && this.#session.link.subscriber.status === 'ready') {
          const listening = await this.#listen(channel).then(
            () => true,
            () => sleep(RESYNC_PAUSE_MS, false),
          );
          if (!listening) continue;
          for (const listener of this.#listeners.get(channel) ?? []) listener.onResync();
          return;
        }
      }),
    );
  }
}

type ChatHead = [
  node: string,
  at: number,
  firstId: number,
  count: number,
  taken: number,
  last: number,
  authorBytes: number,
];
/**
 * `sizes`: bytes of each reservation record; they end the body, behind the events. The last `made`
 * of them are holds that `origin` asked for.
 */
type CommitHead = [
  rev: number,
  epoch: string,
  at: number,
  events: number,
  nextDueAt: number,
  sales: SalePatch[],
  sizes: number[],
  mutes?: MuteEntry[],
  origin?: string,
  made?: number,
];

const NOTHING = Buffer.alloc(0);
/** Enough to tell people apart, and not to tell who they are. */
const anonymous = (user: string): string => hash('sha1', user, 'base64url').slice(0, 12);
const chatBatch = ([node, at, firstId, count, taken, last]: ChatHead, items: Buffer): ChatBatch => ({
  node,
  at,
  firstId,
  count,
  items,
  taken,
  last,
});

function withoutRemoved(batch: ChatBatch, removed: ReadonlySet<number>): ChatBatch {
  const piece = batch.count > 0 ? ChatPiece.of(batch).without(removed) : null;
  return piece === null
    ? { ...batch, count: 0, items: NOTHING }
    : { ...batch, count: piece.count, items: piece.items, last: piece.lastId - batch.firstId };
}

/** Members of a sorted set with their scores. */
const pairsOf = (flat: readonly Buffer[]): MuteEntry[] =>
  flat.flatMap((user, i) => (i % 2 === 0 ? [[textOf(user), Number(textOf(flat[i + 1]))] as const] : []));

/** Events are four values each: offset, at, type, data. */
function decodeEvents(bytes: Uint8Array): ShowEvent[] {
  const values = unpackAll(bytes);
  const events: ShowEvent[] = [];
  for (let i = 0; i + 3 < values.length; i += 4)
    events.push(eventOf(values[i], values[i + 1], values[i + 2], values[i + 3]));
  return events;
}

/** Null for bytes that are no message of ours. */
export function decodeRelay(bytes: Buffer): RelayMessage | null {
  try {
    const bodyAt = HEAD_AT + bytes.readUInt32BE(1);
    const head = unpack(bytes.subarray(HEAD_AT, bodyAt));
    const body = bytes.subarray(bodyAt);
    switch (bytes[0]) {
      case KIND_COMMIT:
        return { kind: 'commit', commit: decodeCommit(head as CommitHead, body) };
      case KIND_CHAT: {
        const authorBytes = (head as ChatHead)[6];
        return {
          kind: 'chat',
          batch: { ...chatBatch(head as ChatHead, body.subarray(authorBytes)), authors: body.subarray(0, authorBytes) },
        };
      }
      case KIND_COUNTS: {
        const [viewers, peak, hearts, unique] = head as [number, number, number, number];
        return { kind: 'counts', counts: { viewers, peak, hearts, unique } };
      }
      default:
        return null;
    }
  } catch {
    return null;
  }
}

function decodeCommit(
  [rev, epoch, at, eventCount, nextDueAt, patches, sizes, mutes, origin = '', made = 0]: CommitHead,
  body: Buffer,
): Commit {
  let recordsAt = body.length;
  for (const size of sizes) recordsAt -= size;
  const events = eventCount === 0 ? [] : decodeEvents(body.subarray(0, recordsAt));
  const newsOf = (from: number, to: number): ReservationChange[] => {
    let at = recordsAt;
    const news: ReservationChange[] = [];
    for (let i = 0; i < to; i += 1) {
      const start = at;
      at += sizes[i] as number;
      if (i >= from) news.push(new PackedNews(body.subarray(start, at)));
    }
    return news;
  };
  const changed = sizes.length - made;
  return {
    rev,
    epoch,
    at,
    events,
    sales: patches.map((patch) => saleStateOf(patch, rev)),
    reservations: newsOf(0, changed),
    holds: made === 0 ? null : { origin, changes: () => newsOf(changed, sizes.length) },
    nextDueAt: nextDueAt || null,
    ...(mutes?.length ? { mutes } : {}),
  };
}
