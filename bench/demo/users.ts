/** The virtual users of the demo: who joins when, and chat that is synthetic or replayed. */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPrng, type Prng } from '../generator/prng.ts';
import type { TraceMessage } from '../traces/trace.ts';
import type { BackOffice } from '../users/back-office.ts';
import { Checkout } from '../users/checkout.ts';
import { UserCounters } from '../users/counters.ts';
import { createVoice, type Voice } from '../users/phrases.ts';
import { Probe } from '../users/probe.ts';
import { drawTraits, SdkUser } from '../users/sdk-user.ts';

export interface DemoUsersOptions {
  readonly backOffice: BackOffice;
  readonly gatewayUrl: string;
  readonly show: string;
  readonly viewers: number;
  readonly seed: number;
  /** Punctual users join within this time. */
  readonly joinMs: number;
  /** Late users, about one in seven, join within this range. */
  readonly lateMs: readonly [fromMs: number, toMs: number];
  /** Recorded chat instead of synthetic; `speed` 2 replays it twice as fast. */
  readonly trace?: { readonly messages: readonly TraceMessage[]; readonly speed: number };
}

interface Joining {
  readonly index: number;
  readonly user: string;
  readonly name: string;
  readonly voice: Voice;
  readonly atMs: number;
  token: string;
}

const LATE_SHARE = 0.15;
const CONFIRM_REPEATS = 0.1;
const CONCURRENT_TOKENS = 16;
/** Open requests get this long when the users stop. */
const SETTLE_MS = 800;

export class DemoUsers {
  readonly counters = new UserCounters();
  readonly probe = new Probe();
  readonly checkout: Checkout;
  readonly connected: SdkUser[] = [];
  replayed = 0;
  readonly #options: DemoUsersOptions;
  readonly #random: Prng;
  readonly #acting = new AbortController();
  #joining: Promise<void> | undefined;

  constructor(options: DemoUsersOptions) {
    const { backOffice: office, show, seed } = options;
    this.#options = options;
    this.#random = createPrng(seed);
    this.checkout = new Checkout({ office, show, seed, nowMs: () => performance.now(), repeats: CONFIRM_REPEATS });
    setMaxListeners(0, this.#acting.signal);
  }

  get openConnections(): number {
    return this.connected.filter(({ client }) => client.status.at === 'open').length;
  }

  /** Mints all tokens, then resolves. The users join in the background. */
  async start(): Promise<void> {
    const { viewers, trace, backOffice, show } = this.#options;
    const users = this.#draw();
    for (let from = 0; from < viewers; from += CONCURRENT_TOKENS) {
      const slice = users.slice(from, from + CONCURRENT_TOKENS);
      const tokens = slice.map(({ user, name }) => backOffice.mintToken(show, user, name, 'buyer'));
      for (const [i, token] of (await Promise.all(tokens)).entries()) (slice[i] as Joining).token = token;
    }
    this.#joining = this.#join(users);
    if (trace !== undefined) void this.#replay(trace.messages, trace.speed);
  }

  /** Stops all actions and waits for open requests. The connections stay. */
  async settle(): Promise<void> {
    this.#acting.abort();
    await this.#joining;
    await sleep(SETTLE_MS);
  }

  leave(): void {
    this.#acting.abort();
    for (const user of this.connected) user.leave();
  }

  /** The names of a recording are used as far as they suffice. */
  #draw(): Joining[] {
    const { viewers, trace, joinMs, lateMs } = this.#options;
    const recorded = [...new Set(trace?.messages.map((message) => message.user))].slice(0, viewers);
    const random = this.#random.fork(-1);
    return Array.from({ length: viewers }, (_, index) => {
      const voice = createVoice(random, index);
      const late = random.chance(LATE_SHARE);
      const atMs = late ? random.int(Math.round(lateMs[0]), Math.round(lateMs[1])) : (joinMs * index) / viewers;
      return { index, user: `viewer-${index + 1}`, voice, name: recorded[index] ?? voice.name, atMs, token: '' };
    });
  }

  async #join(users: readonly Joining[]): Promise<void> {
    const { gatewayUrl, show, trace } = this.#options;
    const startedAt = performance.now();
    for (const { atMs, index, ...user } of [...users].sort((a, b) => a.atMs - b.atMs)) {
      if (!(await this.#waitUntil(startedAt + atMs))) return;
      const random = this.#random.fork(index);
      this.connected.push(
        new SdkUser({
          ...user,
          gatewayUrl,
          show,
          random,
          traits: drawTraits(random, { chats: trace === undefined }),
          counters: this.counters,
          probe: this.probe,
          signal: this.#acting.signal,
          pay: ({ id, amount }, key) => this.checkout.confirm(id, amount, key),
        }),
      );
    }
  }

  /** Each writer of the recording is one user; where there are more writers, users share them. */
  async #replay(messages: readonly TraceMessage[], speed: number): Promise<void> {
    const writers = new Map<string, number>();
    const startedAt = performance.now();
    for (const { atMs, user, text } of messages) {
      if (!(await this.#waitUntil(startedAt + atMs / speed))) return;
      const writer = writers.get(user) ?? writers.size;
      writers.set(user, writer);
      const speaker = this.connected[writer % Math.max(1, this.connected.length)];
      if (speaker === undefined || speaker.client.status.at !== 'open') continue;
      speaker.chat(text);
      this.replayed += 1;
    }
  }

  async #waitUntil(atMs: number): Promise<boolean> {
    const waitMs = atMs - performance.now();
    if (waitMs > 1) await sleep(waitMs, undefined, { signal: this.#acting.signal }).catch(() => {});
    return !this.#acting.signal.aborted;
  }
}
