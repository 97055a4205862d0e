/**
 * Who listens in a room: in which wire variants, and where they sit. Frames for them go through the
 * spreader.
 */
import { LIMITS } from '../limits.ts';
import type { Variant } from '../protocol/messages.ts';
import { type BroadcastGroup, newBroadcastGroup, type TopicLane } from './broadcast-groups.ts';
import type { Broadcaster } from './broadcaster.ts';
import type { OutgoingFrame } from './frames.ts';

interface Listening {
  readonly variant: Variant;
  count: number;
  readonly blocks: BroadcastGroup[];
}

/** The variants somebody in a room uses, and where those who listen sit. */
export class Listeners {
  private readonly showId: string;
  private readonly spreader: Broadcaster;
  private readonly used: readonly Listening[];

  constructor(showId: string, spreader: Broadcaster) {
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

  /**
   * A seat for somebody who subscribes in this very moment; what its neighbours were still to get
   * has been published, so it is not for the newcomer.
   */
  take(variant: Variant): BroadcastGroup {
    const { blocks } = this.used.find((listening) => listening.variant === variant) as Listening;
    let seats = blocks.find(({ taken }) => taken < LIMITS.publishViewersPerTurn);
    if (seats === undefined) {
      seats = newBroadcastGroup(this.showId, variant, blocks.length);
      blocks.push(seats);
    }
    this.spreader.settle(seats);
    seats.taken += 1;
    return seats;
  }

  give(seats: BroadcastGroup): void {
    seats.taken -= 1;
  }

  /** Publishes what waits for these seats, before something that must come after it. */
  settle(seats: BroadcastGroup): void {
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
