/**
 * Builds a gateway from its parts; `listen` opens the port, `drain` closes it without losing
 * anybody's request.
 */
import type { Logger } from 'pino';
import type { TlsFiles } from '../config/tls.ts';
import { systemClock } from '../domain/clock.ts';
import type { ShowLog } from '../domain/show-log.ts';
import { rateOf } from '../domain/token-bucket.ts';
import { laneOf } from '../fanout/broadcast-groups.ts';
import { Broadcaster, type Publisher } from '../fanout/broadcaster.ts';
import { type EncodeCounts, newEncodeCounts } from '../fanout/frames.ts';
import { LIMITS } from '../limits.ts';
import { CLOSE, type CloseReason, type ErrorCode, failure, StampedeError } from '../protocol/codes.ts';
import type { RoomStore } from '../rooms/room.ts';
import { Rooms } from '../rooms/rooms.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { ClientAddresses } from './client-address.ts';
import type { Connection, SocketData } from './connection.ts';
import { type ConnectionLimits, Connections } from './connections.ts';
import { drainGateway } from './drain.ts';
import { addHttpRoutes } from './http.ts';
import { Joiner } from './joining.ts';
import { Requests } from './requests.ts';
import { SlowViewers } from './slow-viewers.ts';
import { Sweeper } from './sweeper.ts';
import { type TokenVerifier, Upgrader } from './upgrade.ts';
import {
  checkListenOptions,
  checkSocketOptions,
  createApp,
  LIBUS_LISTEN_EXCLUSIVE_PORT,
  type TemplatedApp,
  type us_listen_socket,
  us_listen_socket_close,
  us_socket_local_port,
} from './uws.ts';

export interface GatewayOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** False lets several processes listen on one port; true makes a taken port an error. */
  readonly exclusive: boolean;
  /** This process's name in counts and welcomes. */
  readonly node: string;
  /** null = any origin. */
  readonly allowedOrigins: readonly string[] | null;
  /** IP addresses and CIDR networks whose X-Forwarded-For is believed; none unless given. */
  readonly trustedProxies?: readonly string[];
  /** Null or absent: plain HTTP and WebSocket. */
  readonly tls?: TlsFiles | null;
  /** Who may come in; what is not given is as in `LIMITS`. */
  readonly limits?: Partial<ConnectionLimits>;
  /**
   * Chat messages a second and person, requests a second and connection; twice as many at once. As
   * in `LIMITS` unless given.
   */
  readonly rates?: { readonly chatPerSecond?: number; readonly requestsPerSecond?: number };
  /** Where clients are sent when this node drains; without it they come back to where they were. */
  readonly reconnectUrl?: string;
}

export interface GatewayDeps {
  readonly store: RoomStore;
  readonly log: ShowLog;
  readonly tokens: TokenVerifier;
  readonly logger: Logger;
  readonly metrics?: Metrics;
  readonly options: GatewayOptions;
}

export interface GatewayStats {
  readonly connections: number;
  readonly rooms: number;
  readonly joins: number;
  readonly demotions: number;
  readonly resumes: Readonly<Record<'memory' | 'log' | 'snapshot', number>>;
  /** Encodings of broadcasts and welcomes, per wire variant. */
  readonly encodes: Readonly<EncodeCounts>;
  readonly framesPublished: number;
  readonly bytesPublished: number;
  readonly draining: boolean;
}

export interface Gateway {
  /** Rejects with a `StampedeError` when the port is taken. */
  listen(): Promise<{ port: number }>;
  /**
   * Sends everybody away with a code and a delay, finishes what is in flight, closes. Takes at most
   * `timeoutMs`.
   */
  drain(options?: { timeoutMs?: number }): Promise<void>;
  stats(): GatewayStats;
}

/**
 * The server closes on more than this; below it we answer `frame_too_large`, so that the sender
 * learns why.
 */
const PAYLOAD_BYTES_MAX = LIMITS.frameInBytesMax * 4;
/** Our own hard limit closes with a code; the server's, a little above, only guards the memory. */
const BACKPRESSURE_BYTES_MAX = LIMITS.backpressureHardBytes * 1.25;

export function createGateway(deps: GatewayDeps): Gateway {
  checkListenOptions(deps.options);
  checkSocketOptions({
    idleTimeoutSeconds: LIMITS.idleTimeoutSeconds,
    maxPayloadBytes: PAYLOAD_BYTES_MAX,
    maxBackpressureBytes: BACKPRESSURE_BYTES_MAX,
  });
  return new SocketGateway(deps);
}

class SocketGateway implements Gateway {
  private readonly deps: GatewayDeps;
  private readonly app: TemplatedApp;
  private readonly connections: Connections;
  private readonly rooms: Rooms;
  private readonly encodes = newEncodeCounts();
  private readonly resumes = { memory: 0, log: 0, snapshot: 0 };
  private readonly sweeper: Sweeper;
  private readonly joiner: Joiner;
  private readonly slowViewers: SlowViewers;
  private readonly requests: Requests;
  /** Peers the server dropped a message for: they are cut, because a gap must never be silent. */
  private readonly dropped = new Set<Connection>();
  private listenSocket: us_listen_socket | null = null;
  private drained: Promise<void> | null = null;
  private draining = false;
  private joins = 0;
  private demotions = 0;
  private framesPublished = 0;
  private bytesPublished = 0;

