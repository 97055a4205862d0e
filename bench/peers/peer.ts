/** A server of a comparison: how it starts, how it is loaded, how subscribers connect. */
import type { Offer, Offered } from './pace.ts';
import type { ReceiversParams } from './receivers.ts';

/** Frames of a peer that does not batch by itself (the bare server). */
export type PeerOptions = { readonly messagesPerFrame: number; readonly bytesPerMessage: number };

export interface RunningPeer {
  /** How to subscribe to its one room. */
  readonly subscription: Pick<ReceiversParams, 'host' | 'port' | 'path' | 'protocols' | 'dialect'>;
  /** The server first, then its helpers (Redis). */
  readonly processes: ReadonlyArray<{ readonly name: string; readonly pid: number }>;
  /** Message numbers continue from one offer to the next. */
  offer(offer: Offer): Promise<Offered>;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  readonly about: string;
  /** The search begins here: a rate that any machine sustains with 1,000 subscribers. */
  readonly startPerSecond: number;
  /** Returns why it cannot run here, or null. */
  missing(): Promise<string | null>;
  start(options: PeerOptions): Promise<RunningPeer>;
}
