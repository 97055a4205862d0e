/**
 * Lanes for viewers whose line is slow. Over the soft limit they leave the chat lane and keep
 * events and state; when their line has drained they come back and are told how many messages they
 * missed. Over the hard limit they are closed with "resume". The server says nothing when bytes
 * pile up, so a sweep looks at each connection about once a second, outside the broadcast path.
 * Megabytes pile up unseen in the kernel first; so whoever is sent much is asked by a ping whether
 * it reads, and counts as slow until it answers.
 */
import type { Clock } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import type { Connection } from './connection.ts';

/** Unit of `Connection.askedAt`. */
const ASKED_AT_MS = 100;

export interface SlowViewersOptions {
  readonly clock: Clock;
  readonly onDemoted: () => void;
}

export class SlowViewers {
  private readonly options: SlowViewersOptions;

  constructor(options: SlowViewersOptions) {
    this.options = options;
  }

  /** Looks at one connection; may close it. */
  inspect(connection: Connection): void {
    if (connection.phase !== 'live' && connection.phase !== 'demoted') return;
    const bytes = connection.bufferedBytes();
    if (bytes > LIMITS.backpressureHardBytes) connection.end('too_slow');
    else if (connection.phase === 'live' && (bytes > LIMITS.backpressureSoftBytes || this.owesProof(connection)))
      this.demote(connection);
    else this.drained(connection);
  }

  /** The socket took something: perhaps all of it. */
  drained(connection: Connection): void {
    if (connection.phase === 'demoted' && connection.askedKib < 0 && connection.bufferedBytes() === 0)
      this.restore(connection);
  }

  /** A pong: it has read everything up to the ping. */
  proved(connection: Connection): void {
    if (connection.askedKib < 0) return;
    connection.provenKib = connection.askedKib;
    connection.askedKib = -1;
    this.drained(connection);
  }

  /**
   * Asks who was sent much since it last proved that it reads; true for who was asked and has not
   * answered in time.
   */
  private owesProof(connection: Connection): boolean {
    const { chatKib, provenKib, askedKib, askedAt } = connection;
    const now = Math.floor(this.options.clock.nowMs() / ASKED_AT_MS);
    const sinceMs = (now - askedAt) * ASKED_AT_MS;
    if (askedKib >= 0) return chatKib - askedKib >= LIMITS.readProofOverdueKib && sinceMs >= LIMITS.readProofMs;
    if (chatKib - provenKib >= LIMITS.readProofEveryKib && sinceMs >= LIMITS.readProofPauseMs) {
      connection.askedKib = chatKib;
      connection.askedAt = now;
      connection.ping();
    }
    return false;
  }

  private demote(connection: Connection): void {
    connection.settle();
    connection.phase = 'demoted';
    connection.unsubscribe('chat');
    connection.chatSentAtDemotion = connection.room.chatLane.sentCount;
    this.options.onDemoted();
  }

  private restore(connection: Connection): void {
    const { room } = connection;
    connection.settle();
    const missed = room.chatLane.sentCount - connection.chatSentAtDemotion;
    connection.phase = 'live';
    connection.subscribe('chat');
    connection.write(room.resumer.restoration(missed).in(connection.variant));
  }
}
