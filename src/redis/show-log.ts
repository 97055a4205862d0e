/** The log and relay of shows: one channel for each show. */
import type { ChatBatch } from '../domain/chat.ts';
import { ChatPiece } from '../domain/chat-piece.ts';
import { announcementIn, type MuteEntry, type RoomSnapshot, type ShowLog } from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import { ok, type Result } from '../protocol/codes.ts';
import type { Announcement, ShowEvent } from '../protocol/messages.ts';
import { viewOf } from './command-reply.ts';
import { isNewer } from './formats.ts';
import type { ShowKey } from './keys.ts';
import { booksOf, pack, readProduct, saleView, unpack, unpackAll } from './records.ts';
import { anonymous, type ChatHead, chatBatch, decodeEvents, decodeRelay } from './relay.ts';
import { bufferOf, mapped, numberOf, type ScriptRunner, textOf } from './script-runner.ts';
import type { ScriptReply } from './scripts.ts';
import type { ChannelListener } from './subscriber.ts';

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

/** Throws unless the text is a number: the position of a show must not be guessed. */
function positionOf(value: ScriptReply[number] | undefined): number {
  const number = numberOf(value);
  if (!Number.isFinite(number)) throw new Error(`"${textOf(value)}" is no number`);
  return number;
}

/** Numbers of viewers that cannot be read are 0: the next report of a node replaces them. */
const countOf = (value: ScriptReply[number] | undefined): number => numberOf(value) || 0;

/** Throws if an item of the batch cannot be read: it would break the frames of all viewers. */
function readBatch(head: Buffer, items: Buffer): ChatBatch {
  const batch = chatBatch(unpack<ChatHead>(head), items);
  if (unpackAll(items).length !== batch.count) throw new Error('its items are not those of its head');
  return batch;
}

/** Returns null for none. Throws if the bytes are not the data of its event. */
function announcementOf(bytes: Buffer, at: number): Announcement | null {
  return bytes.length === 0 ? null : announcementIn(unpack<ShowEvent['data']>(bytes), at);
}

/** Receives the key of a record that cannot be read, and why. */
type OnUnreadable = (key: ShowKey, what: string, error: unknown) => void;

/**
 * Reads the reply of load.lua. Sales, products and chat that cannot be read are left out, so that
 * the others go on. Throws if the show cannot be read.
 */
function snapshotOf(reply: ScriptReply, onUnreadable: OnUnreadable): RoomSnapshot {
  function readable<T>(key: ShowKey, read: () => T): T[] {
    try {
      return [read()];
    } catch (error) {
      onUnreadable(key, '', error);
      return [];
    }
  }
  const [epoch, offset, revText, nextDue, state, view, created, , hearts, peak, viewers, ...more] = reply;
  const [products, sales, stock, chat, unique, lastChat, removedIds, mutes, announced, announcedAt] = more;
  const rev = positionOf(revText);
  const removed = new Set((removedIds as Buffer[]).map(numberOf));
  const chatParts = chat as Buffer[];
  const batches = chatParts.flatMap((head, i) =>
    i % 2 === 0 ? readable('chat', () => readBatch(head, chatParts[i + 1] as Buffer)) : [],
  );
  const productsRead = (products as Buffer[]).flatMap((bytes) => readable('products', () => readProduct(bytes)));
  const onUnreadableSale = (what: string): void => onUnreadable('sales', what, '');
  const books = booksOf(stock as Buffer[], sales as Buffer[], rev, onUnreadableSale, true);
  const [announcement] = readable('show', () => announcementOf(announced as Buffer, numberOf(announcedAt)));
  return {
    rev,
    nextDueAt: textOf(nextDue) === '' ? null : positionOf(nextDue),
    chat: batches.map((batch) => withoutRemoved(batch, removed)),
    lastChat: countOf(lastChat),
    mutes: mutesOf(mutes as Buffer[]),
    snapshot: {
      epoch: textOf(epoch),
      offset: positionOf(offset),
      show: viewOf(view, state, created),
      products: productsRead.sort((a, b) => (a.id < b.id ? -1 : 1)),
      sales: books.map(saleView),
      state: { viewers: countOf(viewers), peak: countOf(peak), hearts: countOf(hearts), unique: countOf(unique) },
      ...(announcement ? { announcement } : {}),
    },
  };
}

