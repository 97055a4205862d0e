/** Where frames go: topics of the socket server. One publish reaches every subscriber without any JavaScript per viewer. */
import { LIMITS } from '../protocol/limits.ts';
import type { Variant } from '../protocol/messages.ts';
import type { OutgoingFrame } from './frames.ts';
import type { Spreader } from './spreader.ts';

export interface Publisher {
  /** To everybody at this topic. A frame for a large room goes to many topics. */
  publish(topic: string, bytes: Uint8Array, binary: boolean): void;
  /** Called once for each frame and variant in use, however many topics it goes to. */
  onFrame(lane: TopicLane, variant: Variant, bytes: number): void;
}

/**
 * Topics per show, lane, variant and block of seats. Events and state share one, because every viewer has both; chat has its own, because slow viewers
 * leave it. Fewer subscriptions a viewer are fewer bytes a viewer.
 */
export type TopicLane = 'main' | 'chat';

const VARIANT_LETTERS: Readonly<Record<Variant, string>> = { json: 'j', msgpack: 'm', 'msgpack.deflate': 'z' };
const LANE_LETTERS: Readonly<Record<TopicLane, string>> = { main: 'e', chat: 'c' };

/** What a topic carries, for counters. */
export const laneOf = (topic: string): TopicLane => (topic[0] === LANE_LETTERS.main ? 'main' : 'chat');

/** Viewers of one room and variant who are written to together: a large room has many, so that a flush does not keep the loop for all of them at once. */
export interface Seats {
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

interface Listening {
  readonly variant: Variant;
  count: number;
  readonly blocks: Seats[];
}

/** The variants somebody in a room uses, and where those who listen sit. */
export class Listeners {
  private readonly showId: string;
  private readonly spreader: Spreader;
  private readonly used: readonly Listening[];

  constructor(showId: string, spreader: Spreader) {
    this.showId = showId;
    this.spreader = spreader;
    this.used = (['json', 'msgpack', 'msgpack.deflate'] as const).map((variant) => ({ variant, count: 0, blocks: [] }));
  }

  add(variant: Variant, delta: 1 | -1): void {
    for (const listening of this.used) if (listening.variant === variant) listening.count += delta;
  }

  uses(variant: Variant): boolean {
    return this.used.some((listening) => listening.variant === variant && listening.count > 0);
  }

  get total(): number {
    return this.used.reduce((sum, { count }) => sum + count, 0);
  }

  /** A seat for somebody who subscribes in this very moment; what its neighbours were still to get has been published, so it is not for the newcomer. */
  take(variant: Variant): Seats {
    const { blocks } = this.used.find((listening) => listening.variant === variant) as Listening;
    let seats = blocks.find(({ taken }) => taken < LIMITS.publishViewersPerTurn);
    if (seats === undefined) {
      const end = `${VARIANT_LETTERS[variant]}${blocks.length}/${this.showId}`;
      seats = { variant, topics: { main: LANE_LETTERS.main + end, chat: LANE_LETTERS.chat + end }, taken: 0, chatKib: 0, turn: 0, waiting: [] };
      blocks.push(seats);
    }
    this.spreader.settle(seats);
    seats.taken += 1;
    return seats;
  }

  give(seats: Seats): void {
    seats.taken -= 1;
  }

  /** Publishes what waits for these seats, before something that must come after it. */
  settle(seats: Seats): void {
    this.spreader.settle(seats);
  }

  publish(lane: TopicLane, frame: OutgoingFrame): void {
    for (const { variant, blocks } of this.used) {
      let bytes: Uint8Array | null = null;
      for (const seats of blocks) {
        if (seats.taken === 0) continue;
        if (bytes === null) {
          bytes = frame.in(variant);
          this.spreader.publisher.onFrame(lane, variant, bytes.length);
        }
        this.spreader.publish(seats, lane, bytes);
      }
    }
  }
}
