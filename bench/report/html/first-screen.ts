/**
 * What somebody reads who has a minute: the answer, the numbers that matter, and whether promises
 * were kept.
 */
import { spreadOf, writeDuration, writeMs, writeNumber, writePercent, writeSpread } from '../numbers.ts';
import type { Outcome } from '../outcome.ts';
import type { BenchResult, Figure, Latency } from '../result.ts';
import { html, type Markup, nothing } from './markup.ts';

const CARDS = 6;
const REASONS_MAX = 12;
const CHECKS_MAX = 60;

const MARKS = { PASS: '✓', FAIL: '✗', UNTRUSTED: '?' } as const;
const WORDS = { PASS: 'Passed', FAIL: 'Failed', UNTRUSTED: 'No answer' } as const;

export function firstScreen(result: BenchResult, outcome: Outcome): Markup {
  return html`<header class="top ${outcome.status.toLowerCase()}">
<p class="eyebrow">Stampede load test · ${result.scenario} · <time datetime="${result.startedAt}">${writeDay(result.startedAt)}</time></p>
<h1><span class="badge"><span aria-hidden="true">${MARKS[outcome.status]}</span> ${WORDS[outcome.status]}</span> ${outcome.headline}</h1>
<p class="sentence">${outcome.sentence}</p>
${result.about === undefined ? nothing : html`<p class="about"><b>What was done:</b> ${result.about}</p>`}
${reasons(outcome)}
</header>
${cards(result)}
<section class="held" id="promises" aria-labelledby="promises-title"><h2 id="promises-title">Were the promises kept?</h2><div class="columns">${checks(result)}<div class="stack">${levels(result)}${trust(result)}</div></div></section>`;
}

const day = new Intl.DateTimeFormat('en-GB', { dateStyle: 'long', timeStyle: 'short', timeZone: 'UTC' });
export const writeDay = (iso: string): string =>
  Number.isNaN(Date.parse(iso)) ? iso : `${day.format(new Date(iso))} UTC`;

function reasons({ reasons }: Outcome): Markup {
  if (reasons.length === 0) return nothing;
  const rest = reasons.length > REASONS_MAX ? html`<li>and ${reasons.length - REASONS_MAX} more</li>` : nothing;
  return html`<ul class="reasons">${reasons.slice(0, REASONS_MAX).map((reason) => html`<li>${reason}</li>`)}${rest}</ul>`;
}

function cards(result: BenchResult): Markup {
  const figures = result.figures.filter(({ runs }) => runs.length > 0).slice(0, CARDS);
  const shown = figures.length > 0 ? figures.map(figureCard) : result.latencies.slice(0, CARDS).map(latencyCard);
  if (shown.length === 0) return nothing;
  const doubt = (result.generator?.bottlenecks.length ?? 0) > 0;
  return html`<section aria-labelledby="numbers-title" class="numbers${doubt ? ' doubtful' : ''}"><h2 id="numbers-title">The numbers that matter</h2>${doubt ? html`<p class="warning">Not to be trusted: the load generator was the bottleneck.</p>` : nothing}<ul class="cards">${shown}</ul></section>`;
}

function figureCard(figure: Figure): Markup {
  const spread = spreadOf(figure);
  if (!spread) return nothing;
  return card(
    figure.name,
    amount(spread.median, figure.unit),
    figure.about ?? '',
    spread.runs > 1 ? writeSpread(spread) : '',
  );
}

const latencyCard = ({ name, p99Ms, p50Ms, count }: Latency): Markup =>
  card(
    name,
    amount(p99Ms, 'ms'),
    `99 of 100 were faster; half within ${writeMs(p50Ms)}`,
    `${writeNumber(count)} measured`,
  );

const card = (name: string, value: Markup, about: string, quiet: string): Markup =>
  html`<li class="card"><h3>${name}</h3><p class="value">${value}</p>${about === '' ? nothing : html`<p class="meaning">${about}</p>`}${quiet === '' ? nothing : html`<p class="quiet">${quiet}</p>`}</li>`;

const amount = (value: number, unit: string): Markup =>
  html`${writeNumber(value)}<small>${unit === '' || unit.startsWith('/') ? unit : ` ${unit}`}</small>`;

/** Null: not judged. */
const tick = (ok: boolean | null): Markup => {
  const [kind, words, mark] =
    ok === null ? ['none', 'not judged', '–'] : ok ? ['ok', 'kept', '✓'] : ['bad', 'broken', '✗'];
  return html`<span class="tick ${kind}" role="img" aria-label="${words}">${mark}</span>`;
};

function checks({ verdict }: BenchResult): Markup {
  if (verdict.checks.length === 0)
    return html`<div><h3>Checks</h3><p class="quiet">This scenario checks none.</p></div>`;
  // What failed first: it is what the reader came for.
  const sorted = [...verdict.checks].sort((a, b) => Number(a.ok) - Number(b.ok));
  const entries = sorted
    .slice(0, CHECKS_MAX)
    .map(
      ({ ok, name, promise, detail }) =>
        html`<li>${tick(ok)}<div><b>${name}</b>${promise === undefined ? nothing : html` <span class="tag">${promise}</span>`}${detail === '' ? nothing : html`<span class="detail">${detail}</span>`}</div></li>`,
    );
  const rest =
    sorted.length > CHECKS_MAX
      ? html`<p class="quiet">and ${sorted.length - CHECKS_MAX} more in the JSON file</p>`
      : nothing;
  return html`<div><h3>Checks while the load was on</h3><ul class="ticks">${entries}</ul>${rest}</div>`;
}

function levels({ verdict, generator }: BenchResult): Markup {
  if (verdict.levels.length === 0) return nothing;
  const doubt = (generator?.bottlenecks.length ?? 0) > 0;
  const rows = verdict.levels
    .slice(0, CHECKS_MAX)
    .map(
      ({ ok, flag, wanted, measured }) =>
        html`<li>${tick(doubt ? null : ok)}<div><b><code>${flag}</code> ${wanted}</b><span class="detail">measured ${measured}</span></div></li>`,
    );
  return html`<div><h3>Service levels asked for</h3>${doubt ? html`<p class="quiet">Not judged: the generator could not keep up.</p>` : nothing}<ul class="ticks">${rows}</ul></div>`;
}

function trust({ generator, seconds }: BenchResult): Markup {
  if (!generator) return nothing;
  const late = generator.sends > 0 ? generator.lateSends / generator.sends : 0;
  const words =
    generator.bottlenecks.length === 0
      ? 'Yes: it had room to spare, so times and rates are the engine’s.'
      : 'No: it was full itself, so times and rates are its own.';
  return html`<div><h3>Could the load generator keep up?</h3><ul class="ticks"><li>${tick(generator.bottlenecks.length === 0)}<div><b>${words}</b><span class="detail">Busiest process ${writePercent(generator.busiestShare)} of a core over ${writeDuration(seconds * 1000)}; 99 % of its turns started within ${writeMs(generator.loopDelayP99Ms)}; ${writeNumber(generator.lateSends)} of ${writeNumber(generator.sends)} sends late (${writePercent(late)}).</span></div></li></ul></div>`;
}