  constructor(deps: GatewayDeps) {
    this.deps = deps;
    this.app = createApp(deps.options.tls ?? null);
    this.connections = new Connections(deps.options.limits);
    const { store, log, tokens, logger, metrics, options } = deps;
    const { node } = options;
    this.rooms = new Rooms({
      node,
      store,
      log,
      logger,
      broadcaster: new Broadcaster(this.publisher(), systemClock),
      rates: {
        chat: rateOf(options.rates?.chatPerSecond ?? LIMITS.chatRatePerSecond),
        requests: rateOf(options.rates?.requestsPerSecond ?? LIMITS.requestRatePerSecond),
      },
      clock: systemClock,
      encodes: this.encodes,
      onReserveBatch: (size) => metrics?.reserveBatchSize.observe(size),
      onLocalRefusal: (code) => metrics?.localRefusals.add(code),
      onFlush: (lane, elapsedMs) => metrics?.flushSeconds.observe({ lane }, elapsedMs / 1000),
      onHearts: (count) => metrics?.hearts.inc(count),
      onGone: (room) => this.sendAway((connection) => connection.room === room, 'show_gone'),
    });
    this.joiner = new Joiner({
      node,
      health: store,
      onTurnedAway: (connection, { code, message, retryAfterMs }) => {
        metrics?.joinsRefused.add(code);
        this.bye(connection, turnedAwayFor(code), { message, reconnectAfterMs: retryAfterMs });
      },
      onWelcomed: (role, resumedFrom) => {
        this.joins += 1;
        metrics?.joins.add(role);
        if (resumedFrom === null) return;
        this.resumes[resumedFrom] += 1;
        metrics?.resumes.add(resumedFrom);
      },
    });
    this.slowViewers = new SlowViewers({
      clock: systemClock,
      onDemoted: () => {
        this.demotions += 1;
        metrics?.demotions.inc();
      },
    });
    this.sweeper = new Sweeper(
      this.connections,
      (connection) => this.visit(connection),
      () => this.bytesPublished,
    );
    this.requests = new Requests({
      health: store,
      clock: systemClock,
      logger,
      draining: () => this.draining,
      onBadFrame: ({ code }) => metrics?.badFrames.inc({ code }),
      onMessage: (type) => metrics?.framesIn.add(type),
      onReply: (type, answer, elapsedMs) => {
        if (metrics === undefined) return;
        if (type === 'chat') {
          if (answer.ok) {
            metrics.chatAccepted.inc();
            if (answer.value?.['leftOut'] === true) metrics.chatLeftOut.inc();
          } else metrics.chatRefused.add(answer.error.code);
        } else if ((type === 'reserve' || type === 'release') && elapsedMs !== null) {
          const outcome = answer.ok
            ? answer.value?.['replayed'] === true
              ? 'replayed'
              : 'accepted'
            : answer.error.code;
          metrics.decisions.add(outcome);
          metrics.decisionSeconds.observe(elapsedMs / 1000);
        }
      },
      onHopeless: (connection) => this.bye(connection, 'bad_frames'),
    });
    this.addRoutes(
      new Upgrader({
        rooms: this.rooms,
        connections: this.connections,
        addresses: new ClientAddresses(options.trustedProxies ?? []),
        tokens,
        allowedOrigins: options.allowedOrigins,
        draining: () => this.draining,
        onRefused: ({ code }) => metrics?.joinsRefused.add(code),
      }),
    );
  }

  listen(): Promise<{ port: number }> {
    const { host, port, exclusive } = this.deps.options;
    return new Promise((resolve, reject) => {
      this.app.listen(host, port, exclusive ? LIBUS_LISTEN_EXCLUSIVE_PORT : 0, (socket) => {
        if (socket === false) {
          reject(new StampedeError(failure('already_exists', `Port ${port} on ${host} is taken or may not be used.`)));
          return;
        }
        this.listenSocket = socket;
        resolve({ port: us_socket_local_port(socket) });
      });
    });
  }

  drain({ timeoutMs = LIMITS.drainMs }: { timeoutMs?: number } = {}): Promise<void> {
    this.draining = true;
    this.drained ??= drainGateway({
      timeoutMs,
      rooms: this.rooms,
      connections: this.connections,
      sendAway: (connection, reconnectAfterMs) => this.bye(connection, 'draining', { reconnectAfterMs }),
      logger: this.deps.logger,
    }).then(() => {
      this.sweeper.stop();
      if (this.listenSocket !== null) us_listen_socket_close(this.listenSocket);
      this.listenSocket = null;
      this.app.close();
    });
    return this.drained;
  }

