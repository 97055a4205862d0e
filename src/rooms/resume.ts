/**
 * Brings a client from a position it knows to now: from the ring without asking Redis, else from
 * the log, else it takes a snapshot.
 */

import type { ShowLog } from '../domain/show-log.ts';
import type { ChatLane } from '../fanout/chat-lane.ts';
import { chatFrames, type EncodeCounts, EventEntry, type OutgoingFrame, splicedFrame } from '../fanout/frames.ts';
import type { EventRing } from '../fanout/rings.ts';
import { LIMITS } from '../limits.ts';
import type { ShowEvent } from '../protocol/messages.ts';
import type { ShowReplica } from './replica.ts';

export interface Position {
  readonly epoch: string;
  /** The last event the client has. */
  readonly offset: number;
  /** Id of the last chat message the client has. */
  readonly chat?: number;
}

export interface ResumerOptions {
  readonly showId: string;
  readonly view: ShowReplica;
  readonly ring: EventRing;
  readonly chat: ChatLane;
  readonly log: Pick<ShowLog, 'eventsAfter'>;
  readonly encodes: EncodeCounts;
  readonly now: () => number;
}

/** Clients that were cut off together ask from few positions: their frames are made once. */
const REMEMBERED_MAX = 256;

export class Resumer {
  private readonly options: ResumerOptions;
  private remembered = new Map<string, OutgoingFrame[]>();
  private rememberedFor = '';

  constructor(options: ResumerOptions) {
    this.options = options;
  }

  /** Redis time. */
  now(): number {
    return this.options.now();
  }

  /** The frames to send, or null when the ring does not reach back that far. */
  fromRing(position: Position): OutgoingFrame[] | null {
    const { view, ring } = this.options;
    if (position.epoch !== view.epoch) return null;
    const entries = ring.after(position.offset);
    if (entries === null) return null;
    return [...this.once(`e${position.offset}`, () => this.eventFrames(entries)), ...this.chatSince(position)];
  }

  /**
   * As `fromRing`, from the log; null when the log has no such position any more, or Redis does not
   * answer.
   */
  async fromLog(position: Position): Promise<OutgoingFrame[] | null> {
    const { view, log, showId } = this.options;
    if (position.epoch !== view.epoch || position.offset > view.offset) return null;
    const found = await log.eventsAfter(showId, position.epoch, position.offset);
    if (!found.ok || found.value === null || position.epoch !== view.epoch) return null;
    const events = this.upToView(found.value, position.offset);
    if (events === null) return this.fromRing(position);
    return [...this.eventFrames(events.map((event) => new EventEntry(event))), ...this.chatSince(position)];
  }

  /** State without events, for a viewer that comes back to the chat lane. */
  restoration(missed: number): OutgoingFrame {
    const { view, now, encodes } = this.options;
    return splicedFrame({ at: now(), state: view.fullState(), missed }, encodes);
  }

  /**
   * The log may be ahead of our view (the rest will come by the relay) or behind it (events
   * committed since the read, which the ring has).
   */
  private upToView(events: readonly ShowEvent[], after: number): ShowEvent[] | null {
    const { view, ring } = this.options;
    const known = events.filter(({ offset }) => offset <= view.offset);
    const last = known.at(-1)?.offset ?? after;
    if (last === view.offset) return known;
    const rest = ring.after(last);
    return rest === null ? null : [...known, ...rest.map(({ event }) => event)];
  }

  private eventFrames(entries: readonly EventEntry[]): OutgoingFrame[] {
    const { view, now, encodes } = this.options;
    const head = { at: now(), epoch: view.epoch, state: view.fullState() };
    return [splicedFrame(entries.length === 0 ? head : { ...head, events: entries }, encodes)];
  }

  private chatSince({ chat }: Position): OutgoingFrame[] {
    if (chat === undefined) return [];
    const lane = this.options.chat;
    return this.once(`c${chat}`, () => {
      const { now, encodes } = this.options;
      const { pieces, missed } = lane.ring.after(chat, LIMITS.chatResumeMessagesMax);
      const frames = chatFrames(pieces, now(), true, encodes);
      return missed > 0 ? [splicedFrame({ at: now(), missed }, encodes), ...frames] : frames;
    });
  }

  private once(key: string, make: () => OutgoingFrame[]): OutgoingFrame[] {
    const { view, chat } = this.options;
    const version = `${view.epoch}/${view.offset}/${view.stateVersion}/${chat.ring.version}`;
    if (this.rememberedFor !== version || this.remembered.size >= REMEMBERED_MAX) {
      this.remembered = new Map();
      this.rememberedFor = version;
    }
    let frames = this.remembered.get(key);
    if (frames === undefined) {
      frames = make();
      this.remembered.set(key, frames);
    }
    return frames;
  }
}
