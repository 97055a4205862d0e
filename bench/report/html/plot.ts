/**
 * A line plot without a script: an SVG that stretches with the page (`preserveAspectRatio="none"`,
 * strokes that do not scale), and axis labels in HTML, so that text keeps its size on a phone.
 */
import { scaleLinear, scaleLog } from 'd3-scale';
import { writeShort } from '../numbers.ts';
import { html, Markup, table } from './markup.ts';
import { type Point, thin } from './thin.ts';

export type PlotLine = { readonly name: string; readonly points: readonly Point[] };

export type Tick = { readonly at: number; readonly label: string };

/** A phase of the run, marked in the background. */
export type Band = { readonly name: string; readonly from: number; readonly to: number };

export interface Plot {
  readonly id: string;
  readonly title: string;
  /** One sentence that explains the plot. */
  readonly about: string;
  readonly unit: string;
  readonly lines: readonly PlotLine[];
  /** Takes the whole width instead of half of it. */
  readonly isWide: boolean;
  /** A logarithmic axis if values differ a lot. For times, where the rare long one counts. */
  readonly allowsLog: boolean;
  readonly x: { readonly to: number; title: string; ticks: readonly Tick[]; kind: 'time' | 'percentile' };
  readonly bands?: readonly Band[];
  /** The content as text, for screen readers. */
  readonly alternative: string;
  /** The numbers of each line, in the order of `lines`, below the plot. */
  readonly legend: { readonly head: readonly string[]; readonly rows: ReadonlyArray<readonly string[]> };
  /** Follows the legend. */
  readonly below?: Markup;
}

const WIDTH = 1000;
const HEIGHT = 400;
/** From this ratio of highest to lowest value on, an axis is logarithmic. */
const LOG_FROM_RATIO = 30;
const TICKS = 5;
/** Distinguish the lines without color. */
const DASHES = ['none', '7 4', '1.5 4', '10 4 1.5 4', '3 3', '14 4'];

const lineStyle = (index: number): string => `stroke:var(--c${index + 1});stroke-dasharray:${DASHES[index] ?? 'none'}`;

export function renderPlot({ id, title, about, unit, lines, x, bands = [], ...plot }: Plot): Markup {
  const y = axisOf(lines, plot.allowsLog);
  const across = scaleLinear([0, x.to > 0 ? x.to : 1], [0, WIDTH]).clamp(true);
  const percent = (value: number): string => `${((across(value) / WIDTH) * 100).toFixed(2)}%`;
  const column = (value: number): string => across(value).toFixed(1);
  const path = (points: readonly Point[]): string => {
    const drawn = thin(points).map(([at, value]) => `${column(at)},${y.scale(value).toFixed(1)}`);
    // A path of one point draws nothing; the same point twice, with round caps, draws a dot.
    return `M${(drawn.length === 1 ? [...drawn, ...drawn] : drawn).join('L')}`;
  };
  const legendRows = plot.legend.rows.map(([name = '', ...cells], index) => [[swatch(index), name], ...cells]);
  const phases = bands.map(({ name, from, to }, index) => {
    const place = `left:${percent(from)};right:calc(100% - ${percent(to)})`;
    return html`<span style="${place}" title="${name}"><b>${index + 1}</b><bdi>${name}</bdi></span>`;
  });
  const yLabels = y.ticks.map((tick) => {
    const top = ((y.scale(tick) / HEIGHT) * 100).toFixed(2);
    return html`<span style="top:${top}%">${writeShort(tick, '')}</span>`;
  });
  const xLabels = x.ticks.map(({ at, label }, index) => {
    return html`<span class="${index % 2 ? 'odd' : 'even'}" style="left:${percent(at)}">${label}</span>`;
  });
  const marks = bands.map(({ from, to }, index) => {
    const shade = html`<path class="band" d="M${column(from)},0H${column(to)}V${HEIGHT}H${column(from)}Z"/>`;
    return html`${index % 2 ? shade : null}<path class="phase-mark" d="M${column(from)},0V${HEIGHT}"/>`;
  });
  const paths = lines.map(({ name, points }, index) => {
    const d = new Markup(path(points));
    return html`<path class="line" style="${lineStyle(index)}" data-name="${name}" d="${d}"/>`;
  });
  return html`<figure class="plot${plot.isWide ? ' wide' : ''}" id="${id}">
<figcaption><h3 id="${id}-title">${title}</h3><p>${about}</p></figcaption>
<p class="axis-title"><span aria-hidden="true">${unit}</span><output class="readout"></output></p>
<div class="picture">
<div class="phases" aria-hidden="true">${phases}</div>
<div class="y-axis" aria-hidden="true">${yLabels}</div>
<svg class="canvas" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" tabindex="0"
 aria-labelledby="${id}-title ${id}-words" data-x-kind="${x.kind}" data-x-to="${x.to}"
 data-y-from="${y.from}" data-y-to="${y.to}" data-y-log="${y.isLog ? 'yes' : 'no'}" data-unit="${unit}">
<desc id="${id}-words">${plot.alternative}</desc>
${marks}
<g class="grid">${y.ticks.map((tick) => html`<path d="M0,${y.scale(tick).toFixed(1)}H${WIDTH}"/>`)}
${x.ticks.map(({ at }) => html`<path d="M${column(at)},0V${HEIGHT}"/>`)}</g>
${paths}
<path class="cursor" d=""/>
</svg>
<div class="x-axis" aria-hidden="true">${xLabels}</div>
</div>
<p class="x-title" aria-hidden="true">${x.title}</p>
${table(plot.legend.head, legendRows, { className: 'legend' })}${plot.below ?? null}
</figure>`;
}

const swatch = (index: number): Markup =>
  html`<svg class="swatch" viewBox="0 0 28 10" aria-hidden="true">
<path class="line" style="${lineStyle(index)}" d="M1,5H27"/></svg>`;

function axisOf(lines: readonly PlotLine[], allowsLog: boolean) {
  const values = lines.flatMap(({ points }) => thin(points).map(([, value]) => value));
  const lowest = Math.min(...values.filter((value) => value > 0));
  const highest = Math.max(...values, 0);
  return allowsLog && highest / lowest >= LOG_FROM_RATIO
    ? logAxis(lowest, highest)
    : linearAxis(Math.min(...values, 0), highest);
}

function linearAxis(lowest: number, highest: number) {
  const scale = scaleLinear([lowest, highest > lowest ? highest : lowest + 1], [HEIGHT, 0]).nice(TICKS);
  const [from = 0, to = 1] = scale.domain();
  return { scale, ticks: scale.ticks(TICKS), isLog: false, from, to };
}

/** Begins at a power of ten and ends at 1, 2, 5 or 10 times one. */
function logAxis(lowest: number, highest: number) {
  const powerBelow = (value: number): number => 10 ** Math.floor(Math.log10(value) + 1e-9);
  const from = powerBelow(lowest);
  const top = powerBelow(highest);
  const to = ([1, 2, 5].find((lead) => lead * top >= highest) ?? 10) * top;
  const scale = scaleLog([from, to], [HEIGHT, 0]).clamp(true);
  const leads = to / from > 1_000 ? [1] : [1, 2, 5];
  const ticks = scale.ticks().filter((tick) => leads.includes(Math.round(tick / powerBelow(tick))));
  return { scale: (value: number) => scale(Math.max(value, from)), ticks, isLog: true, from, to };
}
