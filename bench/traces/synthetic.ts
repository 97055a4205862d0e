/** Synthetic chat recordings with the statistics of a real one; determined by seed and profile. */
import { createPrng, type Prng } from '../generator/prng.ts';
import { createVoice } from '../users/phrases.ts';
import { burstyTimes } from './arrivals.ts';
import { graphemeCount, SCRIPT_NAMES, type Script } from './graphemes.ts';
import { newcomerChance, type TraceProfile } from './profile.ts';
import { LENGTH_QUANTILES } from './statistics.ts';
import { inventText } from './texts.ts';
import type { TraceMessage } from './trace.ts';

export type SyntheticOptions = Readonly<{ profile: TraceProfile; seconds: number; seed: number }>;

/** Separate random streams, so that changes of one do not affect another. */
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

type Person = { readonly name: string; readonly script: Script };

class People {
  readonly #prng: Prng;
  readonly #profile: TraceProfile;
  readonly #people: Person[] = [];
  /** The author of each message; a random entry is an author in proportion to their messages. */
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

  /** Draws an author by messages, and rejects them with probability discount / messages. */
  #known(): number {
    for (;;) {
      const index = this.#prng.pick(this.#wrote);
      if (!this.#prng.chance(this.#profile.newcomers.discount / (this.#written[index] ?? 1))) return index;
    }
  }
}

const letterScripts = ({ scripts }: TraceProfile): Array<readonly [Script, number]> =>
  SCRIPT_NAMES.filter((name) => name !== 'none' && scripts[name] > 0).map((name) => [name, scripts[name]] as const);

/** Gain of the control of the share of repeats. */
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

  /** Short texts repeat by chance, so deliberate repeats depend on the repeats so far. */
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

/** Interpolates the quantiles geometrically, as lengths of chat messages are distributed. */
function lengthAt(lengths: readonly number[], uniform: number): number {
  const above = LENGTH_QUANTILES.findIndex((quantile) => quantile > uniform);
  const [from, to] = [LENGTH_QUANTILES[above - 1] ?? 0, LENGTH_QUANTILES[above] ?? 1];
  const [low, high] = [lengths[above - 1] ?? 1, lengths[above] ?? 1];
  return Math.max(1, Math.round(low * (high / Math.max(1, low)) ** ((uniform - from) / (to - from))));
}
