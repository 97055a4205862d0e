/** The result as text: the verdict first, every section, no control sequences. */
import t from 'tap';
import { renderTable } from '../../bench/report/index.ts';
import { EMPTY_SECTIONS, exampleResult } from './example-result.ts';

t.test('a run that held', async (t) => {
  const text = renderTable(exampleResult(), { files: { json: 'data/x.json', html: 'data/x.html' } });
  t.match(text, /^PASS {2}show: It held\. All 7 checks passed\. Both service levels were met\.\n/);
  t.match(text, /^ {2}chat delivered +507,341\/s {2}496,972 to 526,839 over 5 runs$/m);
  t.match(text, /^ {2}viewers in the room +5,000 {2}the same in 5 runs$/m);
  t.match(text, /^ +p50 +p90 +p99 +p99\.9 +p99\.99 +max +count$/m);
  t.match(text, /^ {2}sold_out +41,233$/m);
  t.match(text, /^ {2}ok {5}I1 Every unit is accounted for: 1,500 units/m);
  t.match(text, /^ {2}ok {5}--p99 <= 150 ms: measured/m);
  t.match(text, /^ {2}redis-server +48\.7 CPU s +0\.2 cores +64\.2 MiB$/m);
  t.match(text, /generator: busiest process 43 % of a core, loop delay p99 3\.1 ms, 12 of 1,204,331 sends late/);
  t.match(text, /^ {2}- System calls a delivery were not counted/m);
  t.match(text, /^repeat: stampede bench show --viewers 5000/m);
  t.match(text, /report: data\/x\.html\ndata: {3}data\/x\.json\n$/);
});

t.test('the second line of a failed run is the reason', async (t) => {
  const lines = renderTable(exampleResult({ kind: 'failing' })).split('\n');
  t.match(lines[0], /^FAIL {2}show: It did not hold\. 1 of 7 checks failed, 1 of 2 service levels missed\.$/);
  t.match(lines[1], /Check failed: Every unit is accounted for \(sale 2: 500 units, 499 in the books, 1 missing\)/);
  t.match(lines[2], /Service level missed: --p99 <= 150 ms, measured 16\d\.\d ms/);
  t.ok(lines.some((line) => /^ {2}FAILED I1 Every unit/.test(line)));
});

t.test('with an overloaded generator the run is inconclusive, unless a promise broke', async (t) => {
  const untrusted = exampleResult({ kind: 'untrusted' });
  t.match(renderTable(untrusted), /^UNTRUSTED {2}show: This run is inconclusive\./);
  t.match(renderTable(untrusted), /^figures \(not reliable/m);
  const levels = untrusted.verdict.levels.map((level) => ({ ...level, ok: false }));
  const missed = { ...untrusted, verdict: { ...untrusted.verdict, ok: false, levels } };
  t.match(renderTable(missed), /^UNTRUSTED/, 'also if it missed a level');
  const broken = { ...untrusted, verdict: exampleResult({ kind: 'failing' }).verdict };
  t.match(renderTable(broken), /^FAIL .*\n.*499 in the books.*\n.*98 % of a core/);
  t.notMatch(renderTable(broken), /Service level missed/);
});

t.test('a failed verdict without a reason fails', async (t) => {
  const result = exampleResult();
  t.match(renderTable({ ...result, verdict: { ...result.verdict, ok: false } }), /^FAIL .*without a failed check/);
});

t.test('sections without content are omitted', async (t) => {
  const text = renderTable({ ...exampleResult(), ...EMPTY_SECTIONS });
  t.match(text, /^PASS {2}show: It held\. No promise was checked\. No service level was requested\.\n\n2026/);
});

t.test('names cannot control the terminal, and long ones are wrapped', async (t) => {
  const result = exampleResult();
  const refusals = [{ code: 'evil\u001b[2J\u0007\nPASS', count: 1 }];
  const notes = ['a \u001b]0;title\u0007 b', 'word '.repeat(60)];
  const text = renderTable({ ...result, refusals, notes }, { columns: 60 });
  t.notMatch(text.replaceAll('\n', ''), /\p{Cc}/u);
  t.match(text, /evil PASS +1/);
  t.notMatch(text, /^(?=.*word).{61}/m);
  const coloured = renderTable(result, { colour: true });
  t.ok(process.env['NO_COLOR'] ? coloured.startsWith('PASS') : coloured.startsWith('\u001b[32m'));
});
