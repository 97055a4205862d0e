/** The connection that receives the relay: which channels it follows, and for which listeners. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, type Redis } from 'ioredis';
import { LIMITS } from '../limits.ts';
import { keepConnected, type RedisClient } from './client.ts';
import type { PublishMode } from './relay-mode.ts';

const RESUBSCRIBE_PAUSE_MS = 200;
const PING_MS = 5_000;

export interface ChannelListener {
  onBytes(bytes: Buffer): void;
  /** Messages may be lost. Called after Redis has confirmed a new subscription. */
  onResync(): void;
}

/**
 * A cluster has one connection for classic channels. When it ends, the driver subscribes on another
 * node and reports nothing; and it never ends by itself if its node is silent.
 */
function watchClassic(cluster: Cluster, onInterrupted: () => void): void {
  const { subscriber } = cluster as unknown as { subscriber: { getInstance(): Redis | null } };
  const watched = new WeakSet<Redis>();
  function watch(): void {
    const current = subscriber.getInstance();
    if (current === null || watched.has(current)) return;
    watched.add(current);
    const timer = setInterval(async () => {
      if (current.status !== 'ready') return;
      const isAlive = await Promise.race([current.ping().catch(() => null), sleep(PING_MS, null)]);
      if (isAlive === null) current.disconnect();
    }, PING_MS).unref();
    current.once('end', () => {
      clearInterval(timer);
      watch();
      onInterrupted();
    });
  }
  cluster.on('ready', watch);
}

export class Subscriber {
  readonly #listeners = new Map<string, Set<ChannelListener>>();
  readonly #createClient: () => RedisClient;
  #client: RedisClient;
  #publish: PublishMode = 'sharded';
  #wasReady = false;
  #isClosed = false;
  /** Why there is no connection. */
  #problem: unknown = null;

  constructor(createClient: () => RedisClient) {
    this.#createClient = createClient;
    this.#client = this.#connect();
  }

  get publish(): PublishMode {
    return this.#publish;
  }

  /** Changes the mode, with a new connection if there are subscriptions in the old one. */
  use(publish: PublishMode): void {
    if (publish === this.#publish) return;
    this.#publish = publish;
    if (this.#listeners.size > 0) this.replaceClient();
  }

  /** Continues with a new client: Redis turned out to be a cluster, or none any more. */
  replaceClient(): void {
    const previous = this.#client;
    this.#client = this.#connect();
    previous.disconnect();
  }

  /** Connects again at once. All channels are subscribed again, and their listeners notified. */
  reconnect(): void {
    const { status } = this.#client;
    if (status === 'ready' || status === 'connect') this.#client.disconnect(true);
    else if (status === 'reconnecting') this.#client.connect().catch(() => {});
  }

  isListening(channel: string): boolean {
    return this.#listeners.has(channel);
  }

  /** Resolves when Redis has confirmed. Rejects if it does not in time; then nothing listens. */
  async listen(channel: string, listener: ChannelListener): Promise<void> {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    try {
      await this.#subscribe(channel);
    } catch (error) {
      this.stop(channel, listener);
      throw error;
    }
  }

  /** No caller waits for this; what still arrives is dropped. */
  stop(channel: string, listener: ChannelListener): void {
    const listeners = this.#listeners.get(channel);
    if (!listeners?.delete(listener) || listeners.size > 0) return;
    this.#listeners.delete(channel);
    this.#unsubscribe(channel);
  }

  close(): void {
    this.#isClosed = true;
    this.#client.disconnect();
  }

  #connect(): RedisClient {
    const client = this.#createClient();
    this.#watch(client);
    keepConnected(client, () => client === this.#client && !this.#isClosed);
    return client;
  }

  #watch(client: RedisClient): void {
    const isCurrent = (): boolean => client === this.#client;
    const deliver = (channel: Buffer, bytes: Buffer): void => {
      if (isCurrent()) this.#deliver(channel.toString(), bytes);
    };
    const onReady = (): void => {
      if (!isCurrent()) return;
      if (this.#wasReady) for (const channel of this.#listeners.keys()) void this.#resync(channel);
      this.#wasReady = true;
      this.#problem = null;
    };
    const onError = (error: unknown): void => {
      if (isCurrent()) this.#problem = error;
    };
    client.on('error', onError);
    client.on('node error', onError);
    client.on('smessageBuffer', deliver);
    client.on('messageBuffer', deliver);
    client.on('ready', onReady);
    // In a cluster single connections break: a slot moved, a master died, a replica took over.
    client.on('subscribersReady', onReady);
    if (client instanceof Cluster) watchClassic(client, onReady);
  }

  #deliver(channel: string, bytes: Buffer): void {
    const listeners = this.#listeners.get(channel);
    // The connection broke before the unsubscribe was sent.
    if (listeners === undefined) return this.#unsubscribe(channel);
    for (const listener of listeners) listener.onBytes(bytes);
  }

  #unsubscribe(channel: string): void {
    const client = this.#client;
    const done = this.#publish === 'sharded' ? client.sunsubscribe(channel) : client.unsubscribe(channel);
    done.catch(() => {});
  }

  /**
   * A command of a subscriber waits for the connection, and never resolves if that breaks. The
   * caller waits no longer than for any other command.
   */
  async #subscribe(channel: string): Promise<void> {
    const client = this.#client;
    const sent = this.#publish === 'sharded' ? client.ssubscribe(channel) : client.subscribe(channel);
    const subscribing = sent.then(() => true);
    const timer = new AbortController();
    const late = sleep(LIMITS.redisCommandTimeoutMs, false, { signal: timer.signal }).catch(() => false);
    try {
      if (await Promise.race([subscribing, late])) return;
    } finally {
      timer.abort();
    }
    // A late subscription has no listener, unless there was another call for this channel.
    subscribing.then(() => this.#listeners.has(channel) || this.#unsubscribe(channel)).catch(() => {});
    throw this.#problem ?? new Error('Command timed out');
  }

  /** What was published while the connection was down is lost. */
  async #resync(channel: string): Promise<void> {
    const client = this.#client;
    while (this.#listeners.has(channel) && client === this.#client && client.status === 'ready') {
      const isSubscribed = await this.#subscribe(channel).then(
        () => true,
        () => sleep(RESUBSCRIBE_PAUSE_MS, false),
      );
      if (!isSubscribed) continue;
      for (const listener of this.#listeners.get(channel) ?? []) listener.onResync();
      return;
    }
  }
}
