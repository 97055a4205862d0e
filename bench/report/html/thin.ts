/** Fewer points, same picture. */

export type Point = readonly [x: number, y: number];

/** Columns a line is thinned to; four points each at most. */
export const COLUMNS_MAX = 300;

/**
 * M4 (U. Jugel, Z. Jerzak, G. Hackenbroich, V. Markl, "M4: A Visualization-Oriented Time Series
 * Data Aggregation", VLDB 2014): of all points that fall into one column, the first, the lowest,
 * the highest and the last are kept, so no peak and no gap is lost. Points must be ordered by x.
 */
export function thin(points: readonly Point[], columns: number = COLUMNS_MAX): readonly Point[] {
  if (points.length <= columns * 4) return points;
  return columnsOf(points, columns).flatMap((column) => {
    const kept = new Set([
      column[0] as Point,
      extreme(column, (a, b) => a < b),
      extreme(column, (a, b) => a > b),
      column.at(-1) as Point,
    ]);
    return column.filter((point) => kept.has(point));
  });
}

/** Points by stretch of x, empty stretches left out. */
export function columnsOf(points: readonly Point[], columns: number): Point[][] {
  const from = points[0]?.[0] ?? 0;
  const width = ((points.at(-1)?.[0] ?? 0) - from) / columns || 1;
  const found = new Map<number, Point[]>();
  for (const point of points) {
    const at = Math.min(columns - 1, Math.floor((point[0] - from) / width));
    const column = found.get(at);
    if (column) column.push(point);
    else found.set(at, [point]);
  }
  return [...found.values()];
}

const extreme = (points: readonly Point[], beats: (a: number, b: number) => boolean): Point =>
  points.reduce((best, point) => (beats(point[1], best[1]) ? point : best));
