/** Requests with an idempotency key: one for each intent of the buyer, however often it is sent. */
import type { ClientMessage, Ok } from '../protocol/messages.ts';
import type { Outcome } from './outcome.ts';
import type { Requests } from './requests.ts';
import type { KeyedOptions } from './types.ts';

/** A keyed request is repeated for this long. */
const DEADLINE_MS = 30_000;

/** Returns a random key. React Native has no `crypto`, plain http pages no `randomUUID`. */
export function newKey(random = Math.random): string {
  const { crypto } = globalThis as { crypto?: Crypto };
  const bytes = crypto?.getRandomValues(new Uint8Array(16)) ?? Uint8Array.from({ length: 16 }, () => random() * 256);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Intents whose result is not known yet. So many are remembered; the oldest are forgotten. */
const INTENTS_MAX = 100;

/**
 * Remembers the key of each intent until its result is definite. A person who presses "buy" again
 * after an unknown outcome, or while the first press is on its way, then gets the result of the
 * first press, and no second hold.
 */
export class KeyedRequests {
  readonly #requests: Pick<Requests, 'repeat'>;
  readonly #random: () => number;
  readonly #keys = new Map<string, string>();

  constructor(requests: Pick<Requests, 'repeat'>, random: () => number) {
    this.#requests = requests;
    this.#random = random;
  }

  /** Repeats a request with one key until its result is known. */
  async repeat(
    { key: given, deadlineMs = DEADLINE_MS }: KeyedOptions,
    intent: readonly unknown[],
    build: (id: number, key: string) => ClientMessage,
  ): Promise<{ key: string; outcome: Outcome<Ok> }> {
    const key = given ?? this.#keyOf(JSON.stringify(intent));
    const outcome = await this.#requests.repeat((id) => build(id, key), deadlineMs);
    if (outcome.ok || outcome.error.code !== 'unknown_outcome')
      for (const [name, known] of this.#keys) if (known === key) this.#keys.delete(name);
    return { key, outcome };
  }

  #keyOf(intent: string): string {
    const key = this.#keys.get(intent) ?? newKey(this.#random);
    this.#keys.set(intent, key);
    const [oldest = ''] = this.#keys.keys();
    if (this.#keys.size > INTENTS_MAX) this.#keys.delete(oldest);
    return key;
  }
}
