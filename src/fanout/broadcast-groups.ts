/**
 * Where viewers sit: blocks of seats, a topic of the socket server for each lane. One publish
 * reaches every subscriber without any JavaScript per viewer.
 */
import type { Variant } from '../protocol/messages.ts';

export interface Publisher {
  /** To everybody at this topic. A frame for a large room goes to many topics. */
  publish(topic: string, bytes: Uint8Array, binary: boolean): void;
  /** Called once for each frame and variant in use, however many topics it goes to. */
  onFrame(lane: TopicLane, variant: Variant, bytes: number): void;
}

/**
 * Topics per show, lane, variant and block of seats. Events and state share one, because every
 * viewer has both; chat has its own, because slow viewers leave it. Fewer subscriptions a viewer
 * are fewer bytes a viewer.
 */
export type TopicLane = 'main' | 'chat';

const VARIANT_LETTERS: Readonly<Record<Variant, string>> = { json: 'j', msgpack: 'm', 'msgpack.deflate': 'z' };
const LANE_LETTERS: Readonly<Record<TopicLane, string>> = { main: 'e', chat: 'c' };

/** What a topic carries, for counters. */
export const laneOf = (topic: string): TopicLane => (topic[0] === LANE_LETTERS.main ? 'main' : 'chat');

/**
 * Viewers of one room and variant who are written to together: a large room has many, so that a
 * flush does not keep the loop for all of them at once.
 */
export interface BroadcastGroup {
  readonly variant: Variant;
  readonly topics: Readonly<Record<TopicLane, string>>;
  taken: number;
  /** Chat sent to each of them so far, each frame rounded up. */
  chatKib: number;
  /** The turn of the loop in which they were last written to. */
  turn: number;
  /** Frames that the spreader has not published to these viewers yet, in order. */
  readonly waiting: Waiting[];
}

export interface Waiting {
  readonly topic: string;
  readonly bytes: Uint8Array;
}

/** A new block, the `index`th of its variant in a show. */
export function newBroadcastGroup(showId: string, variant: Variant, index: number): BroadcastGroup {
  const end = `${VARIANT_LETTERS[variant]}${index}/${showId}`;
  return {
    variant,
    topics: { main: LANE_LETTERS.main + end, chat: LANE_LETTERS.chat + end },
    taken: 0,
    chatKib: 0,
    turn: 0,
    waiting: [],
  };
}