  stats(): GatewayStats {
    return {
      connections: this.connections.size,
      rooms: this.rooms.size,
      joins: this.joins,
      demotions: this.demotions,
      resumes: { ...this.resumes },
      encodes: { ...this.encodes },
      framesPublished: this.framesPublished,
      bytesPublished: this.bytesPublished,
      draining: this.draining,
    };
  }

  private addRoutes(upgrader: Upgrader): void {
    const { store, metrics, options } = this.deps;
    this.app.ws<SocketData>('/v1/shows/:show', {
      maxPayloadLength: PAYLOAD_BYTES_MAX,
      maxBackpressure: BACKPRESSURE_BYTES_MAX,
      idleTimeout: LIMITS.idleTimeoutSeconds,
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => upgrader.upgrade(res, req, context),
      open: (socket) => {
        const connection = socket.getUserData().connection;
        connection.attach(socket);
        this.connections.add(connection);
        metrics?.connections.set(this.connections.size);
        this.sweeper.start();
        this.joiner.join(connection);
      },
      message: (socket, data, isBinary) =>
        this.requests.receive(socket.getUserData().connection, new Uint8Array(data), isBinary),
      drain: (socket) => this.slowViewers.drained(socket.getUserData().connection),
      pong: (socket) => this.slowViewers.proved(socket.getUserData().connection),
      dropped: (socket) => this.onDropped(socket.getUserData().connection),
      close: (socket, code) => this.onClose(socket.getUserData().connection, code),
    });
    addHttpRoutes(this.app, { health: store, draining: () => this.draining, node: options.node, metrics });
  }

  private publisher(): Publisher {
    const { metrics } = this.deps;
    return {
      publish: (topic, bytes, binary) => {
        this.app.publish(topic, bytes, binary, false);
        if (metrics === undefined) return;
        const lane = laneOf(topic);
        const receivers = this.app.numSubscribers(topic);
        metrics.deliveries.inc({ lane }, receivers);
        metrics.bytesOut.inc({ lane }, receivers * bytes.length);
      },
      onFrame: (lane, variant, bytes) => {
        this.framesPublished += 1;
        this.bytesPublished += bytes;
        metrics?.framesOut.inc({ lane, variant });
      },
    };
  }

  private visit(connection: Connection): void {
    const { expiresAtSeconds } = connection.identity;
    if (expiresAtSeconds !== null && expiresAtSeconds * 1000 <= this.deps.store.now())
      this.bye(connection, 'token_expired');
    else this.slowViewers.inspect(connection);
  }

  /** Called in the middle of a publish, where nothing may be closed. */
  private onDropped(connection: Connection): void {
    if (this.dropped.size === 0) {
      setImmediate(() => {
        for (const slow of this.dropped) slow.cut();
        this.dropped.clear();
      });
    }
    this.dropped.add(connection);
  }

  private onClose(connection: Connection, code: number): void {
    const { metrics } = this.deps;
    this.dropped.delete(connection);
    connection.detach();
    this.connections.remove(connection);
    connection.stand();
    if (connection.entered) connection.room.leave(connection, connection.member);
    if (connection.room.viewers === 0) this.rooms.closeWhenUnused(connection.room);
    metrics?.closes.add(String(code));
    metrics?.connections.set(this.connections.size);
    metrics?.rooms.set(this.rooms.size);
  }

  private sendAway(which: (connection: Connection) => boolean, reason: 'show_gone'): void {
    for (const connection of this.connections.all()) if (which(connection)) this.bye(connection, reason);
  }

  private bye(
    connection: Connection,
    reason: CloseReason,
    { message, reconnectAfterMs }: { message?: string; reconnectAfterMs?: number | undefined } = {},
  ): void {
    const { store, options } = this.deps;
    const url = reason === 'draining' ? options.reconnectUrl : undefined;
    const pass = reason === 'draining' ? this.passOf(connection) : null;
    connection.message({
      t: 'bye',
      at: store.now(),
      code: CLOSE[reason],
      reason,
      ...(message === undefined ? {} : { message }),
      ...(reconnectAfterMs === undefined ? {} : { reconnectAfterMs }),
      ...(url === undefined ? {} : { url }),
      ...(pass === null ? {} : { pass }),
    });
    connection.end(reason);
  }

  private passOf({ identity, room }: Connection): string | null {
    const { user, name, role, expiresAtSeconds: exp } = identity;
    if (user === null || name === null || exp === null) return null;
    return this.deps.tokens.pass?.({ show: room.showId, user, name, role, exp }) ?? null;
  }
}

/** The close reason of an error that was found behind the upgrade. */
function turnedAwayFor(code: ErrorCode): CloseReason {
  switch (code) {
    case 'show_not_found':
      return 'show_gone';
    case 'unauthenticated':
    case 'forbidden':
      return 'forbidden';
    case 'redis_unavailable':
    case 'redis_readonly':
    case 'redis_full':
      return 'redis_unavailable';
    default:
      return 'overloaded';
  }
}
