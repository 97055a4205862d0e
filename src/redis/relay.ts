/**
 * Messages of the relay: one kind byte, the length of the head (4 bytes, big endian), the head in
 * MessagePack, and a body that only its consumer decodes; chat bodies are never decoded here.
 */
import { hash } from 'node:crypto';
import type { ChatBatch } from '../domain/chat.ts';
import type { BusyUsers, Commit, MuteEntry, RelayMessage, ReservationChange } from '../domain/show-log.ts';
import type { ShowEvent } from '../protocol/messages.ts';
import { eventOf, PackedChange, type SalePatch, saleStateOf, unpack, unpackAll } from './records.ts';

const KIND_COMMIT = 0x63; // c
const KIND_CHAT = 0x6d; // m
const KIND_COUNTS = 0x6e; // n
const HEAD_AT = 5;

type ChatIds = [firstId: number, count: number, taken: number, last: number];
/** As `lua/chat_append.lua` packs it. */
export type ChatHead = [node: string, at: number, ...ids: ChatIds, authorBytes: number];

type Position = [rev: number, epoch: string, at: number];
type Changes = [events: number, nextDueAt: number, sales: SalePatch[], sizes: number[]];
/**
 * As `lua/lib/commit.lua` packs it. `sizes`: bytes of each reservation record; they end the body,
 * after the events. The last `made` of them are holds that `origin` asked for.
 */
type CommitHead = [...Position, ...Changes, mutes?: MuteEntry[], origin?: string, made?: number];

/** As `lua/counts.lua` packs it. */
type CountsHead = [...counts: [number, number, number, number], node?: string, requests?: BusyUsers['requests']];

/** Enough to count distinct users, without storing who they are. */
export const anonymous = (user: string): string => hash('sha1', user, 'base64url').slice(0, 12);

/** Throws if the head does not fit the items. */
export function chatBatch([node, at, firstId, count, taken, last]: ChatHead, items: Buffer): ChatBatch {
  const isBatch = [firstId, count, taken].every(Number.isSafeInteger) && count >= 0 && taken >= count;
  if (!isBatch || count > items.length) throw new Error('it is no batch of chat');
  return { node, at, firstId, count, items, taken, last };
}

/** Each event is four values: offset, at, type, data. */
export function decodeEvents(bytes: Uint8Array): ShowEvent[] {
  const values = unpackAll(bytes);
  const events: ShowEvent[] = [];
  for (let i = 0; i + 3 < values.length; i += 4)
    events.push(eventOf(values[i], values[i + 1], values[i + 2], values[i + 3]));
  return events;
}

/** Returns null for bytes that are no message of this release. */
export function decodeRelay(bytes: Buffer): RelayMessage | null {
  try {
    const bodyAt = HEAD_AT + bytes.readUInt32BE(1);
    const head = unpack(bytes.subarray(HEAD_AT, bodyAt));
    const body = bytes.subarray(bodyAt);
    switch (bytes[0]) {
      case KIND_COMMIT:
        return { kind: 'commit', commit: decodeCommit(head as CommitHead, body) };
      case KIND_CHAT: {
        const itemsAt = (head as ChatHead)[6];
        const batch = chatBatch(head as ChatHead, body.subarray(itemsAt));
        return { kind: 'chat', batch: { ...batch, authors: body.subarray(0, itemsAt) } };
      }
      case KIND_COUNTS: {
        const [viewers, peak, hearts, unique, node, requests] = head as CountsHead;
        const counts = { viewers, peak, hearts, unique };
        if (!Object.values(counts).every(Number.isFinite)) return null;
        return node && requests?.length
          ? { kind: 'counts', counts, busy: { node, requests } }
          : { kind: 'counts', counts };
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
  const changesOf = (from: number, to: number): ReservationChange[] => {
    let at = recordsAt;
    const changes: ReservationChange[] = [];
    for (let i = 0; i < to; i += 1) {
      const start = at;
      at += sizes[i] as number;
      if (i >= from) changes.push(new PackedChange(body.subarray(start, at)));
    }
    return changes;
  };
  const changed = sizes.length - made;
  return {
    rev,
    epoch,
    at,
    events,
    sales: patches.map((patch) => saleStateOf(patch, rev)),
    reservations: changesOf(0, changed),
    holds: made === 0 ? null : { origin, changes: () => changesOf(changed, sizes.length) },
    nextDueAt: nextDueAt || null,
    ...(mutes?.length ? { mutes } : {}),
  };
}
