/** The parameters of a synthetic recording, and how they are fitted to a real one. */
import { type Bursts, fitBursts } from './arrivals.ts';
import type { Script } from './graphemes.ts';
import type { TraceStatistics } from './statistics.ts';

/**
 * The next author is new with probability (strength + discount * authors) / (strength + messages),
 * else a known one in proportion to what each has written (J. Pitman, M. Yor, 1997). So a few write
 * a lot, many write once, and the number of authors grows.
 */
export type Newcomers = { readonly discount: number; readonly strength: number };

export interface TraceProfile {
  readonly perSecond: number;
  readonly bursts: Bursts;
  readonly newcomers: Newcomers;
  /** Graphemes, at `LENGTH_QUANTILES`. */
  readonly lengths: readonly number[];
  readonly repeatShare: number;
  readonly emojiShare: number;
  readonly scripts: Readonly<Record<Script, number>>;
}

/** As measured in the chat of a live stream; scripts and emoji as of international shoppers. */
export const DEFAULT_PROFILE: TraceProfile = {
  perSecond: 2,
  bursts: { branching: 0.71, decayPerSecond: 0.32 },
  newcomers: { discount: 0.25, strength: 160 },
  lengths: [1, 3, 4, 9, 21, 38, 52, 92, 280],
  repeatShare: 0.34,
  emojiShare: 0.25,
  scripts: { latin: 0.7, chinese: 0.07, japanese: 0.06, korean: 0.05, arabic: 0.05, cyrillic: 0.05, none: 0.02 },
};

export function profileOf(statistics: TraceStatistics): TraceProfile {
  const { perSecond, burstiness, lengths, repeatShare, emojiShare, scripts } = statistics;
  const [bursts, newcomers] = [fitBursts(burstiness), fitNewcomers(statistics)];
  return { perSecond, bursts, newcomers, lengths, repeatShare, emojiShare, scripts };
}

const DISCOUNT_MIN = 0.02;
const DISCOUNT_MAX = 0.9;
const HALVINGS = 50;

/** Fits the process to the number of authors, and of those who wrote once. */
function fitNewcomers({ onceShare, users, messages }: TraceStatistics): Newcomers {
  const strengthFor = (discount: number): number =>
    Math.exp(rootOf((log) => expectedPeople({ discount, strength: Math.exp(log) }, messages) - users, -4, 16));
  const discount = rootOf(
    (tried) => expectedOnce({ discount: tried, strength: strengthFor(tried) }, messages) - onceShare * users,
    DISCOUNT_MIN,
    DISCOUNT_MAX,
  );
  return { discount, strength: strengthFor(discount) };
}

/** Returns the root of an increasing function, or the nearer end of the interval. */
function rootOf(growing: (x: number) => number, from: number, to: number): number {
  let [low, high] = [from, to];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (growing(middle) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

export const newcomerChance = ({ discount, strength }: Newcomers, people: number, messages: number): number =>
  people === 0 ? 1 : (strength + discount * people) / (strength + messages);

/** Means of the process after n messages (J. Pitman, 2006, section 3.3). */
const ratio = (top: number, { discount, strength }: Newcomers, n: number): number =>
  Math.exp(logGamma(top) - logGamma(strength + n) + logGamma(strength + 1) - logGamma(strength + discount));
const expectedPeople = (of: Newcomers, n: number): number =>
  (ratio(of.strength + of.discount + n, of, n) - of.strength) / of.discount;
const expectedOnce = (of: Newcomers, n: number): number => n * ratio(of.strength + of.discount + n - 1, of, n);

/** Stirling's series above 10, the recurrence below. */
function logGamma(x: number): number {
  if (x < 10) return logGamma(x + 1) - Math.log(x);
  return (x - 0.5) * Math.log(x) - x + Math.log(2 * Math.PI) / 2 + 1 / (12 * x) - 1 / (360 * x ** 3);
}
