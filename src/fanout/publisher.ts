/** Where frames go: topics of the socket server. One publish reaches every subscriber without any JavaScript per viewer. */
import type { Variant } from '../protocol/messages.ts';
import type { OutgoingFrame } from './frames.ts';

export interface Publisher {
  publish(topic: string, bytes: Uint8Array, binary: boolean): void;
}

/**
 * Topics per show, lane and variant. Events and state share one, because every viewer has both; chat has its own, because slow viewers
 * leave it. Fewer subscriptions a viewer are fewer bytes a viewer.
 */
export type TopicLane = 'main' | 'chat';

const VARIANT_LETTERS: Readonly<Record<Variant, string>> = { json: 'j', msgpack: 'm', 'msgpack.deflate': 'z' };

export const topicOf = (showId: string, lane: TopicLane, variant: Variant): string => `${lane === 'main' ? 'e' : 'c'}${VARIANT_LETTERS[variant]}${showId}`;

/** What a topic carries, for counters. */
export function laneOf(topic: string): { lane: TopicLane; variant: Variant } {
  const variant = topic[1] === 'j' ? 'json' : topic[1] === 'm' ? 'msgpack' : 'msgpack.deflate';
  return { lane: topic[0] === 'e' ? 'main' : 'chat', variant };
}

interface Listening {
  readonly variant: Variant;
  count: number;
  readonly topics: Readonly<Record<TopicLane, string>>;
}

/** The variants somebody in a room uses. */
export class Listeners {
  private readonly used: Listening[];

  constructor(showId: string) {
    this.used = (['json', 'msgpack', 'msgpack.deflate'] as const).map((variant) => ({
      variant,
      count: 0,
      topics: { main: topicOf(showId, 'main', variant), chat: topicOf(showId, 'chat', variant) },
    }));
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

  publish(publisher: Publisher, lane: TopicLane, frame: OutgoingFrame): void {
    for (const { variant, count, topics } of this.used) {
      if (count > 0) publisher.publish(topics[lane], frame.in(variant), variant !== 'json');
    }
  }
}
