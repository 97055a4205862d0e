/**
 * A server to compare with: how it is started, how one publisher makes it busy, how its subscribers
 * speak.
 */

import type { Offer, Offered } from './pace.ts';
import type { ReceiversParams } from './receivers.ts';

export interface PeerOptions {
  /**
   * Where frames carry batches that the peer does not choose itself (the bare limit): messages a
   * frame, and bytes of the frame a message.
   */
  readonly messagesPerFrame: number;
  readonly bytesPerMessage: number;
}

export interface RunningPeer {
  /** How to be a subscriber of its one room. */
  readonly subscription: Pick<ReceiversParams, 'host' | 'port' | 'path' | 'protocols' | 'dialect'>;
  /** The server first; helpers of its (Redis) behind it. */
  readonly processes: ReadonlyArray<{ readonly name: string; readonly pid: number }>;
  /** Numbers go on from one offer to the next. */
  offer(offer: Offer): Promise<Offered>;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  readonly about: string;
  /** A rate every machine sustains with 1,000 subscribers: the search for more begins there. */
  readonly startPerSecond: number;
  /** Why it cannot run here, for a person; null when it can. */
  missing(): Promise<string | null>;
  start(options: PeerOptions): Promise<RunningPeer>;
}
