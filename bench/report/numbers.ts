/** Formats numbers the same way everywhere: few digits, then the unit. */
import { median } from '../generator/median.ts';
import type { BenchResult, Figure } from './result.ts';

const grouped = (digits: number): Intl.NumberFormat => new Intl.NumberFormat('en', { maximumFractionDigits: digits });
const formats = [grouped(0), grouped(1), grouped(2), grouped(3)] as const;
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** About three significant digits: 1,204,332; 41.3; 4.21; 0.042. */
export function writeNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (Number.isInteger(value) || size >= 100) return formats[0].format(value);
  if (size >= 10) return formats[1].format(value);
  if (size >= 0.1) return formats[2].format(value);
  return size < 0.0005 ? value.toPrecision(2) : formats[3].format(value);
}

/** `1,204/s`, `41.3 ms`, `12 %`, or only the number if the unit is empty. */
export const writeAmount = (value: number, unit: string): string => withUnit(writeNumber(value), unit);

/** Short form for axis labels: `1.2M/s`, `10K`. */
export const writeShort = (value: number, unit: string): string =>
  withUnit(Math.abs(value) >= 10_000 ? compact.format(value) : writeNumber(value), unit);

const withUnit = (number: string, unit: string): string =>
  unit === '' || unit.startsWith('/') ? `${number}${unit}` : `${number} ${unit}`;

export const writeMs = (ms: number): string => writeAmount(ms, 'ms');

/** One decimal; `< 0.1 %` for small shares above zero. */
export const writePercent = (share: number): string =>
  share > 0 && share < 0.0005 ? '< 0.1 %' : `${writeNumber(Math.round(share * 1000) / 10)} %`;

/** `42 s`, `3:05 min`, `1:02:30 h`. */
export function writeDuration(ms: number): string {
  const seconds = Math.max(0, ms / 1000);
  if (seconds < 120) return `${writeNumber(seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds))} s`;
  return `${writeClock(ms)} ${seconds < 3600 ? 'min' : 'h'}`;
}

/** `0:42`, `3:05`, `1:02:30`. */
export function writeClock(ms: number): string {
  const seconds = Math.round(Math.max(0, ms) / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const shown = seconds < 3600 ? parts.slice(1) : parts;
  return shown.map((part, at) => (at === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}

export type Spread = NonNullable<ReturnType<typeof spreadOf>>;

/** Returns null if nothing was measured. */
export function spreadOf({ runs }: Pick<Figure, 'runs'>) {
  if (runs.length === 0) return null;
  return { median: median(runs), lowest: Math.min(...runs), highest: Math.max(...runs), runs: runs.length };
}

/** `9,525 to 11,355 over 4 runs`, `the same in 4 runs`, or `one run`. */
export function writeSpread({ lowest, highest, runs }: Spread): string {
  if (runs === 1) return 'one run';
  if (lowest === highest) return `the same in ${runs} runs`;
  return `${writeNumber(lowest)} to ${writeNumber(highest)} over ${runs} runs`;
}

export const processesOf = ({ processes, hosts }: { readonly processes: number; readonly hosts: number }): string =>
  `${plural(processes, 'process', 'processes')} on ${plural(hosts, 'host')}`;

export const machineOf = ({ cpus, model, memoryGiB, platform, node }: BenchResult['machine']): string =>
  `${cpus} x ${model}, ${writeNumber(memoryGiB)} GiB, ${platform}, Node ${node}`;

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${formats[0].format(count)} ${count === 1 ? one : many}`;
