/** The run as it went: one plot for lines that share a unit and a size. */
import { median } from '../../generator/median.ts';
import { plural, writeAmount, writeClock, writeDuration, writeNumber } from '../numbers.ts';
import type { BenchResult, Phase, Series } from '../result.ts';
import { html, type Markup, nothing } from './markup.ts';
import { type Plot, renderPlot, type Tick } from './plot.ts';
import type { Point } from './thin.ts';

/** More lines than this in one picture cannot be told apart. */
const LINES_PER_PLOT_MAX = 6;
/**
 * A line whose highest value is this many times smaller than its neighbour's would lie flat on the
 * axis.
 */
const APART_FROM_RATIO = 20;
const SERIES_MAX = 48;
const PHASES_MAX = 40;
const TABLE_ROWS_MAX = 40;

const ABOUT: Readonly<Record<Series['group'], string>> = {
  throughput: 'How much was done, second by second.',
  latency: 'How long it took, second by second. Each point is a percentile of its own second.',
  refusals: 'How often the engine said no, second by second.',
  audience: 'How many people were there.',
  server: 'What the engine used.',
  generator: 'What the load generator used. If it is full, the numbers describe it and not the engine.',
};

/** The plots of the groups, in this order; nothing when none has points. */
export function timePlots(result: BenchResult, groups: ReadonlyArray<Series['group']>): Markup[] {
  const toMs = Math.max(result.seconds * 1000, ...result.series.map(({ points }) => points.at(-1)?.[0] ?? 0));
  const plots = groups.flatMap((group) => {
    const series = result.series.filter((entry) => entry.group === group && entry.points.length > 0);
    return together(series.slice(0, SERIES_MAX)).map((lines, nth) => plotOf(group, lines, nth, toMs, result.phases));
  });
  // Pairs side by side; the first has a row of its own when one is left over.
  const narrow = plots.filter(({ wide }) => !wide);
  return plots.map((plot) =>
    renderPlot(narrow.length % 2 === 1 && plot === narrow[0] ? { ...plot, wide: true } : plot),
  );
}

/** Series by unit, then by size. */
function together(series: readonly Series[]): Series[][] {
  const plots: Series[][] = [];
  for (const unit of new Set(series.map((entry) => entry.unit))) {
    const peak = ({ points }: Series): number => points.reduce((highest, [, value]) => Math.max(highest, value), 0);
    const sorted = series.filter((entry) => entry.unit === unit).sort((a, b) => peak(b) - peak(a));
    const own: Series[][] = [];
    for (const entry of sorted) {
      const [first] = own.at(-1) ?? [];
      const flat = first !== undefined && entry.group !== 'latency' && peak(entry) * APART_FROM_RATIO < peak(first);
      if (first === undefined || flat || own.at(-1)?.length === LINES_PER_PLOT_MAX) own.push([entry]);
      else own.at(-1)?.push(entry);
    }
    plots.push(...own);
  }
  return plots;
}

function plotOf(
  group: Series['group'],
  series: readonly Series[],
  nth: number,
  toMs: number,
  phases: readonly Phase[],
): Plot {
  const unit = series[0]?.unit ?? '';
  const names = series.map(({ name }) => name);
  return {
    id: `${group}-${nth + 1}`,
    title: titleOf(names),
    about: ABOUT[group],
    unit,
    lines: series,
    wide: group === 'latency',
    logIfFarApart: group === 'latency',
    x: { from: 0, to: toMs, title: 'time since the start', ticks: timeTicks(toMs), kind: 'time' },
    bands: phases.slice(0, PHASES_MAX).map(({ name, fromMs, toMs }) => ({ name, from: fromMs, to: toMs })),
    alternative: series.map((entry) => inWords(entry)).join(' '),
    below: html`${legend(series)}${pointTable(series, toMs)}`,
  };
}

function titleOf(names: readonly string[]): string {
  const all = names.join(', ');
  // A code is written as it is.
  const first = all.slice(0, 1);
  return names.length <= 3
    ? (names[0]?.includes('_') ? first : first.toUpperCase()) + all.slice(1)
    : `${titleOf(names.slice(0, 2))} and ${names.length - 2} more`;
}

