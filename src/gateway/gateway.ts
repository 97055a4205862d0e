/** Builds a gateway: `listen` opens the port, `drain` closes it without losing a request. */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { Tokens } from '../auth/tokens.ts';
import type { TlsFiles } from '../config/tls.ts';
import { guarded, systemClock } from '../domain/clock.ts';
import type { ShowLog } from '../domain/show-log.ts';
import { rateOf } from '../domain/token-bucket.ts';
import { Broadcaster } from '../fanout/broadcaster.ts';
import { LIMITS } from '../limits.ts';
import { failure, StampedeError } from '../protocol/codes.ts';
import type { RoomStore } from '../rooms/room-deps.ts';
import { Rooms } from '../rooms/rooms.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { createReadiness } from '../telemetry/readiness.ts';
import { ClientAddresses } from './client-address.ts';
import { Closer } from './closer.ts';
import type { Connection, SocketData } from './connection.ts';
import { type ConnectionLimits, Connections } from './connections.ts';
import { drainGateway } from './drain.ts';
import { GuestBytes } from './guest-bytes.ts';
import { addHttpRoutes } from './http.ts';
import { Joiner } from './joining.ts';
import { Requests } from './requests.ts';
import { SlowViewers } from './slow-viewers.ts';
import { Sweeper } from './sweeper.ts';
import { TopicPublisher } from './topic-publisher.ts';
import { Upgrader } from './upgrade.ts';
import {
  checkListenOptions,
  createApp,
  LIBUS_LISTEN_EXCLUSIVE_PORT,
  type TemplatedApp,
  type us_listen_socket,
  us_listen_socket_close,
  us_socket_local_port,
  type WebSocket,
  type WebSocketBehavior,
} from './uws.ts';

export interface GatewayOptions {
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
  /** False allows several processes to listen on one port. */
  readonly exclusive: boolean;
  /** The name of this process in welcomes and for people. Other processes may have the same. */
  readonly node: string;
  /** For /readyz. */
  readonly version?: string;
  /** null = any origin. */
  readonly allowedOrigins: readonly string[] | null;
  /** IP addresses and CIDR networks of proxies whose X-Forwarded-For is trusted. Default: none. */
  readonly trustedProxies?: readonly string[];
  /** Null or absent: plain HTTP and WebSocket. */
  readonly tls?: TlsFiles | null;
  /** Defaults are in `LIMITS`. */
  readonly limits?: Partial<ConnectionLimits & { readonly perUserMax: number; readonly guestBytesPerSecond: number }>;
  /** Chat per user, requests per connection; the burst is twice that. Defaults are in `LIMITS`. */
  readonly rates?: { readonly chatPerSecond?: number; readonly requestsPerSecond?: number };
  /** Where clients connect when this node drains. Default: the URL they used. */
  readonly reconnectUrl?: string;
}

export interface GatewayDeps {
  readonly store: RoomStore;
  readonly log: ShowLog;
  readonly tokens: Pick<Tokens, 'verify' | 'pass'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly options: GatewayOptions;
}

export interface Gateway {
  /** Rejects with a `StampedeError` if the port is in use. */
  listen(): Promise<{ port: number }>;
  /** Completes requests in flight, closes every connection with a `bye`, then closes the port. */
  drain(options?: { timeoutMs?: number }): Promise<void>;
}

/** Above this size the server closes. Below it, a large message gets `frame_too_large`. */
const PAYLOAD_BYTES_MAX = LIMITS.frameInBytesMax * 4;
/** Above our hard limit, which closes with a code: the server's limit only protects its memory. */
const BACKPRESSURE_BYTES_MAX = LIMITS.backpressureHardBytes * 1.25;

const ERASED = 'Your data was erased from this show.';
const REPLACED = 'You opened too many other connections to this show, and this one was the oldest.';

/** Throws a `StampedeError` if the host or the port is invalid. */
export function createGateway(deps: GatewayDeps): Gateway {
  checkListenOptions(deps.options);
  return new SocketGateway(deps);
}

