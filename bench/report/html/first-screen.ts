/** The first screen: the verdict, the key figures and the checks. */
import { spreadOf, writeDuration, writeMs, writeNumber, writePercent, writeSpread } from '../numbers.ts';
import { isTrusted, type Outcome } from '../outcome.ts';
import type { BenchResult, Check, Level } from '../result.ts';
import { type Content, firstOf, html, type Markup, nothing, section } from './markup.ts';

const CARDS = 6;
const REASONS_MAX = 12;
const CHECKS_MAX = 60;

const BADGES = { PASS: ['✓', 'Passed'], FAIL: ['✗', 'Failed'], UNTRUSTED: ['?', 'Inconclusive'] } as const;

export function firstScreen(result: BenchResult, { status, headline, sentence, reasons }: Outcome): Markup {
  const { scenario, startedAt, about } = result;
  const [mark, word] = BADGES[status];
  const right = html`<div class="stack">${levels(result)}${trust(result)}</div>`;
  const kept = html`<div class="columns">${checks(result)}${right}</div>`;
  return html`<header class="top ${status.toLowerCase()}">
<p class="quiet">Stampede load test · ${scenario} · <time datetime="${startedAt}">${writeDay(startedAt)}</time></p>
<h1><span class="badge"><span aria-hidden="true">${mark}</span> ${word}</span> ${headline}</h1>
<p class="sentence">${sentence}</p>
${about === undefined ? null : html`<p><b>Load:</b> ${about}</p>`}
${reasons.length === 0 ? null : html`<ul class="reasons">${firstOf(reasons, REASONS_MAX, listed, andMore)}</ul>`}
</header>
${cards(result)}
${section('promises', 'Were the promises kept?', kept)}`;
}

const day = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });
export const writeDay = (iso: string): string =>
  Number.isNaN(Date.parse(iso)) ? iso : `${day.format(new Date(iso))} UTC`;

const listed = (text: string): Markup => html`<li>${text}</li>`;
const andMore = (left: number): Markup => html`<li class="quiet">and ${left} more in the JSON file</li>`;

function cards(result: BenchResult): Markup {
  const figures = result.figures.flatMap(({ name, unit, about = '', runs }) => {
    const spread = spreadOf({ runs });
    return spread === null ? [] : [card(name, spread.median, unit, about, runs.length > 1 ? writeSpread(spread) : '')];
  });
  const latencies = result.latencies.map(({ name, p99Ms, p50Ms, count }) =>
    card(name, p99Ms, 'ms', `99 % were faster; half within ${writeMs(p50Ms)}`, `${writeNumber(count)} measured`),
  );
  const shown = (figures.length > 0 ? figures : latencies).slice(0, CARDS);
  if (shown.length === 0) return nothing;
  const warning = html`<p class="warning">Not reliable: the load generator was the bottleneck.</p>`;
  const content = html`${isTrusted(result) ? null : warning}<ul class="cards">${shown}</ul>`;
  return section('numbers', 'Key figures', content, isTrusted(result) ? '' : 'untrusted');
}

const card = (name: string, value: number, unit: string, about: string, note: string): Markup => html`<li class="card">
<h3>${name}</h3>
<p class="value">${writeNumber(value)}<small>${/^[^/]/.test(unit) ? ` ${unit}` : unit}</small></p>
${about === '' ? null : html`<p>${about}</p>`}${note === '' ? null : html`<p class="quiet">${note}</p>`}</li>`;

/** An entry with a mark; null means that it was not judged. */
function tick(ok: boolean | null, title: Content, detail: string): Markup {
  const [kind, words, mark] =
    ok === null ? ['none', 'not judged', '–'] : ok ? ['ok', 'kept', '✓'] : ['bad', 'broken', '✗'];
  return html`<li><span class="tick ${kind}" role="img" aria-label="${words}">${mark}</span>
<div>${title}${detail === '' ? null : html`<span class="detail">${detail}</span>`}</div></li>`;
}

function checks({ verdict }: BenchResult): Markup {
  if (verdict.checks.length === 0)
    return html`<div><h3>Checks</h3><p class="quiet">This scenario has no checks.</p></div>`;
  // Failed checks first.
  const sorted = [...verdict.checks].sort((a, b) => Number(a.ok) - Number(b.ok));
  const item = ({ ok, name, promise, detail }: Check): Markup => {
    const tag = promise === undefined ? null : html` <span class="tag">${promise}</span>`;
    return tick(ok, html`<b>${name}</b>${tag}`, detail);
  };
  const entries = firstOf(sorted, CHECKS_MAX, item, andMore);
  return html`<div><h3>Checks under load</h3><ul class="ticks">${entries}</ul></div>`;
}

function levels(result: BenchResult): Markup {
  const { levels: all } = result.verdict;
  if (all.length === 0) return nothing;
  const item = ({ ok, flag, wanted, measured }: Level): Markup =>
    tick(isTrusted(result) ? ok : null, html`<b><code>${flag}</code> ${wanted}</b>`, `measured ${measured}`);
  const entries = firstOf(all, CHECKS_MAX, item, andMore);
  const why = html`<p class="quiet">Not judged: the generator could not keep up.</p>`;
  return html`<div><h3>Service levels</h3>${isTrusted(result) ? null : why}<ul class="ticks">${entries}</ul></div>`;
}

function trust(result: BenchResult): Markup {
  const { generator, seconds } = result;
  if (generator === null) return nothing;
  const { busiestShare, loopDelayP99Ms, lateSends, sends } = generator;
  const words = isTrusted(result)
    ? 'Yes: it had capacity to spare, so times and rates describe the engine.'
    : 'No: it was overloaded, so times and rates describe the generator.';
  const detail =
    `Busiest process ${writePercent(busiestShare)} of a core over ${writeDuration(seconds * 1000)}; ` +
    `99 % of its event loop turns started within ${writeMs(loopDelayP99Ms)}; ${writeNumber(lateSends)} of ` +
    `${writeNumber(sends)} sends late (${writePercent(sends > 0 ? lateSends / sends : 0)}).`;
  const entry = tick(isTrusted(result), html`<b>${words}</b>`, detail);
  return html`<div><h3>Could the load generator keep up?</h3><ul class="ticks">${entry}</ul></div>`;
}
