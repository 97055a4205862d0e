/** The report as text: everything is escaped and bounded, and omissions are stated. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { html, TEXT_CHARACTERS_MAX } from '../../bench/report/html/markup.ts';
import { COLUMNS_MAX, type Point, thin } from '../../bench/report/html/thin.ts';
import { renderHtml } from '../../bench/report/index.ts';
import type { BenchResult } from '../../bench/report/result.ts';
import { EMPTY_SECTIONS, exampleResult } from './example-result.ts';
import { hostileResult } from './hostile-result.ts';

t.test('the page has the verdict, the figures, the checks and the command', async (t) => {
  const page = renderHtml(exampleResult(), { json: 'show.json' });
  for (const part of [
    /<title>PASS: show, 2026-11-23<\/title>/,
    /It held\./,
    /All 7 checks passed\. Both service levels were met\./,
    /A whole evening in four minutes/,
    /99 of 100 messages were seen this soon/,
    /Every unit is accounted for<\/b> <span class="tag">I1/,
    /<code>--p99<\/code> &lt;= 150 ms/,
    /Could the load generator keep up\?/,
    /stampede bench show --viewers 5000/,
    /commit 7052b6f/,
    /<dt>seed<\/dt><dd>7<\/dd>/,
    /<dt>units-a-sale<\/dt><dd>500<\/dd>/,
    /8 x AMD EPYC 7763/,
    /show\.json/,
    /System calls a delivery were not counted/,
  ])
    t.match(page, part);
  t.match(renderHtml(exampleResult({ kind: 'failing' })), /It did not hold\..*499 in the books/s);
  t.match(renderHtml(exampleResult({ kind: 'untrusted' })), /This run is inconclusive\..*Not reliable/s);
});

t.test('the page loads nothing, and its policy allows only its script', async (t) => {
  const page = renderHtml(exampleResult());
  t.notMatch(page, /(?:src|href)="(?!#)/, 'only links to its sections');
  t.notMatch(page, /@import|url\(/);
  const script = page.match(/<script>([\s\S]*?)<\/script>/)?.[1] ?? '';
  t.match(page, `script-src 'sha256-${createHash('sha256').update(script).digest('base64')}'`);
  t.match(page, "default-src 'none'");
});

t.test('nothing of a result becomes markup', async (t) => {
  const page = renderHtml(hostileResult());
  t.equal(page.match(/<script/g)?.length, 1);
  t.notMatch(page, /<(?:img|iframe|b onmouseover)/);
  t.match(page, '&lt;img src=x onerror=');
});

t.test('the template escapes text and keeps markup', async (t) => {
  const { text } = html`<p title="${'"\'<>&'}">${html`<b>${'<i>'}</b>`}${[html`1`, '2', 3]}${null}</p>`;
  t.equal(text, '<p title="&quot;&#39;&lt;&gt;&amp;"><b>&lt;i&gt;</b>123</p>');
  t.equal(html`${'a\u0000b\u001bc\nd'}`.text, 'a b c\nd');
  t.equal(html`${'x'.repeat(1e6)}`.text.length, TEXT_CHARACTERS_MAX + 1);
});

t.test('a long run gives a page of the same size, with its peak', async (t) => {
  const seconds = 20_000;
  const short = renderHtml(exampleResult({ seconds: 1_200 }));
  const long = renderHtml(exampleResult({ seconds }));
  t.ok(long.length < short.length * 1.2, `${long.length} against ${short.length}`);

  const points = Array.from({ length: seconds }, (_, nth): Point => [nth, Math.sin(nth / 1000)]);
  points[8_000] = [8_000, 1e6];
  points[15_000] = [15_000, -1e6];
  const kept = thin(points);
  t.ok(kept.length <= COLUMNS_MAX * 4);
  for (const at of [0, 8_000, 15_000, seconds - 1]) t.ok(kept.includes(points[at] as Point), `point ${at} stays`);
  const sorted = kept.toSorted((a, b) => a[0] - b[0]);
  t.same(sorted, kept, 'in order');
  t.equal(thin(points.slice(0, 100)).length, 100);
});

t.test('very long lists are cut', async (t) => {
  const many = <T>(make: (nth: number) => T): T[] => Array.from({ length: 5_000 }, (_, nth) => make(nth));
  const base = exampleResult({ seconds: 20 });
  const page = renderHtml({
    ...base,
    refusals: many((nth) => ({ code: `code_${nth}`, count: nth })),
    notes: many((nth) => `note ${nth}`),
    phases: many((nth) => ({ name: `phase ${nth}`, fromMs: nth, toMs: nth + 1 })),
    series: many((nth) => ({ name: `line ${nth}`, unit: '/s', group: 'throughput', points: [[0, nth]] })),
    figures: many((nth) => ({ name: `figure ${nth}`, unit: '', better: 'neither', runs: [nth] })),
    verdict: { ok: true, levels: [], checks: many((nth) => ({ name: `check ${nth}`, ok: true, detail: '' })) },
  });
  t.ok(page.length < 1_000_000, String(page.length));
  t.match(page, /rarer codes in the JSON file/);
});

t.test('empty and odd results', async (t) => {
  const base = exampleResult({ seconds: 20 });
  const odd: ReadonlyArray<Partial<BenchResult>> = [
    { ...EMPTY_SECTIONS, series: [], phases: [], parameters: {} },
    { seconds: 0 },
    { series: base.series.map((entry) => ({ ...entry, points: [] })) },
    { series: base.series.map((entry) => ({ ...entry, points: [[5_000, 0]] })) },
    { series: base.series.map((entry) => ({ ...entry, points: [0, 1_000].map((atMs) => [atMs, -5] as const) })) },
    { phases: [{ name: 'backwards', fromMs: 9e9, toMs: -5 }] },
    { latencies: base.latencies.map((entry) => ({ ...entry, histogram: 'no histogram' })) },
    { latencies: base.latencies.map((entry) => ({ ...entry, count: 1, p50Ms: 0, maxMs: 0 })) },
    { figures: [{ name: 'not measured', unit: 'ms', better: 'lower', runs: [] }] },
    { startedAt: 'some day' },
  ];
  for (const [nth, change] of odd.entries()) {
    const content = renderHtml({ ...base, ...change }).replace(/<(style|script)>.*?<\/\1>/gs, '');
    t.same(content.match(/.{0,40}(?:NaN|undefined|Infinity).{0,40}/g), null, `case ${nth}`);
  }
  const latencies = base.latencies.map((entry) => ({ ...entry, histogram: '' }));
  t.match(renderHtml({ ...base, latencies }), /id="distribution-1"/, 'the stored percentiles are drawn');
});
