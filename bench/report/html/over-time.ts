/** The run over time: one plot for lines that share a unit and a magnitude. */
import { median } from '../../generator/median.ts';
import { plural, writeAmount, writeClock, writeDuration, writeNumber } from '../numbers.ts';
import type { BenchResult, Phase, Series } from '../result.ts';
import { firstOf, html, type Markup, nothing, table } from './markup.ts';
import { type Plot, renderPlot, type Tick } from './plot.ts';
import type { Point } from './thin.ts';

/** More lines cannot be distinguished in one plot. */
const LINES_PER_PLOT_MAX = 6;
/** A line this many times smaller than the largest one would look flat: it gets another plot. */
const SEPARATE_FROM_RATIO = 20;
const SERIES_MAX = 48;
const PHASES_MAX = 40;
const TABLE_ROWS_MAX = 40;
const TICKS_MAX = 8;

const ABOUT: Readonly<Record<Series['group'], string>> = {
  throughput: 'Work done per second.',
  latency: 'Latency per second. Each point is a percentile of that second.',
  refusals: 'Refusals by the engine per second.',
  audience: 'Viewers, and work under way.',
  server: 'Resources used by the engine.',
  generator: 'Resources used by the load generator. If it is full, the numbers describe it and not the engine.',
};

/** Renders the plots of the groups in this order; groups without points have none. */
export function timePlots(result: BenchResult, groups: ReadonlyArray<Series['group']>): Markup {
  const toMs = Math.max(result.seconds * 1000, ...result.series.map(({ points }) => points.at(-1)?.[0] ?? 0));
  const plots = groups.flatMap((group) => {
    const series = result.series.filter((entry) => entry.group === group && entry.points.length > 0);
    return grouped(series.slice(0, SERIES_MAX)).map((lines, index) => plotOf(lines, index, toMs, result.phases));
  });
  if (plots.length === 0) return nothing;
  // Plots come in pairs; the first one gets a whole row if the number is odd.
  const narrow = plots.filter(({ isWide }) => !isWide);
  const alone = narrow.length % 2 === 1 ? narrow[0] : undefined;
  const rendered = plots.map((plot) => renderPlot(plot === alone ? { ...plot, isWide: true } : plot));
  return html`<div class="plots">${rendered}</div>`;
}

/** Groups series by unit, then by magnitude. */
function grouped(series: readonly Series[]): Series[][] {
  const peak = ({ points }: Series): number => points.reduce((highest, [, value]) => Math.max(highest, value), 0);
  return [...new Set(series.map(({ unit }) => unit))].flatMap((unit) => {
    const plots: Series[][] = [];
    for (const entry of series.filter((one) => one.unit === unit).sort((a, b) => peak(b) - peak(a))) {
      const plot = plots.at(-1);
      const isFlat = entry.group !== 'latency' && peak(entry) * SEPARATE_FROM_RATIO < peak(plot?.[0] ?? entry);
      if (plot === undefined || isFlat || plot.length === LINES_PER_PLOT_MAX) plots.push([entry]);
      else plot.push(entry);
    }
    return plots;
  });
}

function plotOf(series: readonly Series[], index: number, toMs: number, phases: readonly Phase[]): Plot {
  const { unit = '', group = 'throughput' } = series[0] ?? {};
  return {
    id: `${group}-${index + 1}`,
    title: titleOf(series.map(({ name }) => name)),
    about: ABOUT[group],
    unit,
    lines: series,
    isWide: group === 'latency',
    allowsLog: group === 'latency',
    x: { to: toMs, title: 'time since the start', ticks: timeTicks(toMs), kind: 'time' },
    bands: phases.slice(0, PHASES_MAX).map(({ name, fromMs: from, toMs: to }) => ({ name, from, to })),
    alternative: series.map(inWords).join(' '),
    legend: {
      head: ['line', 'median', 'lowest', 'highest'],
      rows: series.map(({ name, points }) => [name, ...summaryOf(points).map(writeNumber)]),
    },
    below: pointTable(series, toMs),
  };
}

function titleOf(names: readonly string[]): string {
  if (names.length > 3) return `${titleOf(names.slice(0, 2))} and ${names.length - 2} more`;
  const all = names.join(', ');
  // Error codes keep their spelling.
  return names[0]?.includes('_') ? all : all.slice(0, 1).toUpperCase() + all.slice(1);
}

function inWords({ name, unit, points }: Series): string {
  const [middle, lowest, highest] = summaryOf(points);
  const atMs = points.find(([, value]) => value === highest)?.[0] ?? 0;
  const say = (value: number): string => writeAmount(value, unit);
  return `${name}: median ${say(middle)}, lowest ${say(lowest)}, highest ${say(highest)} after ${writeDuration(atMs)}.`;
}

function summaryOf(points: readonly Point[]): [middle: number, lowest: number, highest: number] {
  const values = points.map(([, value]) => value);
  const [first = 0] = values;
  const lowest = values.reduce((a, b) => Math.min(a, b), first);
  return [median(values), lowest, values.reduce((a, b) => Math.max(a, b), first)];
}

/** The highest value of each interval as a table. */
function pointTable(series: readonly Series[], toMs: number): Markup {
  const rows = Math.min(TABLE_ROWS_MAX, Math.max(...series.map(({ points }) => points.length)));
  const stepMs = toMs / rows;
  if (rows < 2) return nothing;
  const highest = series.map(({ points }) => {
    const byRow: number[] = [];
    for (const [atMs, value] of points) {
      const row = Math.min(rows - 1, Math.floor(atMs / stepMs));
      byRow[row] = Math.max(byRow[row] ?? value, value);
    }
    return byRow;
  });
  const body = Array.from({ length: rows }, (_, row) => [
    writeClock(row * stepMs),
    ...highest.map((byRow) => (byRow[row] === undefined ? '' : writeNumber(byRow[row]))),
  ]);
  const unit = series[0]?.unit ?? '';
  const caption = `Highest value in each interval of ${writeDuration(stepMs)}${unit === '' ? '' : `, ${unit}`}`;
  const head = ['from', ...series.map(({ name }) => name)];
  return html`<details><summary>As a table</summary>${table(head, body, { caption })}</details>`;
}

/** Numbered like the marks in the plots. */
export function phaseList(phases: readonly Phase[]): Markup {
  const more = (left: number): Markup => html`<li class="quiet">${plural(left, 'more phase')} in the JSON file</li>`;
  const item = ({ name, fromMs, toMs }: Phase, index: number): Markup => html`
<li><b>${index + 1}</b> ${name} <span>${writeClock(fromMs)} to ${writeClock(toMs)}</span></li>`;
  const items = firstOf(phases, PHASES_MAX, item, more);
  return phases.length === 0 ? nothing : html`<ol class="phase-list" aria-label="Phases of the run">${items}</ol>`;
}

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

function timeTicks(toMs: number): Tick[] {
  const wanted = toMs / 1000 / TICKS_MAX;
  const stepMs = (STEPS_S.find((step) => step >= wanted) ?? Math.ceil(wanted / 86400) * 86400) * 1000;
  const times = Array.from({ length: Math.floor(toMs / stepMs) + 1 }, (_, index) => index * stepMs);
  return times.map((at) => ({ at, label: writeClock(at) }));
}
