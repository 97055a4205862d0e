/** From an open socket to a welcomed viewer. */
import type { Health } from '../domain/health.ts';
import type { OutgoingFrame } from '../fanout/frames.ts';
import { LIMITS } from '../limits.ts';
import { type Failure, failure } from '../protocol/codes.ts';
import { PROTOCOL_VERSION } from '../protocol/messages.ts';
import type { PersonalWelcome } from '../rooms/welcome.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Closer } from './closer.ts';
import type { Connection } from './connection.ts';
import { bytesIn, type GuestBytes } from './guest-bytes.ts';
import { checkMayWatch } from './upgrade.ts';

type ResumedFrom = 'memory' | 'log' | 'snapshot' | null;

export interface JoinerOptions {
  readonly node: string;
  readonly health: Health;
  readonly closer: Closer;
  readonly metrics: Metrics;
  readonly guests: GuestBytes;
}

const WIRE_LIMITS: Omit<PersonalWelcome['limits'], 'chatPerSecond' | 'requestsPerSecond'> = Object.freeze({
  frameBytes: LIMITS.frameInBytesMax,
  chatChars: LIMITS.chatTextCharsMax,
  heartbeatMs: LIMITS.heartbeatHintMs,
  idleMs: LIMITS.idleTimeoutSeconds * 1000,
});

export class Joiner {
  private readonly options: JoinerOptions;

  constructor(options: JoinerOptions) {
    this.options = options;
  }

  /** Waits for the room if it is loading, then welcomes or rejects the viewer. */
  join(connection: Connection): void {
    const { state } = connection;
    if (state.phase !== 'opening') {
      try {
        this.enter(connection);
      } catch (error) {
        this.fail(connection, error);
      }
      return;
    }
    state.roomOpened
      .then((opened) => {
        if (!connection.isOpen) return;
        const allowed = opened.ok ? checkMayWatch(connection.identity, connection.room) : opened;
        if (allowed.ok) this.enter(connection);
        else this.reject(connection, allowed.error);
      })
      .catch((error: unknown) => this.fail(connection, error));
  }

  /** The state of the room may be wrong. Other rooms go on. */
  private fail(connection: Connection, error: unknown): void {
    if (connection.isOpen) this.reject(connection, failure('internal'));
    connection.room.onUnexpected(error);
  }

  private reject(connection: Connection, error: Failure): void {
    this.options.metrics.joinsRefused.add(error.code);
    this.options.closer.reject(connection, error);
  }

  /** Looks up the holdings of viewers who may have some. */
  private enter(connection: Connection): void {
    connection.enterRoom();
    const { room, identity, member } = connection;
    if (member === null || member.isKnown || identity.role === 'viewer' || identity.role === 'guest')
      this.resumeOrWelcome(connection);
    else
      room.members
        .lookUpHoldings(member)
        .then(() => this.resumeOrWelcome(connection))
        .catch((error: unknown) => this.fail(connection, error));
  }

  private resumeOrWelcome(connection: Connection): void {
    const { room, state } = connection;
    if (state.phase !== 'joining') return;
    const { position } = state;
    if (position === null) return this.welcome(connection, null, null);
    const frames = room.resumer.fromRing(position);
    if (frames !== null) return this.welcome(connection, frames, 'memory');
    room.resumer
      .fromLog(position)
      .then((found) => this.welcome(connection, found, found === null ? 'snapshot' : 'log'))
      .catch((error: unknown) => this.fail(connection, error));
  }

  /** Sends the snapshot or the missed frames and subscribes, in one step without a gap (I7). */
  private welcome(connection: Connection, frames: OutgoingFrame[] | null, resumedFrom: ResumedFrom): void {
    if (connection.state.phase !== 'joining') return;
    const { room, variant, identity } = connection;
    const personal = this.personal(connection);
    const welcome = frames === null ? room.welcomes.full(personal, variant) : room.welcomes.resumed(personal, variant);
    const missed = frames?.map((frame) => frame.in(variant)) ?? [];
    const { metrics, guests } = this.options;
    guests.charge(connection, bytesIn([welcome, ...missed]));
    connection.joinBroadcastGroup();
    connection.cork(() => {
      connection.write(welcome);
      for (const each of missed) connection.write(each);
    });
    connection.subscribe('main');
    connection.subscribe('chat');
    metrics.joins.add(identity.role);
    if (resumedFrom !== null) metrics.resumes.add(resumedFrom);
  }

  private personal({ room, identity, member }: Connection): PersonalWelcome {
    const { node, health } = this.options;
    const { user, name, role, expiresAtSeconds } = identity;
    const { epoch, offset } = room.replica;
    const expiresAt = expiresAtSeconds === null ? null : expiresAtSeconds * 1000;
    return {
      t: 'welcome',
      v: PROTOCOL_VERSION,
      at: health.now(),
      node,
      epoch,
      offset,
      you: { user, name, role, expiresAt, ...room.personal(member) },
      limits: {
        ...WIRE_LIMITS,
        chatPerSecond: room.rates.chat.perSecond,
        requestsPerSecond: room.rates.requests.perSecond,
      },
    };
  }
}