class SocketGateway implements Gateway {
  private readonly deps: GatewayDeps;
  private readonly app: TemplatedApp;
  private readonly connections: Connections;
  private readonly guests: GuestBytes;
  private readonly publisher: TopicPublisher;
  private readonly closer: Closer;
  private readonly rooms: Rooms;
  private readonly joiner: Joiner;
  private readonly slowViewers: SlowViewers;
  private readonly sweeper: Sweeper;
  private readonly requests: Requests;
  private listenSocket: us_listen_socket | null = null;
  private drained: Promise<void> | null = null;

  constructor(deps: GatewayDeps) {
    const { store, tokens, metrics, options, logger } = deps;
    this.deps = deps;
    this.guests = new GuestBytes(systemClock, options.limits?.guestBytesPerSecond);
    const shared = {
      ...{ clock: systemClock, health: store, node: options.node, metrics, guests: this.guests },
      draining: () => this.isDraining,
    };
    this.app = createApp(options.tls ?? null);
    this.connections = new Connections(options.limits);
    this.publisher = new TopicPublisher(this.app, metrics);
    this.closer = new Closer({ now: () => store.now(), tokens, reconnectUrl: options.reconnectUrl });
    this.rooms = this.createRooms();
    this.joiner = new Joiner({ ...shared, closer: this.closer });
    this.requests = new Requests({ ...shared, closer: this.closer, tokens, logger });
    this.slowViewers = new SlowViewers(shared);
    this.sweeper = new Sweeper(
      this.connections,
      (connection) =>
        guarded(
          () => this.inspect(connection),
          (error) => connection.room.onUnexpected(error),
        )(),
      () => this.publisher.bytesPublished,
    );
    const upgrader = new Upgrader({
      ...shared,
      rooms: this.rooms,
      connections: this.connections,
      addresses: new ClientAddresses(options.trustedProxies ?? []),
      tokens,
      logger,
      allowedOrigins: options.allowedOrigins,
    });
    // Browsers learn by a `bye` that an empty id is of no show.
    for (const path of ['/v1/shows/:show', '/v1/shows/']) this.app.ws<SocketData>(path, this.socketBehavior(upgrader));
    const readiness = createReadiness({
      health: store,
      node: options.node,
      ...(options.version === undefined ? {} : { version: options.version }),
      isDraining: () => this.isDraining,
      servesViewers: true,
    });
    addHttpRoutes(this.app, options.node, readiness);
  }

  listen(): Promise<{ port: number }> {
    const { host, port, exclusive } = this.deps.options;
    return new Promise((resolve, reject) => {
      this.app.listen(host, port, exclusive ? LIBUS_LISTEN_EXCLUSIVE_PORT : 0, (socket) => {
        if (socket === false) {
          const message = `Cannot listen on port ${port} of ${host}: it is in use or not permitted.`;
          reject(new StampedeError(failure('already_exists', message)));
          return;
        }
        this.listenSocket = socket;
        resolve({ port: us_socket_local_port(socket) });
      });
    });
  }

  drain({ timeoutMs = LIMITS.drainMs }: { timeoutMs?: number } = {}): Promise<void> {
    this.drained ??= this.drainOnce(timeoutMs);
    return this.drained;
  }

  private async drainOnce(timeoutMs: number): Promise<void> {
    const { rooms, connections, closer } = this;
    await drainGateway({ timeoutMs, rooms, connections, closer, logger: this.deps.logger });
    this.sweeper.stop();
    if (this.listenSocket !== null) us_listen_socket_close(this.listenSocket);
    this.listenSocket = null;
    this.app.close();
    this.updateGauges();
  }

  private get isDraining(): boolean {
    return this.drained !== null;
  }

