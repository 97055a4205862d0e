/**
 * Resumes a client from its last position: from the rings in memory, otherwise from the log in
 * Redis. If neither reaches back that far, the caller sends a snapshot.
 */
import type { ChatLane } from '../fanout/chat-lane.ts';
import { chatFrames, EventEntry, type OutgoingFrame, splicedFrame } from '../fanout/frames.ts';
import type { EventRing } from '../fanout/rings.ts';
import { LIMITS } from '../limits.ts';
import type { ShowEvent } from '../protocol/messages.ts';
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
  private cache = new Map<string, OutgoingFrame[]>();
  private cachedVersion = '';

  constructor(options: ResumerOptions) {
    this.options = options;
  }

  /** Redis time. */
  now(): number {
    return this.options.now();
  }

  /** Returns the frames to send, or null if the ring does not reach back that far. */
  fromRing(position: Position): OutgoingFrame[] | null {
    const { replica, ring } = this.options;
    if (position.epoch !== replica.epoch) return null;
    const entries = ring.after(position.offset);
    if (entries === null) return null;
    return [...this.cached(`e${position.offset}`, () => this.eventFrames(entries)), ...this.chatSince(position)];
  }

  /** As `fromRing`, from the log. Null if the log has no such position, or Redis does not reply. */
  async fromLog(position: Position): Promise<OutgoingFrame[] | null> {
    const { replica, log, showId } = this.options;
    if (position.epoch !== replica.epoch || position.offset > replica.offset) return null;
    const found = await log.eventsAfter(showId, position.epoch, position.offset);
    if (!found.ok || found.value === null || position.epoch !== replica.epoch) return null;
    const events = this.upToReplica(found.value, position.offset);
    if (events === null) return this.fromRing(position);
    return [...this.eventFrames(events.map((event) => new EventEntry(event))), ...this.chatSince(position)];
  }

  /** Returns all state values and the number of missed chat messages, for a viewer who was slow. */
  restoration(missed: number): OutgoingFrame {
    const { replica, now, encodes } = this.options;
    return splicedFrame({ at: now(), state: replica.fullState(), missed }, encodes);
  }

  /** The log may be ahead of the replica, or behind it: then the ring has the newer events. */
  private upToReplica(events: readonly ShowEvent[], after: number): ShowEvent[] | null {
    const { replica, ring } = this.options;
    const known = events.filter(({ offset }) => offset <= replica.offset);
    const last = known.at(-1)?.offset ?? after;
    if (last === replica.offset) return known;
    const rest = ring.after(last);
    return rest === null ? null : [...known, ...rest.map(({ event }) => event)];
  }

  private eventFrames(entries: readonly EventEntry[]): OutgoingFrame[] {
    const { replica, now, encodes } = this.options;
    const head = { at: now(), epoch: replica.epoch, state: replica.fullState() };
    return [splicedFrame(entries.length === 0 ? head : { ...head, events: entries }, encodes)];
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

  private cached(key: string, make: () => OutgoingFrame[]): OutgoingFrame[] {
    const { replica, chat } = this.options;
    const version = `${replica.epoch}/${replica.offset}/${replica.stateVersion}/${chat.ring.version}`;
    if (this.cachedVersion !== version || this.cache.size >= CACHED_MAX) {
      this.cache = new Map();
      this.cachedVersion = version;
    }
    let frames = this.cache.get(key);
    if (frames === undefined) {
      frames = make();
      this.cache.set(key, frames);
    }
    return frames;
  }
}
