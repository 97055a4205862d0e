/** What this project changes in ioredis 6.0.0. A test fails if the driver no longer calls it. */
import { Cluster, Command, Redis } from 'ioredis';

interface CommandTimer {
  _commandTimeoutTimer?: NodeJS.Timeout;
  readonly isSettled: boolean;
  reject(error: Error): void;
}

interface SocketTimer {
  readonly stream: NodeJS.ReadableStream & { destroy(error: Error): void };
  readonly options: { readonly socketTimeout?: number };
  readonly commandQueue: { readonly length: number };
  socketTimeoutTimer: NodeJS.Timeout | undefined;
  setSocketTimeout(): void;
}

interface Ending {
  readonly status: string;
  readonly connector: { stream: unknown };
  manuallyClosing: boolean;
  disconnect(reconnect?: boolean): void;
  setStatus(status: 'end'): void;
  flushQueue(error: Error): void;
}

interface Refreshing {
  slotsTimer: NodeJS.Timeout | null | undefined;
  readonly options: { readonly slotsRefreshInterval?: number };
  refreshSlotsCache(done: () => void): void;
  resetNodesRefreshInterval(): void;
}

/**
 * After this process stood still (a long garbage collection, a suspended machine), the time-outs of
 * ioredis ran before it had read the replies that arrived meanwhile: they blamed a Redis that had
 * replied. Here a time-out first lets the event loop read its sockets. Node.js runs timers, then
 * reads sockets, then runs immediates.
 */
export function letTimeoutsReadFirst(): void {
  const command = Command.prototype as unknown as CommandTimer & { setTimeout(ms: number): void };
  command.setTimeout = function (this: CommandTimer, ms) {
    this._commandTimeoutTimer ??= setTimeout(() => {
      setImmediate(() => {
        if (!this.isSettled) this.reject(new Error('Command timed out'));
      });
    }, ms);
  };
  const redis = Redis.prototype as unknown as SocketTimer;
  redis.setSocketTimeout = function (this: SocketTimer) {
    const { stream, options } = this;
    const timer = setTimeout(() => {
      setImmediate(() => {
        if (this.socketTimeoutTimer !== timer) return;
        this.socketTimeoutTimer = undefined;
        stream.destroy(
          new Error(`Socket timeout. Expecting data, but didn't receive any in ${options.socketTimeout}ms.`),
        );
      });
    }, options.socketTimeout);
    this.socketTimeoutTimer = timer;
    // After the listener of the parser, which takes replies off the queue.
    stream.once('data', () => {
      clearTimeout(this.socketTimeoutTimer);
      this.socketTimeoutTimer = undefined;
      if (this.commandQueue.length > 0) this.setSocketTimeout();
    });
  };
}

/**
 * A client that is disconnected while it waits for its next attempt has no socket whose end it
 * could report (ioredis issue 1830). BullMQ waits for that end when it stops.
 */
export function letWaitingClientsEnd(): void {
  const redis = Redis.prototype as unknown as Ending;
  const { disconnect } = redis;
  redis.disconnect = function (this: Ending, reconnect = false) {
    const isWaiting = this.status === 'reconnecting' && !reconnect;
    // It would wait two seconds for the end of a socket that is closed, and keep the process alive.
    if (this.status === 'end') return;
    if (isWaiting) this.connector.stream = undefined;
    disconnect.call(this, reconnect);
    if (!isWaiting) return;
    this.manuallyClosing = false;
    this.setStatus('end');
    this.flushQueue(new Error('Connection is closed.'));
  };
}

/** A client of a cluster that was disconnected during a refresh of its slots went on with them. */
export function letClustersEnd(): void {
  const cluster = Cluster.prototype as unknown as Refreshing;
  cluster.resetNodesRefreshInterval = function (this: Refreshing) {
    const { slotsRefreshInterval } = this.options;
    if (this.slotsTimer || !slotsRefreshInterval) return;
    const next = (): void => {
      const timer = setTimeout(() => {
        this.refreshSlotsCache(() => {
          if (this.slotsTimer === timer) next();
        });
      }, slotsRefreshInterval);
      this.slotsTimer = timer;
    };
    next();
  };
}
