/**
 * Lanes for viewers whose line is slow. Over the soft limit they leave the chat lane and keep events and state; when their line has drained they
 * come back and are told how many messages they missed. Over the hard limit they are closed with "resume". The server says nothing when
 * bytes pile up, so a sweep looks at each connection about once a second, outside the broadcast path.
 */
import { LIMITS } from '../protocol/limits.ts';
import type { Connection } from './connection.ts';

export interface SlowViewersOptions {
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
    else if (connection.phase === 'live' && bytes > LIMITS.backpressureSoftBytes) this.demote(connection);
    else if (connection.phase === 'demoted' && bytes === 0) this.restore(connection);
  }

  /** The socket took something: perhaps all of it. */
  drained(connection: Connection): void {
    if (connection.phase === 'demoted' && connection.bufferedBytes() === 0) this.restore(connection);
  }

  private demote(connection: Connection): void {
    connection.settle();
    connection.phase = 'demoted';
    connection.unsubscribe('chat');
    connection.chatSentAtDemotion = connection.room.chatLane.sent;
    this.options.onDemoted();
  }

  private restore(connection: Connection): void {
    const { room } = connection;
    connection.settle();
    const missed = room.chatLane.sent - connection.chatSentAtDemotion;
    connection.phase = 'live';
    connection.subscribe('chat');
    connection.write(room.resumer.restoration(missed).in(connection.variant));
  }
}