function inWords({ name, unit, points }: Series): string {
  const { middle, lowest, highest } = summaryOf(points);
  const at = points.find(([, value]) => value === highest)?.[0] ?? 0;
  return `${name}: median ${writeAmount(middle, unit)}, lowest ${writeAmount(lowest, unit)}, highest ${writeAmount(highest, unit)} after ${writeDuration(at)}.`;
}

function summaryOf(points: readonly Point[]): { middle: number; lowest: number; highest: number } {
  const values = points.map(([, value]) => value);
  const pick = (choose: (a: number, b: number) => number): number => values.reduce((a, b) => choose(a, b));
  return { middle: median(values), lowest: pick(Math.min), highest: pick(Math.max) };
}

export const swatch = (nth: number): Markup =>
  html`<svg class="swatch" viewBox="0 0 28 10" aria-hidden="true"><path class="line c${nth + 1}" d="M1,5H27"/></svg>`;

function legend(series: readonly Series[]): Markup {
  const rows = series.map(({ name, points }, nth) => {
    const { middle, lowest, highest } = summaryOf(points);
    return html`<tr><th scope="row">${swatch(nth)}${name}</th><td>${writeNumber(middle)}</td><td>${writeNumber(lowest)}</td><td>${writeNumber(highest)}</td></tr>`;
  });
  return html`<div class="scroll"><table class="legend"><thead><tr><th scope="col">line</th><th scope="col">median</th><th scope="col">lowest</th><th scope="col">highest</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

/** The picture as numbers: the highest value of each stretch of time. */
function pointTable(series: readonly Series[], toMs: number): Markup {
  const points = Math.max(...series.map((entry) => entry.points.length));
  const rows = Math.min(TABLE_ROWS_MAX, points);
  const stepMs = toMs / rows;
  if (rows < 2) return nothing;
  const highest = series.map(({ points }) => {
    const byRow = new Map<number, number>();
    for (const [atMs, value] of points) {
      const row = Math.min(rows - 1, Math.floor(atMs / stepMs));
      byRow.set(row, Math.max(byRow.get(row) ?? Number.NEGATIVE_INFINITY, value));
    }
    return byRow;
  });
  const body = Array.from({ length: rows }, (_, row) => {
    const cells = series.map((_, nth) => {
      const value = highest[nth]?.get(row);
      return html`<td>${value === undefined ? '' : writeNumber(value)}</td>`;
    });
    return html`<tr><th scope="row">${writeClock(row * stepMs)}</th>${cells}</tr>`;
  });
  return html`<details><summary>The same as a table</summary><div class="scroll"><table><caption>Highest value in each stretch of ${writeDuration(stepMs)}${series[0]?.unit ? `, ${series[0].unit}` : ''}</caption><thead><tr><th scope="col">from</th>${series.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead><tbody>${body}</tbody></table></div></details>`;
}

/** Numbered, as the marks in the plots are. */
export function phaseList(phases: readonly Phase[]): Markup {
  if (phases.length === 0) return nothing;
  const entries = phases
    .slice(0, PHASES_MAX)
    .map(({ name, fromMs, toMs }) => html`<li>${name} <span>${writeClock(fromMs)} to ${writeClock(toMs)}</span></li>`);
  const rest =
    phases.length > PHASES_MAX
      ? html`<p class="quiet">${plural(phases.length - PHASES_MAX, 'later phase')} not shown.</p>`
      : nothing;
  return html`<ol class="phase-list" aria-label="Phases of the run">${entries}</ol>${rest}`;
}

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

function timeTicks(toMs: number): Tick[] {
  const wanted = toMs / 1000 / 8;
  const stepMs = (STEPS_S.find((step) => step >= wanted) ?? Math.ceil(wanted / 86400) * 86400) * 1000;
  return Array.from({ length: Math.floor(toMs / stepMs) + 1 }, (_, nth) => ({
    at: nth * stepMs,
    label: writeClock(nth * stepMs),
  }));
}
