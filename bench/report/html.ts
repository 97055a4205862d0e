/** A result as one HTML file that needs no network and no other file. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { distribution } from './html/distribution.ts';
import { firstScreen } from './html/first-screen.ts';
import { type Content, html, Markup, nothing, section } from './html/markup.ts';
import { phaseList, timePlots } from './html/over-time.ts';
import { figureTable, howToRead, notesSection, processTable, refusalTotals, runDetails } from './html/particulars.ts';
import { outcomeOf } from './outcome.ts';
import type { BenchResult } from './result.ts';

const asset = (name: string): Markup => new Markup(readFileSync(new URL(`./html/${name}`, import.meta.url), 'utf8'));

/**
 * Renders a page of bounded size: long lines are thinned, long lists and texts are cut. `json` is
 * the name of the file with the raw data beside the page.
 */
export function renderHtml(result: BenchResult, { json = null }: { readonly json?: string | null } = {}): string {
  const outcome = outcomeOf(result);
  const script = asset('report.js');
  const hash = createHash('sha256').update(script.text).digest('base64');
  const sources = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'`;
  const policy = `${sources}; base-uri 'none'; form-action 'none'`;
  const sections = sectionsOf(result, json);
  const links = sections.map(([id, title]) => html`<li><a href="#${id}">${title}</a></li>`);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}">
<title>${outcome.status}: ${result.scenario}, ${result.startedAt.slice(0, 10)}</title>
<style>${asset('report.css')}</style>
</head>
<body>
<main>
${firstScreen(result, outcome)}
<nav aria-label="In this report"><ul>${links}</ul></nav>
${sections.map(([id, title, content]) => section(id, title, content))}
${notesSection(result)}
${howToRead}
</main>
<script>${script}</script>
</body>
</html>
`.text;
}

function sectionsOf(result: BenchResult, json: string | null) {
  const all: ReadonlyArray<readonly [id: string, title: string, content: Content]> = [
    ['time', 'Over time', timePlots(result, ['throughput', 'audience', 'latency'])],
    ['latency', 'Latency', distribution(result.latencies)],
    ['refusals', 'Refusals', [refusalTotals(result), timePlots(result, ['refusals'])]],
    ['resources', 'Resource use', [processTable(result), timePlots(result, ['server', 'generator'])]],
    ['figures', 'All figures', figureTable(result)],
    ['run', 'Run details', runDetails(result, json)],
  ];
  return all
    .filter(([, , content]) => content !== nothing && !(Array.isArray(content) && content.length === 0))
    .map(([id, title, content]) => [id, title, id === 'time' ? [phaseList(result.phases), content] : content] as const);
}
