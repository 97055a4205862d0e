/**
 * A line plot without a script: an SVG that stretches with the page (`preserveAspectRatio="none"`,
 * strokes that do not scale) and axis labels in HTML, so text keeps its size on a phone and lines
 * stay sharp on paper.
 */
import { scaleLinear, scaleLog } from 'd3-scale';
import { line as lineOf } from 'd3-shape';
import { writeShort } from '../numbers.ts';
import { html, Markup, nothing } from './markup.ts';
import { type Point, thin } from './thin.ts';

export interface PlotLine {
  readonly name: string;
  readonly points: readonly Point[];
}

export interface Tick {
  readonly at: number;
  readonly label: string;
}

export interface Band {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

export interface Plot {
  readonly id: string;
  readonly title: string;
  /** What is seen, one sentence. */
  readonly about: string;
  readonly unit: string;
  readonly lines: readonly PlotLine[];
  /** The whole width, or half of it where there is room for two. */
  readonly wide: boolean;
  /**
   * A logarithmic axis when values lie far apart: for times, where the rare long one counts. Never
   * for amounts.
   */
  readonly logIfFarApart: boolean;
  readonly x: {
    readonly from: number;
    readonly to: number;
    readonly title: string;
    readonly ticks: readonly Tick[];
    readonly kind: 'time' | 'percentile';
  };
  readonly bands?: readonly Band[];
  /** In words, for those who do not see the picture. */
  readonly alternative: string;
  /** Legend and numbers, below the picture. */
  readonly below: Markup;
}

const WIDTH = 1000;
const HEIGHT = 400;
/** Times whose values lie further apart than this get a logarithmic axis. */
const LOG_FROM_RATIO = 30;
const TICKS = 5;

interface Axis {
  readonly scale: (value: number) => number;
  readonly ticks: readonly number[];
  readonly log: boolean;
  readonly from: number;
  readonly to: number;
}

export function renderPlot(plot: Plot): Markup {
  const { id, title, about, unit, lines, wide, x, bands = [], alternative, below } = plot;
  const y = axisOf(lines, plot.logIfFarApart);
  const across = scaleLinear([x.from, x.to > x.from ? x.to : x.from + 1], [0, WIDTH]).clamp(true);
  const percent = (value: number): string => `${((across(value) / WIDTH) * 100).toFixed(2)}%`;
  const draw = lineOf<Point>(
    ([at]) => across(at),
    ([, value]) => y.scale(value),
  ).digits(1);
  // Digits and letters of the library's making, and as long as they need to be.
  const path = (points: readonly Point[]): Markup => new Markup(draw(dotted(thin(points))) ?? '');
  return html`<figure class="plot${wide ? ' wide' : ''}" id="${id}" aria-labelledby="${id}-title">
<figcaption><h3 id="${id}-title">${title}</h3><p>${about}</p></figcaption>
<p class="axis-title">${unit}${y.log ? ', log scale' : ''}<output class="readout" for="${id}"></output></p>
<div class="picture">
${bands.length === 0 ? nothing : html`<div class="phases" aria-hidden="true">${bands.map((band, nth) => phaseLabel(band, nth, percent))}</div>`}
<div class="y-axis" aria-hidden="true">${y.ticks.map((tick) => html`<span style="top:${((y.scale(tick) / HEIGHT) * 100).toFixed(2)}%">${writeShort(tick, '')}</span>`)}</div>
<svg class="canvas" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-labelledby="${id}-title ${id}-words" tabindex="0" data-x-kind="${x.kind}" data-x-from="${x.from}" data-x-to="${x.to}" data-y-from="${y.from}" data-y-to="${y.to}" data-y-log="${y.log ? 'yes' : 'no'}" data-unit="${unit}">
<desc id="${id}-words">${alternative}</desc>
${bands.map((band, nth) => bandMark(band, nth, across))}
<g class="grid">${y.ticks.map((tick) => html`<path d="M0,${y.scale(tick).toFixed(1)}H${WIDTH}"/>`)}${x.ticks.map(({ at }) => html`<path d="M${across(at).toFixed(1)},0V${HEIGHT}"/>`)}</g>
${lines.map((entry, nth) => html`<path class="line c${nth + 1}" data-name="${entry.name}" d="${path(entry.points)}"/>`)}
<path class="cursor" d=""/>
</svg>
<div class="x-axis" aria-hidden="true">${x.ticks.map(({ at, label }, nth) => html`<span class="${nth % 2 === 1 ? 'odd' : 'even'}" style="left:${percent(at)}">${label}</span>`)}</div>
</div>
<p class="x-title" aria-hidden="true">${x.title}</p>
${below}
</figure>`;
}

/** A path of one point draws nothing; the same point twice, with round caps, draws a dot. */
const dotted = (points: readonly Point[]): Point[] => (points.length === 1 ? [...points, ...points] : [...points]);

function phaseLabel({ name, from, to }: Band, nth: number, percent: (value: number) => string): Markup {
  return html`<span style="left:${percent(from)};right:calc(100% - ${percent(to)})" title="${name}"><b>${nth + 1}</b><i>${name}</i></span>`;
}

function bandMark({ from, to }: Band, nth: number, across: (value: number) => number): Markup {
  const [left, right] = [across(from).toFixed(1), across(to).toFixed(1)];
  return html`${nth % 2 === 1 ? html`<path class="band" d="M${left},0H${right}V${HEIGHT}H${left}Z"/>` : nothing}<path class="phase-mark" d="M${left},0V${HEIGHT}"/>`;
}

function axisOf(lines: readonly PlotLine[], logIfFarApart: boolean): Axis {
  const values = lines.flatMap(({ points }) => thin(points).map(([, value]) => value));
  const positive = values.filter((value) => value > 0);
  const [lowest, highest] = [Math.min(...positive), Math.max(...values, 0)];
  const log = logIfFarApart && highest / lowest >= LOG_FROM_RATIO;
  return log ? logAxis(lowest, highest) : linearAxis(Math.min(...values, 0), highest);
}

function linearAxis(lowest: number, highest: number): Axis {
  const scale = scaleLinear([lowest, highest > lowest ? highest : lowest + 1], [HEIGHT, 0]).nice(TICKS);
  const [from = 0, to = 1] = scale.domain();
  return { scale, ticks: scale.ticks(TICKS), log: false, from, to };
}

function logAxis(lowest: number, highest: number): Axis {
  const from = 10 ** Math.floor(Math.log10(lowest));
  const to = niceAbove(highest);
  const scale = scaleLog([from, to], [HEIGHT, 0]).clamp(true);
  const decades = Math.log10(to / from);
  const leads = decades > 3 ? [1] : [1, 2, 5];
  const ticks = scale
    .ticks()
    .filter((tick) => leads.includes(Math.round(tick / 10 ** Math.floor(Math.log10(tick) + 1e-9))));
  return { scale: (value) => scale(Math.max(value, from)), ticks, log: true, from, to };
}

/** The next of 1, 2, 5, 10 times a power of ten. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((lead) => lead * power >= value) ?? 10) * power;
}
