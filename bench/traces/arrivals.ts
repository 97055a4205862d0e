/**
 * Times of chat messages in bursts: a Hawkes process with an exponential kernel (A. G. Hawkes,
 * Biometrika 58, 1971). Each message triggers `branching` others on average, after times with mean
 * 1 / `decayPerSecond`; the rest are independent.
 */
import type { Prng } from '../generator/prng.ts';
import { WINDOWS_SECONDS } from './statistics.ts';

export interface Bursts {
  /** From 0 (Poisson) up to, not including, 1. */
  readonly branching: number;
  readonly decayPerSecond: number;
}

const BRANCHING_MAX = 0.95;
/** Time scales that are tried: bursts from a tenth of a second to ten minutes. */
const RATES_TRIED = Array.from({ length: 80 }, (_, i) => 10 ** (-2.8 + i * 0.0475));

/** Share of the excess in a window: 1 - (1 - e^-x) / x, x = decay (1 - branching) window. */
const seenIn = (x: number): number => 1 - (1 - Math.exp(-x)) / x;

/** Fano factor of counts in a window: 1 + (1 / (1 - n)^2 - 1) seenIn(decay (1 - n) window). */
export const fanoOf = ({ branching, decayPerSecond }: Bursts, windowSeconds: number): number =>
  1 + ((1 - branching) ** -2 - 1) * seenIn(decayPerSecond * (1 - branching) * windowSeconds);

/** Fits the process to the variance measured in `WINDOWS_SECONDS`; NaN windows are ignored. */
export function fitBursts(burstiness: readonly number[]): Bursts {
  const wanted = WINDOWS_SECONDS.flatMap((window, i) => {
    const factor = burstiness[i];
    return factor === undefined || Number.isNaN(factor) ? [] : [{ window, excess: Math.max(0, factor - 1) }];
  });
  if (wanted.every(({ excess }) => excess < 0.02)) return { branching: 0, decayPerSecond: 1 };
  let best = { error: Number.POSITIVE_INFINITY, branching: 0, decayPerSecond: 1 };
  for (const rate of RATES_TRIED) {
    // For one time scale the height is linear: least squares of the logarithms is their mean.
    const height = Math.exp(
      wanted.reduce((sum, { window, excess }) => sum + Math.log((excess + 0.02) / seenIn(rate * window)), 0) /
        wanted.length,
    );
    const error = wanted.reduce(
      (sum, { window, excess }) => sum + Math.log((height * seenIn(rate * window)) / (excess + 0.02)) ** 2,
      0,
    );
    const branching = Math.min(BRANCHING_MAX, 1 - (1 + height) ** -0.5);
    if (error < best.error) best = { error, branching, decayPerSecond: rate / (1 - branching) };
  }
  return { branching: best.branching, decayPerSecond: best.decayPerSecond };
}

/** Time constants simulated before a recording begins, so that it begins in steady state. */
const LEAD_IN = 6;

/** Returns times in seconds, ascending. `perSecond` is the long-term mean. */
export function burstyTimes(prng: Prng, bursts: Bursts, perSecond: number, seconds: number): number[] {
  const { branching, decayPerSecond } = bursts;
  const times: number[] = [];
  const own = perSecond * (1 - branching);
  const lead = branching === 0 ? 0 : LEAD_IN / (decayPerSecond * (1 - branching));
  for (let at = -lead + prng.waitMs(1 / own); at < seconds; at += prng.waitMs(1 / own)) {
    const waiting = [at];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (next >= 0) times.push(next);
      for (let more = poisson(prng, branching); more > 0; more--) {
        const triggered = next + prng.waitMs(1 / decayPerSecond);
        if (triggered < seconds) waiting.push(triggered);
      }
    }
  }
  return times.sort((a, b) => a - b);
}

/** Counts arrivals in a unit of time; means are below 1. */
function poisson(prng: Prng, mean: number): number {
  if (mean === 0) return 0;
  let count = -1;
  for (let at = 0; at < 1; at += prng.waitMs(1 / mean)) count++;
  return count;
}
