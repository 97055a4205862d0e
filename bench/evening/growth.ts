/**
 * Does something grow, or is it only warming up? A straight line through what was measured after
 * the warm-up, how sure its slope is, and a judgement that may also be "cannot tell". Memory goes
 * up and down with garbage collection, and neighbouring seconds tell the same story twice, so what
 * is judged is cut into windows and each gives one value: its lowest for memory, its median for
 * what only breathes.
 */

export type Point = readonly [atMs: number, value: number];

export interface Growth {
  /** Units an hour, and the half width of its 99 % confidence interval. */
  readonly perHour: number;
  readonly plusMinus: number;
  /** Level of the line in the middle of what was judged. */
  readonly level: number;
  readonly windows: number;
  /** How long the judged part was. */
  readonly forMs: number;
}

/** What may grow how fast, and from when on it is judged. */
export interface GrowthRule {
  /** One value for the values of a window. */
  readonly pick: (values: readonly number[]) => number;
  readonly unit: string;
  readonly allowedPerHour: number;
  /** What comes before is warm-up, and so is the first half of the run. */
  readonly warmUpMs: number;
}

export interface GrowthCheck {
  /**
   * `steady`: surely within what is allowed. `grows`: surely more, and not about to stop.
   * `inconclusive`: this run cannot tell.
   */
  readonly verdict: 'steady' | 'grows' | 'inconclusive';
  readonly growth: Growth | null;
  /** In words, with the length a run needs where this one was too short. */
  readonly detail: string;
}

const WINDOWS_MAX = 20;
/** A line through fewer has no interval worth the name: Student's factor is above 9 with four. */
const WINDOWS_MIN = 5;
const WINDOW_POINTS_MIN = 2;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** The least that is judged, and so half of the shortest run that can be. */
const JUDGED_MS_MIN = 2 * MINUTE_MS;
/**
 * A leak climbs as fast in the second half of what is judged as in the first; a warm-up that takes
 * a third of the run, only half as fast.
 */
const FLATTENS = 0.6;
/** Nobody plans by a guess that reaches further than this many times the run it is made from. */
const FORESIGHT = 20;

export const lowest = (values: readonly number[]): number => Math.min(...values);
export const middle = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** The shortest run that can be judged after this warm-up, with a look as often. */
export function judgeableMs(warmUpMs: number, everyMs: number): number {
  const judgedMs = Math.max(JUDGED_MS_MIN, WINDOWS_MIN * WINDOW_POINTS_MIN * everyMs);
  return Math.max(2 * judgedMs, warmUpMs + judgedMs);
}

/** `points` in order of time. */
export function checkGrowth(points: readonly Point[], rule: GrowthRule): GrowthCheck {
  const { pick, unit, allowedPerHour, warmUpMs } = rule;
  const [firstMs, lastMs] = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? 0];
  const ranMs = lastMs - firstMs;
  const neededMs = judgeableMs(warmUpMs, ranMs / Math.max(1, points.length - 1));
  const settledMs = firstMs + Math.max(ranMs / 2, warmUpMs);
  const judged = points.filter(([atMs]) => atMs >= settledMs);
  const growth = growthOf(judged, pick);
  // The first and the last look are a moment inside of the run.
  if (growth === null || ranMs < neededMs * 0.98) {
    const source = `the first ${minutes(warmUpMs)}, and always the first half, are warm-up and not judged`;
    return { verdict: 'inconclusive', growth, detail: `inconclusive: run at least ${minutes(neededMs)} (${source})` };
  }
  const { perHour, plusMinus } = growth;
  const said = `${sayGrowth(growth, unit)} over the last ${minutes(growth.forMs)}, allowed ${rounded(allowedPerHour)} ${unit}/h`;
  if (perHour + plusMinus <= allowedPerHour) return { verdict: 'steady', growth, detail: said };
  if (perHour - plusMinus <= allowedPerHour)
    return {
      verdict: 'inconclusive',
      growth,
      detail: `inconclusive: ${lengthFor(growth, allowedPerHour, ranMs)}; ${said}`,
    };
  const halfMs = (settledMs + lastMs) / 2;
  const early =
    growthOf(
      judged.filter(([atMs]) => atMs < halfMs),
      pick,
    )?.perHour ?? perHour;
  const late =
    growthOf(
      judged.filter(([atMs]) => atMs >= halfMs),
      pick,
    )?.perHour ?? perHour;
  if (late > allowedPerHour && late > FLATTENS * early) return { verdict: 'grows', growth, detail: said };
  const slower = `it slows down, from ${signed(early)} to ${signed(late)} ${unit}/h within what was judged, as a warm-up does and a leak does not`;
  return {
    verdict: 'inconclusive',
    growth,
    detail: `inconclusive: run at least ${minutes(2 * ranMs)} (${slower}); ${said}`,
  };
}

