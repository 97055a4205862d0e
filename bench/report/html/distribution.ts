/** The whole distribution of each latency; every decade of percentiles gets the same width. */
import { decodeFromCompressedBase64 } from 'hdr-histogram-js';
import { writeMs, writeNumber } from '../numbers.ts';
import type { Latency } from '../result.ts';
import type { Markup } from './markup.ts';
import { type PlotLine, renderPlot } from './plot.ts';
import type { Point } from './thin.ts';

const LINES_MAX = 6;
const LATENCIES_MAX = 24;
const STEPS_PER_DECADE = 25;
const DECADES_MAX = 6;
const QUANTILES = [0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];

/** Position on the axis: decades of 1 / (1 - p), so that 0, 90, 99 and 99.9 % are equidistant. */
const decadesOf = (quantile: number): number => -Math.log10(1 - quantile);

export function distribution(latencies: readonly Latency[]): Markup[] {
  const measured = latencies.filter(({ count }) => count > 0).slice(0, LATENCIES_MAX);
  return Array.from({ length: Math.ceil(measured.length / LINES_MAX) }, (_, index) =>
    plotOf(measured.slice(index * LINES_MAX, (index + 1) * LINES_MAX), index),
  );
}

function plotOf(latencies: readonly Latency[], index: number): Markup {
  const lines = latencies.map(lineOf);
  const to = Math.max(1, ...lines.map(({ points }) => points.at(-1)?.[0] ?? 0));
  const ticks = QUANTILES.map((quantile) => {
    return { at: decadesOf(quantile), label: `${Number((quantile * 100).toFixed(4))} %` };
  }).filter(({ at }) => at <= to);
  return renderPlot({
    id: `distribution-${index + 1}`,
    title: 'Latency by percentile',
    about: 'At 99 %, one in a hundred took longer than the line shows. A line ends at its maximum.',
    unit: 'ms',
    lines,
    isWide: true,
    allowsLog: true,
    x: { to, title: 'share that was at least this fast', kind: 'percentile', ticks },
    alternative: latencies.map(inWords).join(' '),
    legend: {
      head: ['ms, within', '50 %', '90 %', '99 %', '99.9 %', '99.99 %', 'maximum', 'count'],
      rows: latencies.map(({ name, p50Ms, p90Ms, p99Ms, p999Ms, p9999Ms, maxMs, count }) => {
        return [name, ...[p50Ms, p90Ms, p99Ms, p999Ms, p9999Ms, maxMs, count].map(writeNumber)];
      }),
    },
  });
}

const inWords = ({ name, p50Ms, p99Ms, p9999Ms, maxMs }: Latency): string =>
  `${name}: half within ${writeMs(p50Ms)}, 99 % within ${writeMs(p99Ms)}, ` +
  `99.99 % within ${writeMs(p9999Ms)}, maximum ${writeMs(maxMs)}.`;

/** Falls back to the stored percentiles if the histogram cannot be decoded. */
function lineOf({ name, histogram, count, p50Ms, p90Ms, p99Ms, p999Ms, p9999Ms, maxMs }: Latency): PlotLine {
  const end = Math.min(DECADES_MAX, Math.max(Math.log10(count), 0.1));
  const valueAt = valuesOf(histogram);
  const points: Point[] =
    valueAt === null
      ? [p50Ms, p90Ms, p99Ms, p999Ms, p9999Ms].map((ms, index) => [decadesOf(QUANTILES[index + 1] ?? 0), ms])
      : Array.from({ length: Math.ceil(end * STEPS_PER_DECADE) }, (_, step) => {
          const at = (step + 1) / STEPS_PER_DECADE;
          return [at, valueAt(100 * (1 - 10 ** -at))];
        });
  return { name, points: [...points.filter(([at]) => at < end), [end, maxMs]] };
}

/** Milliseconds at a percentile; null for a text that is no histogram. */
function valuesOf(encoded: string): ((percentile: number) => number) | null {
  try {
    const histogram = decodeFromCompressedBase64(encoded);
    return (percentile) => histogram.getValueAtPercentile(percentile) / 1000;
  } catch {
    return null;
  }
}
