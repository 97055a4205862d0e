/** Everything an engineer needs to believe the run, or to repeat it. */
import { plural, spreadOf, writeAmount, writeDuration, writeNumber, writePercent, writeSpread } from '../numbers.ts';
import type { BenchResult } from '../result.ts';
import { writeDay } from './first-screen.ts';
import { html, type Markup, nothing } from './markup.ts';
import { COLUMNS_MAX } from './thin.ts';

const REFUSALS_MAX = 24;
const ROWS_MAX = 200;
const NOTES_MAX = 100;

export function refusalTotals({ refusals }: BenchResult): Markup {
  const sorted = [...refusals].filter(({ count }) => count > 0).sort((a, b) => b.count - a.count);
  if (sorted.length === 0) return html`<p class="quiet">The engine refused nothing.</p>`;
  const total = sorted.reduce((sum, { count }) => sum + count, 0);
  const most = sorted[0]?.count ?? 1;
  const rows = sorted
    .slice(0, REFUSALS_MAX)
    .map(
      ({ code, count }) =>
        html`<tr><th scope="row"><code>${code}</code></th><td class="bar"><span style="width:${((count / most) * 100).toFixed(1)}%"></span></td><td>${writeNumber(count)}</td><td>${writePercent(count / total)}</td></tr>`,
    );
  const rest =
    sorted.length > REFUSALS_MAX
      ? html`<p class="quiet">${plural(sorted.length - REFUSALS_MAX, 'rarer code')} in the JSON file.</p>`
      : nothing;
  return html`<div class="scroll"><table class="refusals"><thead><tr><th scope="col">code</th><td></td><th scope="col">how often</th><th scope="col">share</th></tr></thead><tbody>${rows}</tbody></table></div>${rest}`;
}

export function processTable({ generator, server, seconds }: BenchResult): Markup {
  const cores = (cpuSeconds: number): string =>
    seconds > 0 ? writeNumber(Math.round((cpuSeconds / seconds) * 100) / 100) : '–';
  const row = (name: string, cpuSeconds: number, memory: string): Markup =>
    html`<tr><th scope="row">${name}</th><td>${writeNumber(cpuSeconds)} s</td><td>${cores(cpuSeconds)}</td><td>${memory}</td></tr>`;
  const rows = [
    ...(server?.processes ?? [])
      .slice(0, ROWS_MAX)
      .map(({ name, cpuSeconds, memoryMiB }) => row(name, cpuSeconds, writeAmount(memoryMiB, 'MiB'))),
    ...(generator
      ? [
          row(
            `load generator, ${plural(generator.processes, 'process', 'processes')} on ${plural(generator.hosts, 'host')}`,
            generator.cpuSeconds,
            '–',
          ),
        ]
      : []),
  ];
  const elsewhere =
    server === null ? html`<p class="quiet">The engine ran elsewhere: what it used is not known here.</p>` : nothing;
  if (rows.length === 0) return elsewhere;
  return html`<div class="scroll"><table><caption>Who was busy, over the whole run</caption><thead><tr><th scope="col">process</th><th scope="col">CPU time</th><th scope="col">cores</th><th scope="col">memory</th></tr></thead><tbody>${rows}</tbody></table></div>${elsewhere}`;
}

export function figureTable({ figures }: BenchResult): Markup {
  if (figures.length === 0) return nothing;
  const rows = figures.slice(0, ROWS_MAX).map((figure) => {
    const spread = spreadOf(figure);
    const cells = spread
      ? html`<td>${writeAmount(spread.median, figure.unit)}</td><td>${writeSpread(spread)}</td><td>${figure.runs.map(writeNumber).join(', ')}</td>`
      : html`<td colspan="3">not measured</td>`;
    return html`<tr><th scope="row">${figure.name}${figure.about === undefined ? nothing : html`<span class="detail">${figure.about}</span>`}</th>${cells}<td>${{ higher: 'higher', lower: 'lower', neither: '–' }[figure.better]}</td></tr>`;
  });
  return html`<div class="scroll"><table class="figures"><thead><tr><th scope="col">figure</th><th scope="col">median</th><th scope="col">spread</th><th scope="col">each run</th><th scope="col">better is</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}

export function howItWasRun(result: BenchResult, json: string | null): Markup {
  const { machine, target, generator } = result;
  const facts: ReadonlyArray<readonly [string, string]> = [
    ['started', writeDay(result.startedAt)],
    ['took', writeDuration(result.seconds * 1000)],
    ['seed', String(result.seed)],
    ['version', `${result.version}, commit ${result.commit}`],
    [
      'machine',
      `${machine.cpus} x ${machine.model}, ${writeNumber(machine.memoryGiB)} GiB, ${machine.platform}, Node ${machine.node}`,
    ],
    ['target', `${target.url}${target.own ? ', started for this run' : ''}`],
    ...(target.redis === undefined ? [] : [['Redis', target.redis] as const]),
    ...(generator
      ? [
          [
            'load from',
            `${plural(generator.processes, 'process', 'processes')} on ${plural(generator.hosts, 'host')}`,
          ] as const,
        ]
      : []),
    ...(json === null ? [] : [['raw data', json] as const]),
  ];
  const parameters = Object.entries(result.parameters).slice(0, ROWS_MAX);
  return html`<p>The same run again:</p><pre tabindex="0"><code>${result.command}</code></pre>
<div class="columns"><div><h3>Run</h3>${definitions(facts)}</div><div><h3>Parameters</h3>${parameters.length === 0 ? html`<p class="quiet">None.</p>` : definitions(parameters.map(([name, value]) => [name, value === null ? '–' : String(value)]))}</div></div>`;
}

const definitions = (pairs: ReadonlyArray<readonly [string, string]>): Markup =>
  html`<dl>${pairs.map(([term, text]) => html`<div><dt>${term}</dt><dd>${text}</dd></div>`)}</dl>`;

export function notes({ notes }: BenchResult): Markup {
  if (notes.length === 0) return nothing;
  const rest =
    notes.length > NOTES_MAX ? html`<li>and ${notes.length - NOTES_MAX} more in the JSON file</li>` : nothing;
  return html`<section id="notes" aria-labelledby="notes-title"><h2 id="notes-title">Notes</h2><ul class="notes">${notes.slice(0, NOTES_MAX).map((note) => html`<li>${note}</li>`)}${rest}</ul></section>`;
}

export const howToRead = html`<section id="reading" aria-labelledby="reading-title"><h2 id="reading-title">How to read this</h2><ul class="notes">
<li><b>Times count from the moment the work was due</b>, not from when the generator got round to it: an engine that stalls cannot hide the wait it caused. Percentiles come from HdrHistograms; where several generators ran, histograms were added, percentiles never averaged.</li>
<li><b>A figure with several runs</b> is their median; the spread is the lowest and the highest run. Compare two results with <code>bench diff</code>, which says whether a difference is more than noise.</li>
<li><b>Plots of long runs are thinned</b> to ${COLUMNS_MAX} columns that keep the first, lowest, highest and last point each (M4): peaks and gaps are never lost. Very long lists and texts are cut. The JSON file holds everything.</li>
<li><b>A promise</b> (I1 to I8) is something the engine guarantees whatever the load. It is checked against the ledger and what viewers saw, and one broken promise fails the run.</li>
</ul></section>`;
