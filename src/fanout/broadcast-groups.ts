/**
 * Broadcast groups: the viewers of a room are split into groups of `publishViewersPerTurn`, each
 * with one uWebSockets.js topic per lane. One publish reaches a group without JavaScript per
 * viewer.
 */
import { LIMITS } from '../limits.ts';
import type { Variant } from '../protocol/messages.ts';
import type { Broadcaster } from './broadcaster.ts';
import type { OutgoingFrame } from './frames.ts';

/**
 * Events and state share a topic, because every viewer gets both. Chat has another one, because
 * slow viewers unsubscribe from it. Each subscription costs memory per viewer.
 */
export type TopicLane = 'main' | 'chat';

const VARIANTS = ['json', 'msgpack', 'msgpack.deflate'] as const;
const VARIANT_LETTERS: Readonly<Record<Variant, string>> = { json: 'j', msgpack: 'm', 'msgpack.deflate': 'z' };
const LANE_LETTERS: Readonly<Record<TopicLane, string>> = { main: 'e', chat: 'c' };

/** Returns the lane of a topic, for counters. */
export const laneOf = (topic: string): TopicLane => (topic[0] === LANE_LETTERS.main ? 'main' : 'chat');

/** Viewers of one room and variant who are written to together. */
export interface BroadcastGroup {
  readonly variant: Variant;
  readonly topics: Readonly<Record<TopicLane, string>>;
  viewers: number;
  /** Chat sent to each of them so far, each frame rounded up. */
  chatKib: number;
  /** The turn of the event loop in which they were last written to. */
  lastTurn: number;
  /** Frames that are not published to these viewers yet, in order. */
  readonly queue: QueuedFrame[];
}

export interface QueuedFrame {
  readonly topic: string;
  readonly bytes: Uint8Array;
}

function newGroup(showId: string, variant: Variant, index: number): BroadcastGroup {
  const end = `${VARIANT_LETTERS[variant]}${index}/${showId}`;
  const topics = { main: LANE_LETTERS.main + end, chat: LANE_LETTERS.chat + end };
  return { variant, topics, viewers: 0, chatKib: 0, lastTurn: 0, queue: [] };
}

/** The viewers of one room in groups by wire variant. */
export class BroadcastGroups {
  /** All viewers in the room, welcomed or not. */
  viewers = 0;
  private readonly showId: string;
  private readonly broadcaster: Broadcaster;
  private readonly groups: Readonly<Record<Variant, BroadcastGroup[]>> = {
    json: [],
    msgpack: [],
    'msgpack.deflate': [],
  };

  constructor(showId: string, broadcaster: Broadcaster) {
    this.showId = showId;
    this.broadcaster = broadcaster;
  }

  /** Returns true if frames are published in this variant. */
  hasVariant(variant: Variant): boolean {
    return this.groups[variant].some(({ viewers }) => viewers > 0);
  }

  /**
   * Returns the group of a viewer who subscribes right after this call. Publishes what the group
   * still waits for, because the welcome of the new viewer contains it.
   */
  join(variant: Variant): BroadcastGroup {
    const groups = this.groups[variant];
    let group = groups.find(({ viewers }) => viewers < LIMITS.publishViewersPerTurn);
    if (group === undefined) {
      group = newGroup(this.showId, variant, groups.length);
      groups.push(group);
    }
    this.broadcaster.flush(group);
    group.viewers += 1;
    return group;
  }

  leave(group: BroadcastGroup): void {
    group.viewers -= 1;
  }

  /** Publishes what the group waits for, before something that must come after it. */
  flush(group: BroadcastGroup): void {
    this.broadcaster.flush(group);
  }

  publish(lane: TopicLane, frame: OutgoingFrame): void {
    for (const variant of VARIANTS) {
      let bytes: Uint8Array | null = null;
      for (const group of this.groups[variant]) {
        if (group.viewers === 0) continue;
        if (bytes === null) {
          bytes = frame.in(variant);
          this.broadcaster.publisher.onFrame(lane, variant, bytes.length);
        }
        this.broadcaster.publish(group, lane, bytes);
      }
    }
  }
}
