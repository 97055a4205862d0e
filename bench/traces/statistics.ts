/** Statistics of a chat recording: bursts, lengths, repeats, authors and scripts. */
import { FlagError } from '../scenarios/flags.ts';
import { graphemeCount, hasEmoji, SCRIPT_NAMES, type Script, scriptOf } from './graphemes.ts';
import type { TraceMessage } from './trace.ts';

export const WINDOWS_SECONDS = [1, 10, 60] as const;
export const LENGTH_QUANTILES = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1] as const;

export type TraceStatistics = ReturnType<typeof describeTrace>;

/** Throws `FlagError` for fewer than two messages. */
export function describeTrace(messages: readonly TraceMessage[]) {
  const [first, last] = [messages[0], messages.at(-1)];
  if (first === undefined || last === undefined || last.atMs <= first.atMs)
    throw new FlagError('a recording needs at least two messages at different moments');
  const times = messages.map(({ atMs }) => (atMs - first.atMs) / 1000);
  const seconds = times.at(-1) as number;
  const gaps = times.slice(1).map((at, i) => at - (times[i] as number));
  const texts = new Set<string>();
  let repeats = 0;
  for (const { text } of messages) {
    if (texts.has(text)) repeats++;
    texts.add(text);
  }
  const share = (part: number): number => part / messages.length;
  const byUser = countsOf(messages.map(({ user }) => user)).sort((a, b) => b - a);
  const scripts = messages.map(({ text }) => scriptOf(text));
  const lengths = messages.map(({ text }) => graphemeCount(text)).sort((a, b) => a - b);
  return {
    messages: messages.length,
    users: byUser.length,
    seconds,
    perSecond: messages.length / seconds,
    /** Most messages within any second and any ten seconds. */
    busiestSecond: busiest(times, 1),
    busiestTenSeconds: busiest(times, 10),
    longestGapSeconds: Math.max(...gaps),
    /** 1 for a Poisson process, as is burstiness; more for bursts. */
    gapVariation: Math.sqrt(variance(gaps)) / mean(gaps),
    burstiness: WINDOWS_SECONDS.map((window) => fano(times, window)),
    /** In graphemes. */
    lengths: LENGTH_QUANTILES.map(
      (quantile) => lengths[Math.min(lengths.length - 1, Math.floor(quantile * lengths.length))] as number,
    ),
    repeatShare: share(repeats),
    emojiShare: share(messages.filter(({ text }) => hasEmoji(text)).length),
    scripts: Object.fromEntries(
      SCRIPT_NAMES.map((name) => [name, share(scripts.filter((script) => script === name).length)]),
    ) as Record<Script, number>,
    /** Of the most active tenth of users, and of the most active one. */
    busyTenthShare: share(sum(byUser.slice(0, Math.max(1, Math.round(byUser.length / 10))))),
    busiestUserShare: share(byUser[0] ?? 0),
    onceShare: byUser.filter((count) => count === 1).length / byUser.length,
  };
}

/** Variance over mean of the counts in whole windows; NaN with fewer than two. */
export function fano(times: readonly number[], windowSeconds: number): number {
  const windows = Math.floor((times.at(-1) ?? 0) / windowSeconds);
  if (windows < 2) return Number.NaN;
  const counts = new Array<number>(windows).fill(0);
  for (const at of times) {
    const index = Math.floor(at / windowSeconds);
    if (index < windows) counts[index] = (counts[index] ?? 0) + 1;
  }
  return variance(counts) / mean(counts);
}

function busiest(times: readonly number[], windowSeconds: number): number {
  let most = 0;
  let from = 0;
  for (let to = 0; to < times.length; to++) {
    while ((times[to] as number) - (times[from] as number) >= windowSeconds) from++;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

function countsOf(names: readonly string[]): number[] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts.values()];
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const mean = (values: readonly number[]): number => sum(values) / values.length;
function variance(values: readonly number[]): number {
  const middle = mean(values);
  return sum(values.map((value) => (value - middle) ** 2)) / values.length;
}
