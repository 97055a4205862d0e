/**
 * Runs every check and every test, prints one line per test file (the whole report of a file only
 * when it failed), and ends with exactly `N passed, N failed` (`, N skipped` when some were). Exit
 * code 0 only when nothing failed and something ran.
 */
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name) => join(root, 'node_modules/.bin', name);
const files = process.argv.slice(2);
const totals = { passed: 0, failed: 0, skipped: 0 };

/**
 * Runs one child to its end. Resolves with its exit code; a child that could not start or died of a
 * signal counts as 1.
 */
function run(command, args, stdout) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', stdout, 'inherit'] });
    child.once('error', (error) => {
      console.log(error.message);
      resolve(1);
    });
    child.once('close', (code) => resolve(code ?? 1));
    if (stdout === 'pipe') createInterface({ input: child.stdout }).on('line', readTap);
  });
}

async function check(name, command, args) {
  const code = await run(command, args, 'inherit');
  totals[code === 0 ? 'passed' : 'failed'] += 1;
  console.log(`${code === 0 ? 'ok' : 'not ok'} - ${name}`);
}

// The whole report, for a look afterwards.
mkdirSync(join(root, '.tap'), { recursive: true });
const raw = createWriteStream(join(root, '.tap/out.tap'));

// TAP as it streams: a file's report is `# Subtest: file`, indented lines, then its verdict at the
// margin.
let report = [];
let afterFailure = false;
let closing = null;
function readTap(line) {
  raw.write(`${line}\n`);
  const total = line.match(/^# \{ (total: .*) \}$/);
  if (total) closing = Object.fromEntries(total[1].split(', ').map((pair) => pair.split(': ')));
  const verdict = line.match(/^(not ok|ok) \d+ - (.*)$/);
  if (verdict) {
    afterFailure = verdict[1] === 'not ok';
    if (afterFailure) console.log(failuresOf(report).join('\n'));
    else
      for (const skipped of report.filter((entry) => / # SKIP/.test(entry)))
        console.log(skipped.trim().replace(/^ok \d+ - (.*?)(?: # time=\S+)? # SKIP ?(.*)$/, '    skipped: $1 ($2)'));
    console.log(`${verdict[1]} - ${verdict[2]}`);
    report = [];
  } else if (afterFailure && /^ {2}\S/.test(line)) console.log(line);
  else if (line.startsWith('#') || line.startsWith(' ')) {
    afterFailure = false;
    report.push(line);
  }
}

/**
 * Of a file's report only the parts that failed: its own tests stand four blanks in, each closed by
 * its verdict and what belongs to it.
 */
function failuresOf(lines) {
  const kept = [lines[0] ?? ''];
  let part = [];
  let failed = false;
  for (const line of lines.slice(1)) {
    if (failed && /^ {4}(?:# Subtest|ok \d)/.test(line)) {
      kept.push(...part);
      part = [];
      failed = false;
    }
    part.push(line);
    if (/^ {4}ok \d/.test(line)) part = [];
    if (/^ {4}not ok \d/.test(line)) failed = true;
  }
  return failed ? [...kept, ...part] : kept;
}

if (files.length === 0) {
  await check('lint (biome check)', bin('biome'), ['check', '--error-on-warnings', '.']);
  await check('types (tsc)', bin('tsc'), ['--noEmit', '-p', 'tsconfig.json']);
}
await check('build', process.execPath, ['scripts/build.mjs']);

const code = await run(bin('tap'), ['--reporter=tap', ...files], 'pipe');
raw.end();
if (closing === null && report.length > 0) console.log(report.join('\n'));
totals.passed += Number(closing?.pass ?? 0);
totals.failed += Number(closing?.fail ?? 0);
totals.skipped += Number(closing?.skip ?? 0) + Number(closing?.todo ?? 0);
if (closing === null || Number(closing.total ?? 0) === 0) {
  console.log('not ok - no test ran');
  totals.failed += 1;
} else if (code !== 0 && Number(closing.fail ?? 0) === 0) {
  console.log(`not ok - the test runner exited with ${code}`);
  totals.failed += 1;
}

console.log(
  `${totals.passed} passed, ${totals.failed} failed${totals.skipped > 0 ? `, ${totals.skipped} skipped` : ''}`,
);
process.exitCode = totals.failed === 0 ? 0 : 1;
