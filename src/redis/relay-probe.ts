/** Messages to this process itself: whether what Redis publishes arrives at the subscriber. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisClient } from './client.ts';
import type { Keys } from './keys.ts';
import type { PublishMode } from './relay-mode.ts';
import { troubleOf } from './states.ts';
import type { Subscriber } from './subscriber.ts';

export const newNonce = (): string => randomBytes(8).toString('hex');
const NONCE_BYTES = 16;

export class RelayProbe {
  /** A show that does not exist; this is its channel. */
  readonly show = `check-${newNonce()}`;
  readonly channel: string;
  readonly #subscriber: Subscriber;
  readonly #waiting = new Map<string, () => void>();
  readonly #listener = {
    onBytes: (bytes: Buffer): void => this.#waiting.get(bytes.subarray(-NONCE_BYTES).toString())?.(),
    onResync(): void {},
  };

  constructor(keys: Keys, subscriber: Subscriber) {
    this.channel = keys.show(this.show).of.channel;
    this.#subscriber = subscriber;
  }

  isListening(publish: PublishMode): boolean {
    return this.#subscriber.publish === publish && this.#subscriber.isListening(this.channel);
  }

  /** Subscribes in this mode. Rejects if Redis refuses. */
  async listen(publish: PublishMode): Promise<void> {
    this.stop();
    this.#subscriber.use(publish);
    try {
      await this.#subscriber.listen(this.channel, this.#listener);
    } catch (error) {
      // Commands get replies, so this connection is broken.
      if (troubleOf(error).state === 'silent') this.#subscriber.reconnect();
      throw error;
    }
  }

  stop(): void {
    this.#subscriber.stop(this.channel, this.#listener);
  }

  /** Resolves with false if the message with this nonce does not arrive in time. */
  async arrival(nonce: string, timeoutMs: number): Promise<boolean> {
    const timer = new AbortController();
    const arrived = new Promise<boolean>((resolve) => this.#waiting.set(nonce, () => resolve(true)));
    const late = sleep(timeoutMs, false, { signal: timer.signal, ref: false }).catch(() => false);
    const result = await Promise.race([arrived, late]);
    timer.abort();
    this.#waiting.delete(nonce);
    return result;
  }

  /**
   * Publishes and waits, twice if necessary: a message before the subscription was renewed is lost,
   * for example after a restart. Rejects if Redis does not take the message.
   */
  async roundTrip(client: RedisClient, timeoutMs: number): Promise<boolean> {
    return (await this.#publish(client, timeoutMs)) || this.#publish(client, timeoutMs);
  }

  async #publish(client: RedisClient, timeoutMs: number): Promise<boolean> {
    const nonce = newNonce();
    const arrival = this.arrival(nonce, timeoutMs);
    await (this.#subscriber.publish === 'sharded'
      ? client.spublish(this.channel, nonce)
      : client.publish(this.channel, nonce));
    return arrival;
  }
}
