/**
 * A whole audience: people who come at once, people who come late, and chat that is invented or
 * replayed from a recording.
 */
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ReservationView } from '../../src/protocol/messages.ts';
import { createPrng, type Prng } from '../generator/prng.ts';
import type { TraceMessage } from '../traces/trace.ts';
import { type BackOffice, BackOfficeError } from '../users/back-office.ts';
import { Tally } from '../users/counters.ts';
import { createVoice, type Voice } from '../users/phrases.ts';
import { drawTraits, Person } from '../users/virtual-user.ts';

export interface CrowdOptions {
  readonly backOffice: BackOffice;
  readonly gatewayUrl: string;
  readonly show: string;
  readonly viewers: number;
  readonly seed: number;
  /** The punctual ones come spread over this long from now. */
  readonly joinMs: number;
  /** The late ones come between these moments from now; about one in seven is late. */
  readonly lateMs: readonly [fromMs: number, toMs: number];
  /** Recorded chat in place of invented; `speed` 2 plays it twice as fast. */
  readonly trace?: { readonly messages: readonly TraceMessage[]; readonly speed: number };
}

interface Guest {
  readonly index: number;
  readonly user: string;
  readonly name: string;
  readonly voice: Voice;
  /** Comes this long after the start. */
  readonly atMs: number;
  token: string;
}

const LATE_SHARE = 0.15;
const TOKENS_AT_ONCE = 16;
/** Answers under way when the audience stops acting are waited for this long. */
const SETTLE_MS = 800;

export class Crowd {
  readonly tally = new Tally();
  readonly people: Person[] = [];
  traceSent = 0;
  readonly #options: CrowdOptions;
  readonly #random: Prng;
  readonly #acting = new AbortController();
  #arriving: Promise<void> | undefined;

  constructor(options: CrowdOptions) {
    this.#options = options;
    this.#random = createPrng(options.seed);
    setMaxListeners(0, this.#acting.signal);
  }

  get connected(): number {
    return this.people.reduce((count, person) => count + (person.client.status.at === 'open' ? 1 : 0), 0);
  }

  /**
   * Mints everybody's token, then lets them in. Resolves when the tokens are there; arrivals go on
   * by themselves.
   */
  async start(): Promise<void> {
    const { viewers, trace, backOffice, show } = this.#options;
    const guests = this.#guests();
    for (let from = 0; from < viewers; from += TOKENS_AT_ONCE) {
      const slice = guests.slice(from, from + TOKENS_AT_ONCE);
      await Promise.all(
        slice.map(async (guest) => {
          guest.token = await backOffice.mintToken(show, guest.user, guest.name, 'buyer');
        }),
      );
    }
    this.#arriving = this.#arrive(guests);
    if (trace !== undefined) void this.#replay(trace.messages, trace.speed);
  }

  /** Nobody acts any more; what is under way is answered. The connections stay. */
  async settle(): Promise<void> {
    this.#acting.abort();
    await this.#arriving;
    await sleep(SETTLE_MS);
  }

  /** Everybody goes home. */
  leave(): void {
    this.#acting.abort();
    for (const person of this.people) person.leave();
  }

  /** With a recording, its people lend their names as far as they go. */
  #guests(): Guest[] {
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

  async #arrive(guests: readonly Guest[]): Promise<void> {
    const startedAt = performance.now();
    for (const guest of [...guests].sort((a, b) => a.atMs - b.atMs)) {
      const waitMs = startedAt + guest.atMs - performance.now();
      if (waitMs > 1 && !(await this.#wait(waitMs))) return;
      if (this.#acting.signal.aborted) return;
      this.people.push(this.#person(guest));
    }
  }

  #person({ index, user, name, voice, token }: Guest): Person {
    const { gatewayUrl, show, trace } = this.#options;
    const random = this.#random.fork(index);
    const traits = drawTraits(random, { talks: trace === undefined });
    return new Person({
      gatewayUrl,
      show,
      user,
      name,
      voice,
      token,
      traits,
      random,
      tally: this.tally,
      signal: this.#acting.signal,
      pay: (reservation) => this.#pay(reservation, random),
    });
  }

  /**
   * Charges and confirms; one in ten payment desks repeats itself, as after a lost answer, and must
   * get the same answer.
   */
  async #pay(reservation: ReservationView, random: Prng): Promise<ReservationView | null> {
    const { backOffice, show } = this.#options;
    const body = { orderRef: `ORDER-${reservation.id.slice(-10)}`, amount: reservation.amount };
    const key = `pay-${reservation.id}`;
    try {
      const { reservation: confirmed } = await backOffice.confirm(show, reservation.id, body, key);
      if (!random.chance(0.1)) return confirmed;
      const again = await backOffice.confirm(show, reservation.id, body, key);
      if (again.reservation.id !== confirmed.id || again.reservation.state !== confirmed.state)
        this.tally.violation(`confirming ${reservation.id} twice with one key gave two answers`);
      return confirmed;
    } catch (error) {
      this.tally.refused(`confirm: ${error instanceof BackOfficeError ? error.code : 'no answer'}`);
      return null;
    }
  }

  /**
   * People of the recording keep their voice; where it has more people than there are viewers,
   * several share one.
   */
  async #replay(messages: readonly TraceMessage[], speed: number): Promise<void> {
    const voices = new Map<string, number>();
    const startedAt = performance.now();
    for (const { atMs, user, text } of messages) {
      const waitMs = startedAt + atMs / speed - performance.now();
      if (waitMs > 1 && !(await this.#wait(waitMs))) return;
      if (this.#acting.signal.aborted) return;
      let voice = voices.get(user);
      if (voice === undefined) {
        voice = voices.size;
        voices.set(user, voice);
      }
      const speaker = this.people[voice % Math.max(1, this.people.length)];
      if (speaker === undefined || speaker.client.status.at !== 'open') continue;
      speaker.say(text);
      this.traceSent += 1;
    }
  }

  async #wait(ms: number): Promise<boolean> {
    try {
      await sleep(ms, undefined, { signal: this.#acting.signal });
      return true;
    } catch {
      return false;
    }
  }
}