/**
 * The interval of a slope through a fixed number of windows shrinks as the time they span grows, so
 * it must grow by the ratio of the interval to the distance between slope and bound.
 */
function lengthFor({ perHour, plusMinus }: Growth, allowedPerHour: number, ranMs: number): string {
  const times = plusMinus / Math.abs(allowedPerHour - perHour);
  const source = 'by then the interval, which shrinks with the length of a run, no longer holds the bound';
  return times <= FORESIGHT
    ? `run at least ${minutes(ranMs * times)} (${source})`
    : `run at least ${minutes(ranMs * FORESIGHT)}, and perhaps longer (the slope is too near to the bound)`;
}

/** A line through windows of `points`, all of which count. Null when there are too few. */
export function growthOf(points: readonly Point[], pick: (values: readonly number[]) => number): Growth | null {
  const windows = Math.min(WINDOWS_MAX, Math.floor(points.length / WINDOW_POINTS_MIN));
  if (windows < WINDOWS_MIN) return null;
  const picked = Array.from({ length: windows }, (_, i): Point => {
    const own = points.slice(
      Math.floor((i * points.length) / windows),
      Math.floor(((i + 1) * points.length) / windows),
    );
    return [own.reduce((sum, [atMs]) => sum + atMs, 0) / own.length, pick(own.map(([, value]) => value))];
  });
  const line = leastSquares(picked);
  const forMs = (points.at(-1)?.[0] ?? 0) - (points[0]?.[0] ?? 0);
  return {
    perHour: line.slope * HOUR_MS,
    plusMinus: line.slopeError * studentT99(windows - 2) * HOUR_MS,
    level: line.level,
    windows,
    forMs,
  };
}

/** Slope, its standard error, and the value in the middle. */
export function leastSquares(points: readonly Point[]): {
  readonly slope: number;
  readonly slopeError: number;
  readonly level: number;
} {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const sxx = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const sxy = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const slope = sxx === 0 ? 0 : sxy / sxx;
  const residual = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  return {
    slope,
    slopeError: n > 2 && sxx > 0 ? Math.sqrt(residual / (n - 2) / sxx) : Number.POSITIVE_INFINITY,
    level: meanY,
  };
}

/** Two-sided 99 % points of Student's t for 1 to 18 degrees of freedom (any statistics table). */
const T99 = [
  63.66, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.25, 3.169, 3.106, 3.055, 3.012, 2.977, 2.947, 2.921, 2.898,
  2.878,
] as const;
const studentT99 = (freedom: number): number => T99[Math.min(freedom, T99.length) - 1] ?? Number.POSITIVE_INFINITY;

/** `+12.0 +-30.0 MiB/h at 95.0 MiB`. */
export const sayGrowth = ({ perHour, plusMinus, level }: Growth, unit: string): string =>
  `${signed(perHour)} +-${rounded(plusMinus)} ${unit}/h at ${rounded(level)} ${unit}`;
const signed = (value: number): string => `${value >= 0 ? '+' : ''}${rounded(value)}`;
const rounded = (value: number): string =>
  Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(1);
/** Never less than it is. */
const minutes = (ms: number): string => `${Math.ceil(ms / MINUTE_MS - 0.05)} min`;
