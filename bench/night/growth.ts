/**
 * Does something grow? A straight line through what was measured, and how sure its slope is. Memory goes up and down with garbage collection, and neighbouring
 * seconds tell the same story twice, so the run is cut into windows and each gives one value: its lowest for memory, its median for latency.
 */

export interface Growth {
  /** Units an hour, and the half width of its 99 % confidence interval; infinite when there is too little to say. */
  readonly perHour: number;
  readonly plusMinus: number;
  /** Level of the line in the middle of the run. */
  readonly level: number;
  readonly windows: number;
}

export type Point = readonly [atMs: number, value: number];

const WINDOWS = 20;
const WINDOW_POINTS_MIN = 2;
const HOUR_MS = 3_600_000;
/** Programs warm up: code is compiled, pools fill. This share of the run is left out. */
const WARM_UP_SHARE = 0.25;

export const lowest = (values: readonly number[]): number => Math.min(...values);
export const middle = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** `points` in order of time. Null when fewer than three windows can be filled. */
export function growthOf(points: readonly Point[], pick: (values: readonly number[]) => number): Growth | null {
  const [firstMs, lastMs] = [points[0]?.[0] ?? 0, points.at(-1)?.[0] ?? 0];
  const warm = points.filter(([atMs]) => atMs >= firstMs + (lastMs - firstMs) * WARM_UP_SHARE);
  const windows = Math.min(WINDOWS, Math.floor(warm.length / WINDOW_POINTS_MIN));
  if (windows < 3) return null;
  const picked = Array.from({ length: windows }, (_, i): Point => {
    const own = warm.slice(Math.floor((i * warm.length) / windows), Math.floor(((i + 1) * warm.length) / windows));
    return [own.reduce((sum, [atMs]) => sum + atMs, 0) / own.length, pick(own.map(([, value]) => value))];
  });
  const line = leastSquares(picked);
  return { perHour: line.slope * HOUR_MS, plusMinus: line.slopeError * studentT99(windows - 2) * HOUR_MS, level: line.level, windows };
}

/** Slope, its standard error, and the value in the middle. */
export function leastSquares(points: readonly Point[]): { readonly slope: number; readonly slopeError: number; readonly level: number } {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  const sxx = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const sxy = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const slope = sxx === 0 ? 0 : sxy / sxx;
  const residual = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  return { slope, slopeError: n > 2 && sxx > 0 ? Math.sqrt(residual / (n - 2) / sxx) : Number.POSITIVE_INFINITY, level: meanY };
}

/** Two-sided 99 % points of Student's t for 1 to 18 degrees of freedom (any statistics table). */
const T99 = [63.66, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.25, 3.169, 3.106, 3.055, 3.012, 2.977, 2.947, 2.921, 2.898, 2.878] as const;
const studentT99 = (freedom: number): number => T99[Math.min(freedom, T99.length) - 1] ?? Number.POSITIVE_INFINITY;

/** It grows for certain: even the lower end of the interval is above what is allowed. */
export const grows = ({ perHour, plusMinus }: Growth, allowedPerHour: number): boolean => perHour - plusMinus > allowedPerHour;
