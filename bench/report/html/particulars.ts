/** Everything an engineer needs to verify or repeat the run. */
import {
  machineOf,
  plural,
  processesOf,
  spreadOf,
  writeAmount,
  writeDuration,
  writeNumber,
  writePercent,
  writeSpread,
} from '../numbers.ts';
import type { BenchResult } from '../result.ts';
import { writeDay } from './first-screen.ts';
import { firstOf, html, type Markup, nothing, section, table } from './markup.ts';
import { COLUMNS_MAX } from './thin.ts';

const REFUSALS_MAX = 24;
const ROWS_MAX = 200;
const NOTES_MAX = 100;

export function refusalTotals({ refusals }: BenchResult): Markup {
  const sorted = [...refusals].filter(({ count }) => count > 0).sort((a, b) => b.count - a.count);
  if (sorted.length === 0) return html`<p class="quiet">The engine refused nothing.</p>`;
  const total = sorted.reduce((sum, { count }) => sum + count, 0);
  const most = sorted[0]?.count ?? 1;
  const rows = sorted.slice(0, REFUSALS_MAX).map(({ code, count }) => {
    const bar = html`<span class="bar" style="width:${((count / most) * 100).toFixed(1)}%"></span>`;
    return [html`<code>${code}</code>`, bar, writeNumber(count), writePercent(count / total)];
  });
  const left = sorted.length - REFUSALS_MAX;
  return html`${table(['code', '', 'count', 'share'], rows, { className: 'refusals' })}
${left > 0 ? html`<p class="quiet">${plural(left, 'rarer code')} in the JSON file.</p>` : null}`;
}

export function processTable({ generator, server, seconds }: BenchResult): Markup {
  const row = (name: string, cpuSeconds: number, memory: string): string[] => {
    const cores = seconds > 0 ? writeNumber(Math.round((cpuSeconds / seconds) * 100) / 100) : '–';
    return [name, `${writeNumber(cpuSeconds)} s`, cores, memory];
  };
  const processes = (server?.processes ?? []).slice(0, ROWS_MAX);
  const rows = [
    ...processes.map((process) => row(process.name, process.cpuSeconds, writeAmount(process.memoryMiB, 'MiB'))),
    ...(generator ? [row(`load generator, ${processesOf(generator)}`, generator.cpuSeconds, '–')] : []),
  ];
  const remote = html`<p class="quiet">The engine ran on another machine: its resource use is unknown.</p>`;
  const head = ['process', 'CPU time', 'cores', 'memory'];
  return html`${rows.length === 0 ? null : table(head, rows, { caption: 'Resource use over the whole run' })}
${server === null ? remote : null}`;
}

export function figureTable({ figures }: BenchResult): Markup {
  if (figures.length === 0) return nothing;
  const rows = figures.slice(0, ROWS_MAX).map(({ name, about, unit, better, runs }) => {
    const spread = spreadOf({ runs });
    const title = html`${name}${about === undefined ? null : html`<span class="detail">${about}</span>`}`;
    const direction = better === 'neither' ? '–' : better;
    if (spread === null) return [title, 'not measured', '', '', direction];
    const median = writeAmount(spread.median, unit);
    return [title, median, writeSpread(spread), runs.map(writeNumber).join(', '), direction];
  });
  return table(['figure', 'median', 'spread', 'each run', 'better is'], rows, { className: 'figures' });
}

export function runDetails(result: BenchResult, json: string | null): Markup {
  const { machine, target, generator } = result;
  const facts: ReadonlyArray<readonly [name: string, value: string | null]> = [
    ['started', writeDay(result.startedAt)],
    ['duration', writeDuration(result.seconds * 1000)],
    ['seed', String(result.seed)],
    ['version', `${result.version}, commit ${result.commit}`],
    ['machine', machineOf(machine)],
    ['target', `${target.url}${target.own ? ', started for this run' : ''}`],
    ['Redis', target.redis ?? null],
    ['load from', generator && processesOf(generator)],
    ['raw data', json],
  ];
  const parameters = Object.entries(result.parameters).slice(0, ROWS_MAX);
  const shown = parameters.map(([name, value]) => [name, value === null ? '–' : String(value)] as const);
  const listed = shown.length === 0 ? html`<p class="quiet">None.</p>` : definitions(shown);
  return html`<p>To repeat this run:</p><pre tabindex="0"><code>${result.command}</code></pre>
<div class="columns"><div><h3>Run</h3>${definitions(facts.filter(([, value]) => value !== null))}</div>
<div><h3>Parameters</h3>${listed}</div></div>`;
}

const definitions = (pairs: ReadonlyArray<readonly [string, string | null]>): Markup =>
  html`<dl>${pairs.map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>`;

export function notesSection({ notes }: BenchResult): Markup {
  const more = (left: number): Markup => html`<li>and ${left} more in the JSON file</li>`;
  const items = firstOf(notes, NOTES_MAX, (note) => html`<li>${note}</li>`, more);
  return notes.length === 0 ? nothing : section('notes', 'Notes', html`<ul class="notes">${items}</ul>`);
}

export const howToRead = section(
  'reading',
  'How to read this report',
  html`<ul class="notes">
<li><b>Times count from the moment the work was due</b>, not from when the generator sent it: an engine
that stalls cannot hide the delay it caused. Percentiles come from HdrHistograms; with several generators,
histograms are added and percentiles are never averaged.</li>
<li><b>A figure with several runs</b> is their median; the spread is the lowest and the highest run. Compare
two results with <code>bench diff</code>, which shows whether a difference is more than noise.</li>
<li><b>Plots of long runs are reduced</b> to ${COLUMNS_MAX} columns that keep the first, lowest, highest and
last point each (M4), so every peak stays visible. Very long lists and texts are cut. The JSON file has
everything.</li>
<li><b>A promise</b> (I1 to I11) is something the engine guarantees under any load. It is checked against
the ledger and against what viewers received. One broken promise fails the run.</li>
</ul>`,
);
