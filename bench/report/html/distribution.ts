/**
 * How long it took, for everybody: the whole distribution, drawn so that the slowest thousandth
 * gets as much room as the fastest half.
 */
import { decodeFromCompressedBase64 } from 'hdr-histogram-js';
import { writeMs, writeNumber } from '../numbers.ts';
import type { Latency } from '../result.ts';
import { html, type Markup, nothing } from './markup.ts';
import { swatch } from './over-time.ts';
import { type PlotLine, renderPlot } from './plot.ts';
import type { Point } from './thin.ts';

const LINES_MAX = 6;
const LATENCIES_MAX = 24;
const STEPS_PER_DECADE = 25;
const DECADES_MAX = 6;
const QUANTILES = [0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];

/**
 * Where a percentile stands on the axis: decades of 1 / (1 - p), so 0, 90, 99, 99.9 % are equally
 * far apart.
 */
const decadesOf = (quantile: number): number => -Math.log10(1 - quantile);

export function distribution(latencies: readonly Latency[]): Markup {
  const measured = latencies.filter(({ count }) => count > 0).slice(0, LATENCIES_MAX);
  if (measured.length === 0) return nothing;
  const plots: Markup[] = [];
  for (let first = 0; first < measured.length; first += LINES_MAX)
    plots.push(plotOf(measured.slice(first, first + LINES_MAX), plots.length));
  return html`${plots}`;
}

function plotOf(latencies: readonly Latency[], nth: number): Markup {
  const lines = latencies.map(lineOf);
  const to = Math.max(1, ...lines.map(({ points }) => points.at(-1)?.[0] ?? 0));
  return renderPlot({
    id: `distribution-${nth + 1}`,
    title: 'How many waited how long',
    about:
      'At 99 %, one in a hundred waited longer than the line shows; at 99.9 %, one in a thousand. A line ends at its slowest.',
    unit: 'ms',
    lines,
    wide: true,
    logIfFarApart: true,
    x: {
      from: 0,
      to,
      title: 'share that was at least this fast',
      kind: 'percentile',
      ticks: QUANTILES.map((quantile) => ({
        at: decadesOf(quantile),
        label: `${Number((quantile * 100).toFixed(4))} %`,
      })).filter(({ at }) => at <= to),
    },
    alternative: latencies
      .map(
        ({ name, p50Ms, p99Ms, p9999Ms, maxMs }) =>
          `${name}: half within ${writeMs(p50Ms)}, 99 % within ${writeMs(p99Ms)}, 99.99 % within ${writeMs(p9999Ms)}, slowest ${writeMs(maxMs)}.`,
      )
      .join(' '),
    below: percentileTable(latencies),
  });
}

function lineOf({ name, histogram, ...given }: Latency): PlotLine {
  const end = Math.min(DECADES_MAX, Math.max(Math.log10(given.count), 0.1));
  const named: Point[] = [
    [decadesOf(0.5), given.p50Ms],
    [decadesOf(0.9), given.p90Ms],
    [decadesOf(0.99), given.p99Ms],
    [decadesOf(0.999), given.p999Ms],
    [decadesOf(0.9999), given.p9999Ms],
  ];
  const within = (points: readonly Point[]): Point[] => points.filter(([at]) => at < end);
  const valueAt = valuesOf(histogram);
  // A histogram nobody can read any more still leaves the percentiles that were written down.
  if (!valueAt) return { name, points: [...within(named), [end, given.maxMs]] };
  const steps = Array.from({ length: Math.ceil(end * STEPS_PER_DECADE) }, (_, step): Point => {
    const at = (step + 1) / STEPS_PER_DECADE;
    return [at, valueAt(100 * (1 - 10 ** -at))];
  });
  return { name, points: [...within(steps), [end, given.maxMs]] };
}

/** Milliseconds at a percentile, or null for a text that is no histogram. */
function valuesOf(encoded: string): ((percentile: number) => number) | null {
  try {
    const histogram = decodeFromCompressedBase64(encoded);
    return (percentile) => histogram.getValueAtPercentile(percentile) / 1000;
  } catch {
    return null;
  }
}

function percentileTable(latencies: readonly Latency[]): Markup {
  const head = ['50 %', '90 %', '99 %', '99.9 %', '99.99 %', 'slowest', 'measured'];
  const rows = latencies.map(({ name, p50Ms, p90Ms, p99Ms, p999Ms, p9999Ms, maxMs, count }, nth) => {
    const cells = [p50Ms, p90Ms, p99Ms, p999Ms, p9999Ms, maxMs].map((ms) => html`<td>${writeNumber(ms)}</td>`);
    return html`<tr><th scope="row">${swatch(nth)}${name}</th>${cells}<td>${writeNumber(count)}</td></tr>`;
  });
  return html`<div class="scroll"><table class="legend"><thead><tr><th scope="col">ms, within</th>${head.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`;
}
