/** A result as one HTML file that needs nothing else: no network, no other file. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { distribution } from './html/distribution.ts';
import { firstScreen } from './html/first-screen.ts';
import { html, Markup, nothing } from './html/markup.ts';
import { phaseList, timePlots } from './html/over-time.ts';
import { figureTable, howItWasRun, howToRead, notes, processTable, refusalTotals } from './html/particulars.ts';
import { outcomeOf } from './outcome.ts';
import type { BenchResult } from './result.ts';

export interface HtmlOptions {
  /** Name of the file with the raw data beside the page. */
  readonly json?: string;
}

const STYLES = ['page.css', 'sections.css', 'plots.css', 'narrow-and-paper.css'];
const asset = (name: string): string => readFileSync(new URL(`./html/${name}`, import.meta.url), 'utf8');

/**
 * The whole page. Bounded: long lines are thinned, long lists and texts cut, and the page says so.
 */
export function renderHtml(result: BenchResult, options: HtmlOptions = {}): string {
  const outcome = outcomeOf(result);
  const style = STYLES.map(asset).join('\n');
  const script = asset('report.js');
  const sections = sectionsOf(result, options);
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${createHash('sha256').update(script).digest('base64')}'; base-uri 'none'; form-action 'none'">
<title>${outcome.status}: ${result.scenario}, ${result.startedAt.slice(0, 10)}</title>
<style>${new Markup(style)}</style>
</head>
<body>
<main>
${firstScreen(result, outcome)}
<nav aria-label="In this report"><ul>${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>
${sections.map(({ id, title, content }) => html`<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title">${title}</h2>${content}</section>`)}
${notes(result)}
${howToRead}
</main>
<script>${new Markup(script)}</script>
</body>
</html>
`;
  return page.text;
}

interface Section {
  readonly id: string;
  readonly title: string;
  readonly content: Markup;
}

function sectionsOf(result: BenchResult, { json }: HtmlOptions): Section[] {
  const load = timePlots(result, ['throughput', 'audience', 'latency']);
  const waited = distribution(result.latencies);
  return [
    ...(load.length > 0
      ? [{ id: 'time', title: 'As it went', content: html`${phaseList(result.phases)}${plots(load)}` }]
      : []),
    ...(waited === nothing ? [] : [{ id: 'waiting', title: 'Waiting times', content: waited }]),
    {
      id: 'refusals',
      title: 'Refusals',
      content: html`${refusalTotals(result)}${plots(timePlots(result, ['refusals']))}`,
    },
    {
      id: 'resources',
      title: 'Who was busy',
      content: html`${processTable(result)}${plots(timePlots(result, ['server', 'generator']))}`,
    },
    { id: 'figures', title: 'All figures', content: figureTable(result) },
    { id: 'run', title: 'How it was run', content: howItWasRun(result, json ?? null) },
  ];
}

const plots = (each: readonly Markup[]): Markup =>
  each.length === 0 ? nothing : html`<div class="plots">${each}</div>`;