export function createShowLog(runner: ScriptRunner): ShowLog {
  const { subscriber } = runner.connection;
  /** A listener that subscribes again gets each message once, and its end ends the subscription. */
  const known = new WeakMap<Parameters<ShowLog['subscribe']>[1], ChannelListener>();

  return {
    isOpen: (showId) => runner.showIsOpen(showId),

    async subscribe(showId, listener) {
      const { channel } = runner.keysOf(showId);
      const onChannel: ChannelListener = known.get(listener) ?? {
        onResync: () => listener.onResync(),
        onBytes(bytes) {
          const message = decodeRelay(bytes);
          // Unknown bytes come from another release or program: their content is loaded.
          if (message === null) listener.onResync();
          else listener.onMessage(message);
        },
      };
      known.set(listener, onChannel);
      const subscribed = await runner.guard(() => subscriber.listen(channel, onChannel));
      return mapped(subscribed, () => ({ unsubscribe: async () => subscriber.stop(channel, onChannel) }));
    },

    async load(showId) {
      const keys = runner.keysOf(showId);
      const loaded = await runner.run('load', showId, [LIMITS.chatResumeMessagesMax]);
      return runner.decoded(keys.show, loaded, (reply) =>
        snapshotOf(reply, (key, what, error) => runner.unreadable([keys[key], what].join(' ').trim(), error)),
      );
    },

    async eventsAfter(showId, epoch, after): Promise<Result<ShowEvent[] | null>> {
      if (!Number.isInteger(after) || after < 0) return ok(null);
      const { show, log } = runner.keysOf(showId);
      const read = await runner.guard(async (client) => {
        // A full Redis refuses MULTI, also of reads.
        const reading = client.pipeline().hmget(show, 'epoch', 'offset', 'format');
        reading.xrangeBuffer(log, `(${after}-0`, '+');
        const values = ((await reading.exec()) ?? []).map(([error, value]) => {
          if (error) throw error;
          return value;
        });
        return values as [Array<string | null>, Array<[Buffer, Buffer[]]>];
      });
      if (!read.ok) return read;
      const [[current, offset, format], entries] = read.value;
      if (isNewer(format)) return runner.newer(showId);
      const last = Number(offset ?? 0);
      if (current !== epoch || after > last) return ok(null);
      // Without those that were added between the two reads.
      const missed = entries.slice(0, last - after);
      // A trimmed log, one that lost its end, or one with foreign entries, has a gap: the caller
      // needs a snapshot.
      const hasAll = missed.every(([id], i) => String(id) === `${after + 1 + i}-0`);
      const isComplete = missed.length === last - after && hasAll;
      if (!isComplete) return ok(null);
      const decoded = runner.decoded(log, ok(missed), () =>
        missed.map(([, fields]) => decodeEvents(fields[1] as Buffer)[0] as ShowEvent),
      );
      // An event that cannot be read is a gap.
      if (!decoded.ok) return ok(null);
      const events = decoded.value;
      return ok(events.every((event, i) => event?.offset === after + 1 + i) ? events : null);
    },

    async appendChat(showId, { node, at, count, items, cap }, authors) {
      const args = [node, at, count, cap?.perSecond ?? 0, cap?.marked ?? []];
      const ends = cap ? bufferOf(cap.ends) : NOTHING;
      const reply = await runner.run('chat_append', showId, args, bufferOf(items), ends, pack(authors));
      if (!reply.ok) return reply;
      const [firstId, shown] = reply.value;
      return ok({ firstId: numberOf(firstId), ...(shown === undefined ? {} : { shown: shown as number[] }) });
    },

    async reportCounts(showId, node, viewers, heartsDelta, newcomers = [], busy = []) {
      const args = [node, viewers, heartsDelta, LIMITS.nodeCountsTtlMs, newcomers.map(anonymous), busy];
      return mapped(await runner.run('counts', showId, args), ([sum, peak, hearts, epoch, rev, unique, ended]) => ({
        counts: { viewers: Number(sum), peak: Number(peak), hearts: numberOf(hearts), unique: Number(unique) },
        ...{ epoch: textOf(epoch), rev: numberOf(rev), endedWaits: numberOf(ended) },
      }));
    },

    async reportRefusals(showId, node, at, reports) {
      const rows = reports.map(({ sale, code, count, offset, rev }) => [sale, code, count, offset, rev]);
      return mapped(await runner.run('gate', showId, [node, at, rows]), () => null);
    },
  };
}
