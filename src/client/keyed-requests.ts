/** Requests with an idempotency key: one for each intent of the buyer, however often it is sent. */
import type { Ok } from '../protocol/messages.ts';
import { WAIT_MAX_MS } from './backoff.ts';
import { failed, type Outcome } from './outcome.ts';
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

/** Intents without a success. So many are remembered; the oldest are forgotten. */
const INTENTS_MAX = 1_000;

interface Intent {
  readonly key: string;
  /** While a request is pending. */
  pending?: Promise<Outcome<Ok>> | undefined;
}

/**
 * Remembers the key of each intent until it has succeeded: a refusal may come from a node that does
 * not know what an earlier attempt did, and errors are not recorded, so the key can be used again
 * . A second call while the first one is pending joins it. A person who presses "buy" again
 * then gets the result of the first press, as a replayed one, and no second hold.
 */
export class KeyedRequests {
  readonly #requests: Pick<Requests, 'repeat'>;
  readonly #random: () => number;
  readonly #intents = new Map<string, Intent>();

  constructor(requests: Pick<Requests, 'repeat'>, random: () => number) {
    this.#requests = requests;
    this.#random = random;
  }

  /**
   * Repeats a request with one key until its result is known. `read` returns the request without
   * id and key. It throws, as JSON does, for arguments that JavaScript passed and types forbid.
   */
  async repeat<Options extends KeyedOptions>(
    options: Options,
    read: (options: Options) => object,
  ): Promise<{ key: string; outcome: Outcome<Ok> }> {
    let name: string;
    let deadlineMs: number;
    try {
      name = JSON.stringify([options.key, read(options)]);
      deadlineMs = Math.min(options.deadlineMs ?? DEADLINE_MS, WAIT_MAX_MS);
      if (!(deadlineMs <= WAIT_MAX_MS)) throw new TypeError();
    } catch {
      return { key: '', outcome: failed('invalid_message', 'An argument has a wrong type.') };
    }
    const [given, request] = JSON.parse(name);
    const intents = this.#intents;
    const intent: Intent = intents.get(name) ?? { key: given ?? newKey(this.#random) };
    const { key } = intent;
    intents.set(name, intent);
    const [oldest = ''] = intents.keys();
    if (intents.size > INTENTS_MAX) intents.delete(oldest);
    const joined = intent.pending;
    intent.pending ??= this.#requests.repeat({ ...request, key }, deadlineMs).then((outcome) => {
      intent.pending = undefined;
      if (outcome.ok || outcome.error.code === 'idempotency_conflict') intents.delete(name);
      return outcome;
    });
    const outcome = await intent.pending;
    if (!joined || !outcome.ok) return { key, outcome };
    const { value } = outcome;
    return { key, outcome: { ok: true, value: { ...value, data: { ...value.data, replayed: true } } } };
  }
}
