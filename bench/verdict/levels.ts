/** Service levels: what a flag asks for, compared with what was measured. */
import type { Latency, Level } from '../report/result.ts';
import type { CommonFlags } from '../scenarios/common-flags.ts';
import { type Flag, flag, flagName } from '../scenarios/flags.ts';

/** A flag for a share from 0 to 1: `99.9%` or `0.999`. */
export const share = <T extends number | null>(initial: T, about: string): Flag<T | number> =>
  flag<T | number>('SHARE', initial, about, (raw) => {
    const match = /^(\d{1,3}(?:\.\d{1,6})?)(%?)$/.exec(raw);
    const value = Number(match?.[1]) / (match?.[2] === '%' ? 100 : 1);
    if (match === null || value > 1)
      return { problem: `must be a share such as 99.9% or 0.999, got ${JSON.stringify(raw)}` };
    return { value };
  });

const PERCENTILES = ['p50', 'p90', 'p99', 'p999', 'p9999', 'max'] as const;
type Percentile = (typeof PERCENTILES)[number];

/** `--p50` to `--max`, applied to the main latency of the scenario. */
export const commonLevels = (common: CommonFlags, latency: Latency | undefined): Level[] =>
  PERCENTILES.flatMap((name) => latencyLevel(name, common[name], latency, name));

/** `key` is the flag in camelCase. A latency without measurements misses its level. */
export function latencyLevel(
  key: string,
  wantedMs: number | null | undefined,
  latency: Latency | undefined,
  percentile: Percentile = 'p99',
): Level[] {
  if (wantedMs === null || wantedMs === undefined) return [];
  const measured = latency !== undefined && latency.count > 0 ? latency[`${percentile}Ms`] : null;
  const shown = measured === null ? 'never happened' : `${milliseconds(measured)} (${latency?.name})`;
  const ok = measured !== null && measured <= wantedMs;
  return [{ flag: flagName(key), wanted: `<= ${milliseconds(wantedMs)}`, measured: shown, ok }];
}

export function shareLevel(key: string, wanted: number | null, got: number, of: number): Level[] {
  if (wanted === null) return [];
  const measured = of === 0 ? 'nothing was due' : percent(got / of);
  return [{ flag: flagName(key), wanted: `>= ${percent(wanted)}`, measured, ok: of > 0 && got / of >= wanted }];
}

type Format = (value: number) => string;

export const mostLevel = (key: string, wanted: number | null, measured: number, say: Format): Level[] =>
  wanted === null ? [] : [atMost(flagName(key), wanted, measured, say)];

export const atLeast = (flag: string, wanted: number, measured: number, say: Format): Level => {
  return { flag, wanted: `>= ${say(wanted)}`, measured: say(measured), ok: measured >= wanted };
};

export const atMost = (flag: string, wanted: number, measured: number, say: Format): Level => {
  return { flag, wanted: `<= ${say(wanted)}`, measured: say(measured), ok: measured <= wanted };
};

export const milliseconds = (ms: number): string =>
  ms >= 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
/** Never rounded up to 100 %. */
export const percent = (value: number): string =>
  `${(Math.floor(value * 100_000) / 1000).toFixed(value === 1 ? 0 : 3)} %`;
