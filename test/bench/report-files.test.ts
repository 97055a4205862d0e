/** A result is read as it was written; other files are refused with a reason. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parseResult, readResult, writeResult } from '../../bench/report/index.ts';
import type { BenchResult } from '../../bench/report/result.ts';
import { exampleResult } from './example-result.ts';

const result = exampleResult({ runs: 2, seconds: 20 });
const changed = (change: Record<string, unknown>): string => JSON.stringify({ ...result, ...change });

t.test('a written result is read again, and two of the same second get two names', async (t) => {
  const folder = join(t.testdir(), 'deeper', 'still');
  const first = writeResult(result, folder);
  const second = writeResult(result, folder);
  t.match(first.json, /show-20261123T200004Z\.json$/);
  t.match(second, { json: /show-20261123T200004Z-2\.json$/, html: /show-20261123T200004Z-2\.html$/ });
  t.same(readResult(first.json), result);
  t.equal(readdirSync(folder).length, 4, 'no temporary files remain');
  t.match(readFileSync(first.html, 'utf8'), 'show-20261123T200004Z.json', 'the page names its data');
  t.ok(readFileSync(first.json, 'utf8').split('\n').length < 40, 'one line per field');
});

t.test('a scenario name cannot leave the folder', async (t) => {
  const folder = t.testdir();
  const { json } = writeResult({ ...result, scenario: '../../etc/passwd' }, folder);
  t.equal(json, join(folder, '-etc-passwd-20261123T200004Z.json'));
});

t.test('a result with an invalid number keeps its file, and the field is named', async (t) => {
  const folder = t.testdir();
  const [figure] = result.figures;
  const broken = { ...result, figures: [{ ...figure, runs: [Number.NaN] }] } as BenchResult;
  const message = /show-20261123T200004Z\.json: \/figures\/0\/runs\/0 must be number/;
  t.throws(() => writeResult(broken, folder), { code: 'invalid_fields', message });
  t.same(readdirSync(folder), ['show-20261123T200004Z.json']);
});

t.test('other content is refused with a code and a reason', async (t) => {
  const otherSchema = /written as "stampede.bench\/9"; this version reads "stampede.bench\/1"/;
  const figure = { name: 'x', unit: '', better: 'higher', runs: [] };
  const cases: ReadonlyArray<readonly [text: string, code: string, message: RegExp]> = [
    ['', 'not_json', /^x\.json: not JSON/],
    ['{"a": 1', 'not_json', /not JSON/],
    ['[1, 2]', 'not_a_result', /no "schema"/],
    ['null', 'not_a_result', /no "schema"/],
    ['{"schema": "stampede.bench/9"}', 'other_schema', otherSchema],
    ['{"schema": "stampede.bench/1"}', 'invalid_fields', /must have required properties .*scenario/],
    [changed({ seed: '7' }), 'invalid_fields', /\/seed must be number/],
    [changed({ seconds: -1 }), 'invalid_fields', /\/seconds/],
    [changed({ startedAt: 'yesterday' }), 'invalid_fields', /\/startedAt is not a time/],
    [changed({ figures: [{ ...figure, better: 'bigger' }] }), 'invalid_fields', /\/figures\/0\/better/],
    [changed({ figures: [{ ...figure, runs: Array(101).fill(1) }] }), 'invalid_fields', /\/figures\/0\/runs/],
    [changed({ latencies: [{}, {}, {}, {}, {}, {}, {}] }), 'invalid_fields', /and 2 more/],
  ];
  for (const [text, code, message] of cases)
    t.throws(() => parseResult(text, 'x.json'), { name: 'ResultFileError', code, message }, text.slice(0, 50));
});

t.test('missing files and folders are refused', async (t) => {
  const folder = t.testdir({ file: 'text' });
  t.throws(() => readResult(join(folder, 'none.json')), { code: 'not_found', message: /no such file/ });
  t.throws(() => readResult(folder), { code: 'not_readable', message: /is a folder/ });
  t.throws(() => writeResult(result, join(folder, 'file')), { code: 'not_writable' });
});

t.test('unknown fields of a later version are accepted', async (t) => {
  const path = join(t.testdir(), 'later.json');
  writeFileSync(path, changed({ extra: { anything: true } }));
  t.equal(readResult(path).scenario, 'show');
});
