/**
 * Lets viewers in: whether anybody may, then the cheap refusals, then the token, then the show;
 * nothing is held for an upgrade that is turned away.
 */

import { LIMITS } from '../limits.ts';
import { type Failure, fail, failure, ok, type Result } from '../protocol/codes.ts';
import type { Role } from '../protocol/messages.ts';
import type { Room } from '../rooms/room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { ClientAddresses } from './client-address.ts';
import { Connection, GUEST, type Identity, type SocketData } from './connection.ts';
import { type Connections, retryAfterMs } from './connections.ts';
import { type Handshake, readHandshake } from './handshake.ts';
import { refuse } from './http.ts';
import type { HttpRequest, HttpResponse, us_socket_context_t } from './uws.ts';

/** What a token says, as the auth module reads it. */
export interface TokenClaims {
  readonly show: string;
  readonly user: string;
  readonly name: string;
  readonly role: Role;
  /** Seconds since the Unix epoch. */
  readonly exp: number;
}

export interface TokenVerifier {
  verify(token: string): Result<TokenClaims>;
  /** Stands for the token on another node for a short while; null where none can be made. */
  pass?(claims: TokenClaims): string | null;
}

export interface UpgraderOptions {
  readonly rooms: Rooms;
  readonly connections: Connections;
  readonly addresses: ClientAddresses;
  readonly tokens: TokenVerifier;
  /**
   * null = any origin. Requests without an origin do not come from browsers and are let through.
   */
  readonly allowedOrigins: readonly string[] | null;
  readonly draining: () => boolean;
  readonly onRefused: (error: Failure) => void;
}

const ANY_SHOW = '*';
const SHOW_ID = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;

export class Upgrader {
  private readonly options: UpgraderOptions;

  constructor(options: UpgraderOptions) {
    this.options = options;
  }

  /** The server's upgrade handler. */
  upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    const { addresses, connections, rooms } = this.options;
    if (this.options.draining())
      return this.turnAway(
        res,
        failure('draining', 'This node is stopping; connect to another one.', { retryAfterMs: retryAfterMs() }),
      );
    const full = connections.full();
    if (full !== null) return this.turnAway(res, full);
    const admitted = connections.admit(addresses.of(res, req));
    if (!admitted.ok) return this.turnAway(res, admitted.error);
    const source = admitted.value;
    const asked = this.check(req);
    if (!asked.ok) {
      connections.withdraw(source);
      return this.turnAway(res, asked.error);
    }
    const { handshake, identity } = asked.value;
    const reached = rooms.getOrOpen(handshake.show);
    const allowed = reached.ok && reached.value.opening === null ? mayWatch(identity, reached.value.room) : reached;
    if (!reached.ok || !allowed.ok) {
      connections.withdraw(source);
      if (!allowed.ok) this.turnAway(res, allowed.error);
      return;
    }
    const { room, opening } = reached.value;
    const connection = new Connection(room, handshake.variant, identity, source, handshake.position);
    // Always within the handler, never after a wait: uWebSockets.js 20.49 may take a socket that
    // was upgraded later, under a cork, for a finished HTTP response and close it. So a room that
    // is not open yet is waited for behind the upgrade.
    connection.roomOpening = opening;
    res.upgrade<SocketData>({ connection }, handshake.key, handshake.subprotocol, handshake.extensions, context);
  }

  private check(req: HttpRequest): Result<{ handshake: Handshake; identity: Identity }> {
    const { allowedOrigins, tokens } = this.options;
    const read = readHandshake(req);
    if (!read.ok) return read;
    const handshake = read.value;
    if (allowedOrigins !== null && handshake.origin !== '' && !allowedOrigins.includes(handshake.origin))
      return fail('origin_not_allowed');
    if (handshake.show.length > LIMITS.idCharsMax || !SHOW_ID.test(handshake.show)) return fail('show_not_found');
    if (handshake.token === null) return ok({ handshake, identity: GUEST });
    const verified = tokens.verify(handshake.token);
    if (!verified.ok) return verified;
    const { show, user, name, role, exp } = verified.value;
    if (show !== handshake.show && show !== ANY_SHOW) return fail('forbidden', 'The token is for another show.');
    return ok({ handshake, identity: { user, name, role, expiresAtSeconds: exp } });
  }

  private turnAway(res: HttpResponse, error: Failure): void {
    this.options.onRefused(error);
    refuse(res, error);
  }
}

/** Only asked of a room that serves: whether guests may come in is part of its show. */
export function mayWatch(identity: Identity, room: Room): Result<null> {
  if (identity.user !== null || room.replica.show.guests) return ok(null);
  return fail('unauthenticated', 'This show needs a token: offer it as the subprotocol "token.<jwt>" or as ?token=.');
}
