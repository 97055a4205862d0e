/**
 * Resumes a client from its last position with the events in memory. A node that opened the room
 * later reads the older ones once, for all viewers. If they do not reach back that far, or are too
 * many, the caller sends a snapshot.
 */
import type { ChatLane } from '../fanout/chat-lane.ts';
import { chatFrames, type EventEntry, type OutgoingFrame, splicedFrame } from '../fanout/frames.ts';
import type { EventRing } from '../fanout/rings.ts';
import { LIMITS } from '../limits.ts';
import type { RoomParts } from './room-deps.ts';

export interface Position {
  readonly epoch: string;
  /** The last event the client has. */
  readonly offset: number;
  /** Id of the last chat message the client has. */
  readonly chat?: number;
}

export interface ResumerOptions extends Pick<RoomParts, 'showId' | 'replica' | 'log' | 'encodes' | 'now'> {
  readonly ring: EventRing;
  readonly chat: ChatLane;
}

/** Clients that disconnected together resume from few positions, so their frames are cached. */
const CACHED_MAX = 256;

export class Resumer {
  private readonly options: ResumerOptions;
  private cache = new Map<string, OutgoingFrame[] | null>();
  private cachedVersion = '';
  private filling: Promise<void> | null = null;
  /** The ring has all events of this epoch that the log could add. */
  private filledEpoch = '';

  constructor(options: ResumerOptions) {
    this.options = options;
  }

  /** Redis time. */
  now(): number {
    return this.options.now();
  }

  /** Returns the frames to send, or null if the ring has no such position or too many events. */
  fromRing(position: Position): OutgoingFrame[] | null {
    const { replica, ring } = this.options;
    if (position.epoch !== replica.epoch) return null;
    const entries = ring.after(position.offset);
    if (entries === null) return null;
    const events = this.cached(`e${position.offset}`, () => this.eventFrames(entries));
    return events === null ? null : [...events, ...this.chatSince(position)];
  }

  /** As `fromRing`, after adding older events of the log to the ring. */
  async fromLog(position: Position): Promise<OutgoingFrame[] | null> {
    const { replica, ring } = this.options;
    const isInLog = ring.isBefore(position.offset) && position.offset >= this.oldestOffset();
    if (position.epoch !== replica.epoch || !isInLog) return null;
    if (this.filledEpoch !== position.epoch) {
      this.filling ??= this.fillRing().finally(() => {
        this.filling = null;
      });
      await this.filling;
    }
    return this.fromRing(position);
  }

  /** Returns all state values and the number of missed chat messages, for a viewer who was slow. */
  restoration(missed: number): OutgoingFrame {
    const { replica, now, encodes } = this.options;
    // A slow viewer was sent all state (B-1.2), so that the sales may be left out.
    return splicedFrame({ at: now(), state: replica.fullState() ?? replica.countsState(), missed }, encodes);
  }

  private oldestOffset(): number {
    return Math.max(0, this.options.ring.lastOffset - LIMITS.eventRingEntries);
  }

  private async fillRing(): Promise<void> {
    const { replica, ring, log, showId } = this.options;
    const { epoch } = replica;
    const found = await log.eventsAfter(showId, epoch, this.oldestOffset());
    if (!found.ok || epoch !== replica.epoch) return;
    this.filledEpoch = epoch;
    ring.prepend(found.value ?? []);
  }

  /** Returns frames of bounded size, the last one with all state values, or null: too many. */
  private eventFrames(entries: readonly EventEntry[]): OutgoingFrame[] | null {
    const { replica, now, encodes } = this.options;
    const state = replica.fullState();
    if (state === null) return null;
    const groups: EventEntry[][] = [];
    let frameBytes = Number.POSITIVE_INFINITY;
    let allBytes = 0;
    for (const entry of entries) {
      const { length } = entry.msgpack();
      allBytes += length;
      frameBytes += length;
      if (allBytes > LIMITS.resumeEventBytesMax) return null;
      if (frameBytes > LIMITS.resumeFrameBytesTarget) {
        groups.push([]);
        frameBytes = length;
      }
      groups.at(-1)?.push(entry);
    }
    const head = { at: now(), epoch: replica.epoch };
    const last = { ...head, events: groups.pop() ?? [], state };
    return [...groups.map((events) => ({ ...head, events })), last].map((parts) => splicedFrame(parts, encodes));
  }

  private chatSince({ chat }: Position): OutgoingFrame[] {
    if (chat === undefined) return [];
    const lane = this.options.chat;
    return this.cached(`c${chat}`, () => {
      const { now, encodes } = this.options;
      const { pieces, missed } = lane.ring.after(chat, LIMITS.chatResumeMessagesMax);
      const frames = chatFrames(pieces, now(), true, encodes);
      return missed > 0 ? [splicedFrame({ at: now(), missed }, encodes), ...frames] : frames;
    });
  }

  private cached<T extends OutgoingFrame[] | null>(key: string, make: () => T): T {
    const { replica, chat } = this.options;
    const version = `${replica.epoch}/${replica.offset}/${replica.stateVersion}/${chat.ring.version}`;
    if (this.cachedVersion !== version || this.cache.size >= CACHED_MAX) {
      this.cache = new Map();
      this.cachedVersion = version;
    }
    if (!this.cache.has(key)) this.cache.set(key, make());
    return this.cache.get(key) as T;
  }
}
