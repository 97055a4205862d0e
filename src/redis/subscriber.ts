/** The connection that receives the relay: which channels it follows, and for which listeners. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, type Redis } from 'ioredis';
import type { RedisCapabilities } from '../domain/health.ts';
import { LIMITS } from '../limits.ts';
import type { RedisClient } from './client.ts';

const RESUBSCRIBE_PAUSE_MS = 200;
const PING_MS = 5_000;

export type PublishMode = RedisCapabilities['publish'];

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
  #client: RedisClient;
  #publish: PublishMode;
  #wasReady = false;

  constructor(client: RedisClient, publish: PublishMode) {
    this.#client = client;
    this.#publish = publish;
    this.#watch(client);
  }

  /** The current client: it is replaced when the mode changes, or if Redis turns out a cluster. */
  get client(): RedisClient {
    return this.#client;
  }

  /** Continues on another client, which is not yet connected. All channels are subscribed again. */
  replace(client: RedisClient, publish: PublishMode): void {
    const previous = this.#client;
    this.#client = client;
    this.#publish = publish;
    this.#watch(client);
    previous.disconnect();
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
    this.#client.disconnect();
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
    };
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
    throw new Error('Command timed out');
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