  private createRooms(): Rooms {
    const { store, log, logger, metrics, options } = this.deps;
    return new Rooms({
      node: `${options.node}~${randomBytes(6).toString('base64url')}`,
      store,
      log,
      logger,
      broadcaster: new Broadcaster(this.publisher, systemClock),
      rates: {
        chat: rateOf(options.rates?.chatPerSecond ?? LIMITS.chatRatePerSecond),
        requests: rateOf(options.rates?.requestsPerSecond ?? LIMITS.requestRatePerSecond),
      },
      connectionsPerUserMax: options.limits?.perUserMax ?? LIMITS.connectionsPerUserMax,
      clock: systemClock,
      encodes: metrics.encodes,
      onReserveBatch: (size) => metrics.reserveBatchSize.observe(size),
      onLocalRefusal: (code) => metrics.localRefusals.add(code),
      onFlush: (lane, elapsedMs) => metrics.flushSeconds.observe({ lane }, elapsedMs / 1000),
      onSurplus: (connection) => this.closer.close(connection as Connection, 'replaced', { message: REPLACED }),
      onHearts: (count) => metrics.hearts.inc(count),
      onGone: (room, error) => {
        for (const connection of this.connections.all())
          if (connection.room === room) this.closer.reject(connection, error);
      },
      onErased: ({ members }, user) => {
        for (const connection of members.get(user)?.connections ?? [])
          this.closer.close(connection as Connection, 'forbidden', { message: ERASED });
      },
    });
  }

  private socketBehavior(upgrader: Upgrader): WebSocketBehavior<SocketData> {
    return {
      maxPayloadLength: PAYLOAD_BYTES_MAX,
      maxBackpressure: BACKPRESSURE_BYTES_MAX,
      idleTimeout: LIMITS.idleTimeoutSeconds,
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => upgrader.upgrade(res, req, context),
      open: (socket) => {
        const data = socket.getUserData();
        if (data.connection === null) return this.closer.refuse(socket, data.refusal);
        const { connection } = data;
        connection.attach(socket);
        this.connections.add(connection);
        this.guests.add(connection);
        this.sweeper.start();
        this.updateGauges();
        this.joiner.join(connection);
      },
      message: (socket, data, isBinary) =>
        withConnection(socket, (connection) => this.requests.receive(connection, new Uint8Array(data), isBinary)),
      ping: (socket) => this.attempt(socket, (connection) => this.requests.receivePing(connection)),
      drain: (socket) => this.attempt(socket, (connection) => this.slowViewers.onDrain(connection)),
      pong: (socket) => this.attempt(socket, (connection) => this.slowViewers.onPong(connection)),
      dropped: (socket) => this.attempt(socket, (connection) => this.slowViewers.onOverflow(connection)),
      close: (socket, code) => {
        const data = socket.getUserData();
        if (data.connection === null) this.connections.releaseSlot(data.refusal.source);
        else this.attempt(socket, (connection) => this.onClose(connection, code));
      },
    };
  }

  /** An error ends neither the node nor other rooms: the room synchronizes again. */
  private attempt(socket: WebSocket<SocketData>, run: (connection: Connection) => void): void {
    withConnection(socket, (connection) =>
      guarded(
        () => run(connection),
        (error) => connection.room.onUnexpected(error),
      )(),
    );
  }

  private onClose(connection: Connection, code: number): void {
    connection.detach();
    this.connections.remove(connection);
    this.guests.remove(connection);
    if (connection.room.viewers === 0) this.rooms.closeWhenUnused(connection.room);
    this.deps.metrics.closes.add(String(code));
    this.updateGauges();
  }

  /** Called by the sweep; may close the connection. */
  private inspect(connection: Connection): void {
    const { expiresAtSeconds } = connection.identity;
    if (expiresAtSeconds !== null && expiresAtSeconds * 1000 <= this.deps.store.now())
      this.closer.close(connection, 'token_expired');
    else this.slowViewers.inspect(connection);
  }

  private updateGauges(): void {
    const { metrics } = this.deps;
    metrics.connections.set(this.connections.size);
    metrics.rooms.set(this.rooms.size);
  }
}

/** A client that was refused may still send. */
function withConnection(socket: WebSocket<SocketData>, handle: (connection: Connection) => void): void {
  const { connection } = socket.getUserData();
  if (connection !== null) handle(connection);
}
