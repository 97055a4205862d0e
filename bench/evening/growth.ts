/**
 * Distinguishes growth from a warm-up by the confidence interval of the slope of a fitted line.
 * Each window of values counts once, because values of neighboring seconds correlate.
 */
export type Point = readonly [atMs: number, value: number];

export interface Growth {
  /** Units per hour, and the half width of its 99 % confidence interval. */
  readonly perHour: number;
  readonly plusMinus: number;
  /** Mean of the windows. */
  readonly level: number;
  readonly windows: number;
  readonly forMs: number;
}

export interface GrowthRule {
  /** The value of a window. */
  readonly pick: (values: readonly number[]) => number;
  readonly unit: string;
  readonly allowedPerHour: number;
  /** Values before are not checked; neither is the first half of the run. */
  readonly warmUpMs: number;
}

export interface GrowthCheck {
  /** `steady`: certainly within the bound. `grows`: certainly above it, and not slowing down. */
  readonly verdict: 'steady' | 'grows' | 'inconclusive';
  readonly growth: Growth | null;
  /** For a person; with the necessary length of a run that was too short. */
  readonly detail: string;
}

const WINDOWS_MAX = 20;
/** With fewer windows the factor of Student's t is above 9. */
const WINDOWS_MIN = 5;
const WINDOW_POINTS_MIN = 2;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const CHECKED_MS_MIN = 2 * MINUTE_MS;
/** A leak grows as fast in the second half; a warm-up of a third of the run only half as fast. */
const SLOWS_DOWN = 0.6;
/** A longer prediction than so many times the run is a guess. */
const PREDICTION_MAX = 20;
export const lowest = (values: readonly number[]): number => Math.min(...values);
export const middle = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** The shortest run that can be checked after this warm-up, with a value every `everyMs`. */
export function checkableMs(warmUpMs: number, everyMs: number): number {
  const checkedMs = Math.max(CHECKED_MS_MIN, WINDOWS_MIN * WINDOW_POINTS_MIN * everyMs);
  return Math.max(2 * checkedMs, warmUpMs + checkedMs);
}

/** `points` in order of time. */
export function checkGrowth(points: readonly Point[], rule: GrowthRule): GrowthCheck {
  const { pick, unit, allowedPerHour, warmUpMs } = rule;
  const [firstMs, lastMs] = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? 0];
  const ranMs = lastMs - firstMs;
  const neededMs = checkableMs(warmUpMs, ranMs / Math.max(1, points.length - 1));
  const fromMs = firstMs + Math.max(ranMs / 2, warmUpMs);
  const checked = points.filter(([atMs]) => atMs >= fromMs);
  const growth = growthOf(checked, pick);
  const inconclusive = (needMs: number, reason: string, more = ''): GrowthCheck => ({
    verdict: 'inconclusive',
    growth,
    detail: `inconclusive: run at least ${minutes(needMs)}${more} (${reason})`,
  });
  // The first and the last value lie slightly within the run.
  if (growth === null || ranMs < neededMs * 0.98)
    return inconclusive(neededMs, `the first ${minutes(warmUpMs)}, and always the first half, are warm-up`);
  const { perHour, plusMinus, forMs } = growth;
  const bound = `allowed ${rounded(allowedPerHour)} ${unit}/h`;
  const text = `${growthText(growth, unit)} over the last ${minutes(forMs)}, ${bound}`;
  const withText = (check: GrowthCheck): GrowthCheck => ({ ...check, detail: `${check.detail}; ${text}` });
  if (perHour + plusMinus <= allowedPerHour) return { verdict: 'steady', growth, detail: text };
  if (perHour - plusMinus <= allowedPerHour) {
    // The interval of a slope shrinks in proportion to the time that a fixed number of windows
    // spans.
    const times = plusMinus / Math.abs(allowedPerHour - perHour);
    return withText(
      times <= PREDICTION_MAX
        ? inconclusive(ranMs * times, 'then the interval no longer contains the bound')
        : inconclusive(ranMs * PREDICTION_MAX, 'the slope is too near to the bound', ', and perhaps longer'),
    );
  }
  const halfMs = (fromMs + lastMs) / 2;
  const slopeOf = (half: readonly Point[]): number => growthOf(half, pick)?.perHour ?? perHour;
  const early = slopeOf(checked.filter(([atMs]) => atMs < halfMs));
  const late = slopeOf(checked.filter(([atMs]) => atMs >= halfMs));
  if (late > allowedPerHour && late > SLOWS_DOWN * early) return { verdict: 'grows', growth, detail: text };
  const change = `it slows down, from ${signed(early)} to ${signed(late)} ${unit}/h`;
  return withText(inconclusive(2 * ranMs, `${change}, as a warm-up does and a leak does not`));
}

/** A line through windows of all points. Null when there are too few. */
export function growthOf(points: readonly Point[], pick: (values: readonly number[]) => number): Growth | null {
  const windows = Math.min(WINDOWS_MAX, Math.floor(points.length / WINDOW_POINTS_MIN));
  if (windows < WINDOWS_MIN) return null;
  const startOf = (window: number): number => Math.floor((window * points.length) / windows);
  const picked = Array.from({ length: windows }, (_, i): Point => {
    const own = points.slice(startOf(i), startOf(i + 1));
    return [own.reduce((sum, [atMs]) => sum + atMs, 0) / own.length, pick(own.map(([, value]) => value))];
  });
  const { slope, slopeError, level } = leastSquares(picked);
  return {
    perHour: slope * HOUR_MS,
    plusMinus: slopeError * studentT99(windows - 2) * HOUR_MS,
    level,
    windows,
    forMs: (points.at(-1)?.[0] ?? 0) - (points[0]?.[0] ?? 0),
  };
}

/** Slope, its standard error, and the mean value. */
export function leastSquares(points: readonly Point[]): { slope: number; slopeError: number; level: number } {
  const n = points.length;
  const sum = (of: (point: Point) => number): number => points.reduce((total, point) => total + of(point), 0);
  const meanX = sum(([x]) => x) / n;
  const level = sum(([, y]) => y) / n;
  const sxx = sum(([x]) => (x - meanX) ** 2);
  const slope = sxx === 0 ? 0 : sum(([x, y]) => (x - meanX) * (y - level)) / sxx;
  const residual = sum(([x, y]) => (y - level - slope * (x - meanX)) ** 2);
  return {
    slope,
    slopeError: n > 2 && sxx > 0 ? Math.sqrt(residual / (n - 2) / sxx) : Number.POSITIVE_INFINITY,
    level,
  };
}

/** Two-sided 99 % points of Student's t for 1 to 18 degrees of freedom. */
const T99 = [
  63.66, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.25, 3.169, 3.106, 3.055, 3.012, 2.977, 2.947, 2.921, 2.898,
  2.878,
] as const;
const studentT99 = (freedom: number): number => T99[Math.min(freedom, T99.length) - 1] ?? Number.POSITIVE_INFINITY;

/** `+12.0 +-30.0 MiB/h at 95.0 MiB`. */
export const growthText = ({ perHour, plusMinus, level }: Growth, unit: string): string =>
  `${signed(perHour)} +-${rounded(plusMinus)} ${unit}/h at ${rounded(level)} ${unit}`;
const signed = (value: number): string => `${value >= 0 ? '+' : ''}${rounded(value)}`;
const rounded = (value: number): string =>
  Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(1);
/** Rounded up. */
const minutes = (ms: number): string => `${Math.ceil(ms / MINUTE_MS - 0.05)} min`;
