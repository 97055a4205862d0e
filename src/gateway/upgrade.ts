/**
 * Upgrades requests to WebSockets. Cheap checks come first: draining, capacity, rates, then the
 * request, the token and the show. A refused upgrade leaves nothing behind. Browsers hide the HTTP
 * response to it, so a client that reads a `bye` gets the reason there if token or show are wrong.
 */
import type { Logger } from 'pino';
import { type Claims, isShowId } from '../auth/claims.ts';
import type { Tokens } from '../auth/tokens.ts';
import type { Health } from '../domain/health.ts';
import { originTest } from '../domain/origin.ts';
import { UserPace } from '../fanout/user-pace.ts';
import { LIMITS } from '../limits.ts';
import { type ErrorCode, type Failure, fail, ok, type Result } from '../protocol/codes.ts';
import type { Room } from '../rooms/room.ts';
import type { Rooms } from '../rooms/rooms.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { ClientAddresses } from './client-address.ts';
import { Connection, GUEST, type Identity, type SocketData, type Source } from './connection.ts';
import { type Connections, retryAfterMs } from './connections.ts';
import { DelayedTokens } from './delayed-tokens.ts';
import type { GuestBytes } from './guest-bytes.ts';
import { type Handshake, readHandshake } from './handshake.ts';
import { respondError } from './http.ts';
import type { HttpRequest, HttpResponse, us_socket_context_t } from './uws.ts';

/** Waiting does not help, and a person must learn it. */
const REPORTED_BY_BYE: ReadonlySet<ErrorCode> = new Set([
  'unauthenticated',
  'token_expired',
  'forbidden',
  'origin_not_allowed',
  'show_not_found',
]);

export interface UpgraderOptions {
  readonly rooms: Rooms;
  readonly connections: Connections;
  readonly guests: GuestBytes;
  readonly addresses: ClientAddresses;
  readonly tokens: Pick<Tokens, 'verify'>;
  /** null = any origin. Requests without an origin are not from browsers, and allowed. */
  readonly allowedOrigins: readonly string[] | null;
  readonly draining: () => boolean;
  readonly health: Pick<Health, 'redisCapabilities'>;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export class Upgrader {
  private readonly options: UpgraderOptions;
  private readonly delayed = new DelayedTokens();
  /** Shows that guests looked for in vain, by address. What opens is not counted in the end. */
  private readonly lookUps = new UserPace({
    perSecond: LIMITS.guestLookupsPerSecond,
    burst: LIMITS.guestLookupsBurst,
  });
  private readonly isAllowed: (origin: string) => boolean;

  constructor(options: UpgraderOptions) {
    this.options = options;
    this.isAllowed = originTest(options.allowedOrigins);
  }

  /** The upgrade handler of uWebSockets.js. */
  upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    const slot = this.reserveSlot(res, req);
    if (!slot.ok) return this.refuse(res, slot.error);
    const read = readHandshake(req);
    const prepared = read.ok ? this.prepareOrFail(read.value, slot.value) : read;
    if (read.ok && (prepared.ok || (read.value.readsBye && REPORTED_BY_BYE.has(prepared.error.code)))) {
      const { key, subprotocol, extensions, variant } = read.value;
      const data: SocketData = prepared.ok
        ? { connection: prepared.value }
        : { connection: null, refusal: { variant, error: prepared.error, source: slot.value } };
      // Synchronously, even if the room is still loading: after a later upgrade under a cork,
      // uWebSockets.js 20.49 may close the socket like a completed HTTP response.
      return res.upgrade<SocketData>(data, key, subprotocol, extensions, context);
    }
    this.options.connections.releaseSlot(slot.value);
    if (!prepared.ok) this.refuse(res, prepared.error);
  }

  private reserveSlot(res: HttpResponse, req: HttpRequest): Result<Source> {
    const { addresses, connections, draining } = this.options;
    if (draining())
      return fail('draining', 'This node is stopping. Connect to another one.', { retryAfterMs: retryAfterMs() });
    const error = connections.capacityError();
    return error === null ? connections.reserveSlot(addresses.of(res, req)) : { ok: false, error };
  }

  private prepareOrFail(handshake: Handshake, source: Source): Result<Connection> {
    try {
      return this.prepare(handshake, source);
    } catch (error) {
      this.options.logger.error({ err: error }, 'an upgrade failed unexpectedly');
      return fail('internal');
    }
  }

  private prepare(handshake: Handshake, source: Source): Result<Connection> {
    const identity = this.authenticate(handshake);
    if (!identity.ok) return identity;
    const { rooms, health, guests } = this.options;
    const refused = identity.value.user === null ? guests.refuseJoin(source.address) : null;
    if (refused !== null) return refused;
    // Later the room is opened, and the viewer is notified if that fails (H-8.1).
    if (health.redisCapabilities() === null)
      return fail('redis_unavailable', 'This node waits for Redis. Try again later.', {
        retryAfterMs: retryAfterMs(),
      });
    const isLookUp = identity.value.user === null && !rooms.has(handshake.show);
    const waitMs = isLookUp ? this.lookUps.take(source.address, performance.now()) : 0;
    if (waitMs > 0)
      return fail('rate_limited', 'The guests of this address look for too many shows.', {
        retryAfterMs: Math.max(waitMs, retryAfterMs()),
      });
    const found = rooms.getOrOpen(handshake.show);
    if (!found.ok) return found;
    const { room, opening } = found.value;
    if (isLookUp) opening?.then(({ ok }) => ok && this.lookUps.charge(source.address, -1, performance.now()));
    const allowed = opening === null ? checkMayWatch(identity.value, room) : ok(null);
    if (!allowed.ok) return allowed;
    const { user } = identity.value;
    const delayMs = opening === null && user !== null ? room.joinWaitMs(user) : 0;
    if (delayMs > 0) return this.delayed.delay(handshake.token ?? '', delayMs);
    const { variant, position } = handshake;
    return ok(new Connection(room, variant, identity.value, source, position, opening));
  }

  private authenticate({ origin, show, token }: Handshake): Result<Identity> {
    if (origin !== '' && !this.isAllowed(origin)) return fail('origin_not_allowed');
    if (!isShowId(show)) return fail('show_not_found');
    if (token === null) return ok(GUEST);
    const delayed = this.delayed.refuse(token);
    if (delayed !== null) return delayed;
    const verified = this.options.tokens.verify(token);
    if (!verified.ok) return verified;
    return identityFor(show, verified.value);
  }

  private refuse(res: HttpResponse, error: Failure): void {
    this.options.metrics.joinsRefused.add(error.code);
    respondError(res, error);
  }
}

/** Returns who a token names, if it is for this show. */
export function identityFor(show: string, { user, name, role, exp, show: named }: Claims): Result<Identity> {
  return named === show
    ? ok({ user, name, role, expiresAtSeconds: exp })
    : fail('forbidden', 'The token is for another show.');
}

/** Requires a loaded room: its show decides whether guests may watch. */
export function checkMayWatch(identity: Identity, room: Room): Result<null> {
  if (identity.user !== null || room.replica.show.guests) return ok(null);
  return fail(
    'unauthenticated',
    'This show needs a token. Send it as the subprotocol "token.<jwt>" or as ?token=<jwt>.',
  );
}
