/**
 * From an open socket to a welcomed viewer: what it holds, where it stands, and its topics, in one
 * synchronous step at the end.
 */

import type { Health } from '../domain/health.ts';
import type { OutgoingFrame } from '../fanout/frames.ts';
import { LIMITS } from '../limits.ts';
import type { Failure } from '../protocol/codes.ts';
import { PROTOCOL_VERSION, type Role } from '../protocol/messages.ts';
import type { PersonalWelcome } from '../rooms/welcome.ts';
import type { Connection } from './connection.ts';
import { mayWatch } from './upgrade.ts';

export interface JoinerOptions {
  /** The room could not be opened, or does not let this viewer in. */
  readonly onTurnedAway: (connection: Connection, error: Failure) => void;
  readonly node: string;
  readonly health: Health;
  readonly onWelcomed: (role: Role, resumedFrom: 'memory' | 'log' | 'snapshot' | null) => void;
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

  /** The socket is open. Whoever cannot come in after all hears why. */
  join(connection: Connection): void {
    const { roomOpening } = connection;
    if (roomOpening === null) return this.enter(connection);
    void roomOpening.then((opened) => {
      connection.roomOpening = null;
      if (!connection.open) return;
      const allowed = opened.ok ? mayWatch(connection.identity, connection.room) : opened;
      if (allowed.ok) this.enter(connection);
      else this.options.onTurnedAway(connection, allowed.error);
    });
  }

  /** Those who may hold something are looked up first; everybody else is welcomed at once. */
  private enter(connection: Connection): void {
    const { room, identity } = connection;
    connection.entered = true;
    connection.member = room.enter(connection, identity.user);
    const { member } = connection;
    // Places in line move: who waits is looked up anew.
    if (member?.waits) member.known = false;
    if (member === null || member.known || identity.role === 'viewer' || identity.role === 'guest')
      this.place(connection);
    else void room.members.lookUpHoldings(member).then(() => this.place(connection));
  }

  private place(connection: Connection): void {
    if (connection.phase !== 'joining') return;
    const { position, room } = connection;
    connection.position = null;
    if (position === null) return this.welcome(connection, null, null);
    const frames = room.resumer.fromRing(position);
    if (frames !== null) return this.welcome(connection, frames, 'memory');
    void room.resumer
      .fromLog(position)
      .then((found) => this.welcome(connection, found, found === null ? 'snapshot' : 'log'));
  }

  /**
   * The snapshot, or the frames since the position, and the subscription belong to one moment:
   * nothing falls between.
   */
  private welcome(
    connection: Connection,
    frames: OutgoingFrame[] | null,
    resumedFrom: 'memory' | 'log' | 'snapshot' | null,
  ): void {
    if (connection.phase !== 'joining' || !connection.open) return;
    const { room, variant, identity } = connection;
    const personal = this.personal(connection);
    connection.sit();
    connection.cork(() => {
      connection.write(
        frames === null ? room.welcomes.full(personal, variant) : room.welcomes.resumed(personal, variant),
      );
      for (const frame of frames ?? []) connection.write(frame.in(variant));
    });
    connection.subscribe('main');
    connection.subscribe('chat');
    connection.phase = 'live';
    this.options.onWelcomed(identity.role, resumedFrom);
  }

  private personal({ room, identity, member }: Connection): PersonalWelcome {
    const { node, health } = this.options;
    const { user, name, role, expiresAtSeconds } = identity;
    const expiresAt = expiresAtSeconds === null ? null : expiresAtSeconds * 1000;
    const { epoch, offset } = room.replica;
    const you = { user, name, role, expiresAt, ...room.holdings(member) };
    return {
      t: 'welcome',
      v: PROTOCOL_VERSION,
      at: health.now(),
      node,
      epoch,
      offset,
      you,
      limits: {
        ...WIRE_LIMITS,
        chatPerSecond: room.rates.chat.perSecond,
        requestsPerSecond: room.rates.requests.perSecond,
      },
    };
  }
}
