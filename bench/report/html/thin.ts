/** Reduces the points of a plot without changing the picture. */

export type Point = readonly [x: number, y: number];

/** Columns that a line is reduced to, with at most four points each. */
export const COLUMNS_MAX = 300;

/** M4 (U. Jugel et al., VLDB 2014): keeps first, lowest, highest and last point of each column. */
export function thin(points: readonly Point[]): readonly Point[] {
  if (points.length <= COLUMNS_MAX * 4) return points;
  const from = points[0]?.[0] ?? 0;
  const width = ((points.at(-1)?.[0] ?? 0) - from) / COLUMNS_MAX || 1;
  const columns = new Map<number, Point[]>();
  for (const point of points) {
    const at = Math.min(COLUMNS_MAX - 1, Math.floor((point[0] - from) / width));
    const column = columns.get(at);
    if (column) column.push(point);
    else columns.set(at, [point]);
  }
  return [...columns.values()].flatMap((column) => {
    const lowest = column.reduce((best, point) => (point[1] < best[1] ? point : best));
    const highest = column.reduce((best, point) => (point[1] > best[1] ? point : best));
    return column.filter((point) => [column[0], lowest, highest, column.at(-1)].includes(point));
  });
}
