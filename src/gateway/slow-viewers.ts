/**
 * Backpressure per viewer. Above the soft limit a viewer is demoted: unsubscribed from chat until
 * its buffer is empty. Above the hard limit it is closed with "resume". The kernel buffers
 * megabytes before the server notices, so a viewer is also pinged after much chat, and demoted
 * while the pong is overdue. The sweep checks each connection about once a second, outside the
 * broadcast path.
 */
import type { Clock } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Connection, Live } from './connection.ts';

/** Unit of `ReadPing.sentAt`: a small integer, unlike milliseconds, needs no heap number. */
const PING_TIME_UNIT_MS = 100;

export interface SlowViewersOptions {
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, 'demotions'>;
}

export class SlowViewers {
  private readonly options: SlowViewersOptions;
  private readonly overflowed = new Set<Connection>();

  constructor(options: SlowViewersOptions) {
    this.options = options;
  }

  /** Checks one connection; may close it. */
  inspect(connection: Connection): void {
    const { state } = connection;
    if (state.phase !== 'live' && state.phase !== 'demoted') return;
    const bytes = connection.bufferedBytes();
    if (bytes > LIMITS.backpressureHardBytes) return connection.close('too_slow');
    if (state.phase === 'demoted') return this.onDrain(connection);
    if (bytes > LIMITS.backpressureSoftBytes || this.isReadPingOverdue(state)) {
      connection.demote();
      this.options.metrics.demotions.inc();
    } else if (this.isReadPingDue(state)) {
      state.readPing = { state: 'pending', chatKib: state.group.chatKib, sentAt: this.pingTime() };
      connection.ping();
    }
  }

  /** The socket has written some of its buffer: restores the viewer if nothing is left. */
  onDrain(connection: Connection): void {
    const { state } = connection;
    if (state.phase === 'demoted' && state.readPing.state !== 'pending' && connection.bufferedBytes() === 0)
      connection.restore();
  }

  /** A pong arrived: the viewer has read everything that was sent before the ping. */
  onPong(connection: Connection): void {
    const { state } = connection;
    if ((state.phase !== 'live' && state.phase !== 'demoted') || state.readPing.state !== 'pending') return;
    const { chatKib, sentAt } = state.readPing;
    state.readChatKib = chatKib;
    state.readPing = { state: 'received', sentAt };
    this.onDrain(connection);
  }

  /**
   * The server dropped a message for this viewer: terminates it, because a gap must not be silent.
   * Called during a publish, when no socket may be closed.
   */
  onOverflow(connection: Connection): void {
    if (this.overflowed.size === 0) {
      setImmediate(() => {
        for (const slow of this.overflowed) slow.terminate();
        this.overflowed.clear();
      });
    }
    this.overflowed.add(connection);
  }

  private isReadPingOverdue({ group, readPing }: Live): boolean {
    return (
      readPing.state === 'pending' &&
      group.chatKib - readPing.chatKib >= LIMITS.readPingOverdueKib &&
      this.elapsedMs(readPing.sentAt) >= LIMITS.readPingTimeoutMs
    );
  }

  private isReadPingDue({ group, readChatKib, readPing }: Live): boolean {
    if (readPing.state === 'pending' || group.chatKib - readChatKib < LIMITS.readPingEveryKib) return false;
    return readPing.state === 'none' || this.elapsedMs(readPing.sentAt) >= LIMITS.readPingPauseMs;
  }

  private pingTime(): number {
    return Math.floor(this.options.clock.nowMs() / PING_TIME_UNIT_MS);
  }

  private elapsedMs(sentAt: number): number {
    return (this.pingTime() - sentAt) * PING_TIME_UNIT_MS;
  }
}
