/** What a room sends to all its viewers: the events, state and chat lanes and their history. */
import { guarded } from '../domain/clock.ts';
import { BroadcastGroups } from '../fanout/broadcast-groups.ts';
import { ChatLane } from '../fanout/chat-lane.ts';
import { splicedFrame } from '../fanout/frames.ts';
import { EventRing } from '../fanout/rings.ts';
import { StateLane } from '../fanout/state-lane.ts';
import type { ShowEvent } from '../protocol/messages.ts';
import type { ChatHistory } from './follower.ts';
import type { RoomParts } from './room-deps.ts';
import { WelcomeWriter } from './welcome.ts';

export class Lanes {
  readonly groups: BroadcastGroups;
  readonly events = new EventRing();
  readonly chat: ChatLane;
  readonly state: StateLane;
  readonly welcomes: WelcomeWriter;
  private readonly parts: RoomParts;

  constructor(parts: RoomParts) {
    this.parts = parts;
    const { showId, replica, broadcaster, clock, encodes, now, onFlush, onUnexpected } = parts;
    this.groups = new BroadcastGroups(showId, broadcaster);
    const afterWrites = (run: () => void): void => broadcaster.afterWrites(guarded(run, onUnexpected));
    const lane = { clock, groups: this.groups, afterWrites, encodes, now };
    this.state = new StateLane({ ...lane, onFlush: (elapsedMs) => onFlush?.('state', elapsedMs) });
    this.chat = new ChatLane({
      ...lane,
      onFlush: (elapsedMs) => onFlush?.('chat', elapsedMs),
      beforeFlush: () => this.state.flushAlong(),
    });
    this.welcomes = new WelcomeWriter(replica, this.chat.ring, encodes);
  }

  /** The replica was loaded, and no viewer has received anything yet. */
  reset({ chat, lastChat }: ChatHistory): void {
    this.events.reset(this.parts.replica.offset);
    this.chat.reset(chat, lastChat);
  }

  /** Sends events at once; they do not wait for a tick. */
  publishEvents(events: readonly ShowEvent[], at: number): void {
    const removed = events.flatMap(({ type, data }) => (type === 'chat.removed' ? (data['ids'] as number[]) : []));
    if (removed.length > 0) this.chat.remove(new Set(removed));
    const entries = events.map((event) => this.events.push(event));
    if (this.groups.viewers === 0) return;
    const { replica, now, encodes } = this.parts;
    const parts = { at: Math.max(at, now()), epoch: replica.epoch, events: entries };
    this.groups.publish('main', splicedFrame(parts, encodes));
  }

  /**
   * After a gap: sends the missed events and all state values. If the events are not available
   * (null), sends a snapshot. Under a new epoch the chat history starts again, too.
   */
  catchUp(events: readonly ShowEvent[] | null, { chat, lastChat }: ChatHistory, isNewEpoch: boolean): void {
    const { replica, now, encodes } = this.parts;
    this.state.clear();
    if (isNewEpoch) this.chat.reset(chat, lastChat);
    if (events === null) {
      this.events.reset(replica.offset);
      this.groups.publish('main', this.welcomes.snapshotFrame(now()));
    } else {
      if (events.length > 0) this.publishEvents(events, now());
      const state = replica.fullState();
      const frame = state === null ? this.welcomes.snapshotFrame(now()) : splicedFrame({ at: now(), state }, encodes);
      this.groups.publish('main', frame);
    }
    if (!isNewEpoch) this.chat.catchUp(chat, lastChat);
  }

  stop(): void {
    this.chat.stop();
    this.state.clear();
  }
}
