/**
 * Chat recordings that nobody said: the same numbers as a real one, none of its words. The same
 * seed and profile give the same recording on every machine.
 */

import { createPrng, type Prng } from '../generator/prng.ts';
import { createVoice } from '../users/phrases.ts';
import { burstyTimes } from './arrivals.ts';
import { graphemeCount, SCRIPT_NAMES, type Script } from './graphemes.ts';
import { newcomerChance, type TraceProfile } from './profile.ts';
import { LENGTH_QUANTILES } from './statistics.ts';
import { inventText } from './texts.ts';
import type { TraceMessage } from './trace.ts';

export interface SyntheticOptions {
  readonly profile: TraceProfile;
  readonly seconds: number;
  readonly seed: number;
}

/** Of one seed, so that more of one thing does not shift another. */
const STREAM = { times: 1, people: 2, texts: 3 } as const;

export function syntheticTrace({ profile, seconds, seed }: SyntheticOptions): TraceMessage[] {
  const prng = createPrng(seed);
  const times = burstyTimes(prng.fork(STREAM.times), profile.bursts, profile.perSecond, seconds);
  const people = new People(prng.fork(STREAM.people), profile);
  const texts = new Texts(prng.fork(STREAM.texts), profile);
  return times.map((at) => {
    const { name, script } = people.next();
    return { atMs: Math.round(at * 1000), user: name, text: texts.next(script) };
  });
}

interface Person {
  readonly name: string;
  readonly script: Script;
}

class People {
  readonly #prng: Prng;
  readonly #profile: TraceProfile;
  readonly #people: Person[] = [];
  /**
   * Who wrote each message so far: one of them at random is a person in proportion to their
   * messages.
   */
  readonly #wrote: number[] = [];
  readonly #written: number[] = [];

  constructor(prng: Prng, profile: TraceProfile) {
    this.#prng = prng;
    this.#profile = profile;
  }

  next(): Person {
    const { newcomers } = this.#profile;
    const index = this.#prng.chance(newcomerChance(newcomers, this.#people.length, this.#wrote.length))
      ? this.#welcome()
      : this.#known();
    this.#wrote.push(index);
    this.#written[index] = (this.#written[index] ?? 0) + 1;
    return this.#people[index] as Person;
  }

  #welcome(): number {
    const index = this.#people.length;
    const name = createVoice(this.#prng, index).name;
    this.#people.push({ name, script: this.#prng.weighted(letterScripts(this.#profile)) });
    return index;
  }

  /**
   * In proportion to messages written, less the discount: a draw by messages, thrown away with
   * probability discount / messages.
   */
  #known(): number {
    for (;;) {
      const index = this.#prng.pick(this.#wrote);
      if (!this.#prng.chance(this.#profile.newcomers.discount / (this.#written[index] ?? 1))) return index;
    }
  }
}

const letterScripts = ({ scripts }: TraceProfile): Array<readonly [Script, number]> =>
  SCRIPT_NAMES.filter((name) => name !== 'none' && scripts[name] > 0).map((name) => [name, scripts[name]] as const);

/** How strongly a share that is off is steered back. */
const STEERING = 3;
const ATTEMPTS = 4;

class Texts {
  readonly #prng: Prng;
  readonly #profile: TraceProfile;
  readonly #byLength = new Map<number, string[]>();
  readonly #known = new Set<string>();
  #count = 0;
  #repeats = 0;

  constructor(prng: Prng, profile: TraceProfile) {
    this.#prng = prng;
    this.#profile = profile;
  }

  /**
   * Short texts repeat by themselves, so how many more are repeated on purpose depends on how many
   * were.
   */
  next(script: Script): string {
    const { repeatShare } = this.#profile;
    const graphemes = lengthAt(this.#profile.lengths, this.#prng.next());
    const short = this.#count === 0 ? 0 : repeatShare - this.#repeats / this.#count;
    const known = this.#prng.chance(repeatShare + STEERING * short) ? this.#byLength.get(graphemes) : undefined;
    const text = known === undefined ? this.#invent(graphemes, script) : this.#prng.pick(known);
    this.#count++;
    if (this.#known.has(text)) this.#repeats++;
    else this.#remember(text);
    return text;
  }

  #invent(graphemes: number, script: Script): string {
    const { emojiShare, scripts } = this.#profile;
    const emoji = this.#prng.chance(emojiShare);
    const said = this.#prng.chance(scripts.none) ? 'none' : script;
    let text = '';
    for (let i = 0; i < ATTEMPTS; i++) {
      text = inventText(this.#prng, { graphemes, script: said, emoji });
      if (!this.#known.has(text)) break;
    }
    return text;
  }

  #remember(text: string): void {
    this.#known.add(text);
    const graphemes = graphemeCount(text);
    const same = this.#byLength.get(graphemes);
    if (same === undefined) this.#byLength.set(graphemes, [text]);
    else same.push(text);
  }
}

/**
 * From the quantiles; between two of them as in a geometric row, which is how lengths of chat lie.
 */
function lengthAt(lengths: readonly number[], uniform: number): number {
  const above = LENGTH_QUANTILES.findIndex((quantile) => quantile > uniform);
  const [from, to] = [LENGTH_QUANTILES[above - 1] ?? 0, LENGTH_QUANTILES[above] ?? 1];
  const [low, high] = [lengths[above - 1] ?? 1, lengths[above] ?? 1];
  const part = (uniform - from) / (to - from);
  return Math.max(1, Math.round(low * (high / Math.max(1, low)) ** part));
}
