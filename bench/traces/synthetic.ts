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
  const nextAuthor = authors(prng.fork(STREAM.people), profile);
  const nextText = texts(prng.fork(STREAM.texts), profile);
  return times.map((at) => {
    const { name, script } = nextAuthor();
    return { atMs: Math.round(at * 1000), user: name, text: nextText(script) };
  });
}

type Person = { readonly name: string; readonly script: Script };

/** Returns a function that draws the author of the next message. */
function authors(prng: Prng, profile: TraceProfile): () => Person {
  const { newcomers } = profile;
  const people: Person[] = [];
  /** The author of each message; a random entry is an author in proportion to their messages. */
  const wrote: number[] = [];
  const written: number[] = [];
  const welcome = (): number => {
    const { name } = createVoice(prng, people.length);
    return people.push({ name, script: prng.weighted(letterScripts(profile)) }) - 1;
  };
  /** Draws an author by messages, and rejects them with probability discount / messages. */
  const known = (): number => {
    for (;;) {
      const index = prng.pick(wrote);
      if (!prng.chance(newcomers.discount / (written[index] ?? 1))) return index;
    }
  };
  return () => {
    const index = prng.chance(newcomerChance(newcomers, people.length, wrote.length)) ? welcome() : known();
    wrote.push(index);
    written[index] = (written[index] ?? 0) + 1;
    return people[index] as Person;
  };
}

const letterScripts = ({ scripts }: TraceProfile): Array<readonly [Script, number]> =>
  SCRIPT_NAMES.filter((name) => name !== 'none' && scripts[name] > 0).map((name) => [name, scripts[name]] as const);

/** Gain of the control of the share of repeats. */
const STEERING = 3;
const ATTEMPTS = 4;

/** Returns a function that makes the next text. */
function texts(prng: Prng, { lengths, repeatShare, emojiShare, scripts }: TraceProfile): (script: Script) => string {
  const byLength = new Map<number, string[]>();
  const known = new Set<string>();
  let count = 0;
  let repeats = 0;
  const invent = (graphemes: number, script: Script): string => {
    const emoji = prng.chance(emojiShare);
    const said = prng.chance(scripts.none) ? 'none' : script;
    let text = '';
    for (let i = 0; i < ATTEMPTS; i++) {
      text = inventText(prng, { graphemes, script: said, emoji });
      if (!known.has(text)) break;
    }
    return text;
  };
  const remember = (text: string): void => {
    known.add(text);
    const graphemes = graphemeCount(text);
    const same = byLength.get(graphemes);
    if (same === undefined) byLength.set(graphemes, [text]);
    else same.push(text);
  };
  /** Short texts repeat by chance, so deliberate repeats depend on the repeats so far. */
  return (script) => {
    const graphemes = lengthAt(lengths, prng.next());
    const short = count === 0 ? 0 : repeatShare - repeats / count;
    const earlier = prng.chance(repeatShare + STEERING * short) ? byLength.get(graphemes) : undefined;
    const text = earlier === undefined ? invent(graphemes, script) : prng.pick(earlier);
    count++;
    if (known.has(text)) repeats++;
    else remember(text);
    return text;
  };
}

/** Interpolates the quantiles geometrically, as lengths of chat messages are distributed. */
function lengthAt(lengths: readonly number[], uniform: number): number {
  const above = LENGTH_QUANTILES.findIndex((quantile) => quantile > uniform);
  const [from, to] = [LENGTH_QUANTILES[above - 1] ?? 0, LENGTH_QUANTILES[above] ?? 1];
  const [low, high] = [lengths[above - 1] ?? 1, lengths[above] ?? 1];
  return Math.max(1, Math.round(low * (high / Math.max(1, low)) ** ((uniform - from) / (to - from))));
}
