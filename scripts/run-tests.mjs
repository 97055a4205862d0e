/**
 * Runs lint, types, build and tests. Prints one line per test file and the details of each failure.
 * The last line is `N passed, N failed` (`, N skipped` if there were some). It counts tests: a test
 * is a `t.test` that contains no other. The exit code is 0 if nothing failed and a test ran.
 *
 *   node scripts/run-tests.mjs [--fast] [test/some/file.test.ts ...]
 *
 * The tests are compiled once, together with the sources, and each file runs in a plain Node.js
 * process. A file with a line `// slow: REASON` measures real time or the kernel: if it fails, it
 * runs again at the end, and nothing beside it. A file with a line `// heavy: REASON` starts many
 * processes: one such file runs at a time, beside others. A file with a line `// alone: REASON`
 * runs last, and nothing beside it. Files of the store run a second time, with scripts by EVALSHA
 * and classic publish.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Parser } from 'tap-parser';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const JOBS = Number(process.env.STAMPEDE_JOBS ?? Math.max(3, availableParallelism()));
const FILE_SECONDS_MAX = process.env.STAMPEDE_LONG === '1' ? 3_600 : 180;
/** Files that have not started by then fail, so that CI ends within 20 minutes. */
const SUITE_SECONDS_MAX = process.env.STAMPEDE_LONG === '1' ? Infinity : 1_060;
/** What `--fast` runs, without slow files: pure code, Lua, the protocol, one show end to end. */
const FAST = [
  /^test\/(?:auth|config|domain|fanout|project|protocol|rooms|selling|telemetry)\//,
  /^test\/redis\/lua\//,
  /^test\/cli\/readme\./,
];
/** What runs in these modes too if it uses StoreFixture: its scripts and its relay. */
const STORE = /^test\/(?:redis|model)\/|^test\/faults\/store-/;
const OTHER_MODES = 'eval,classic';
/** Folders with the longest files, which start first. */
const LONG = /^test\/(?:browser|cli|demo|faults|bench)\//;

const totals = { passed: 0, failed: 0, skipped: 0 };
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
const indented = (text) => text.replace(/^(?=.)/gm, '    ');

/** Ends the process group of a command: what it started and left behind too. */
function endGroup({ pid }) {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // The group has ended.
  }
}
const running = new Set();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.once(signal, () => {
    for (const child of running) endGroup(child);
    process.exit(1);
  });

/** Runs Node.js. Resolves with the exit code (or signal) and everything it printed. */
function run(args, { env = process.env, secondsMax = 600 } = {}) {
  return new Promise((done) => {
    const options = { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true };
    const child = spawn(process.execPath, args, options);
    running.add(child);
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'])
      child[name].setEncoding('utf8').on('data', (text) => {
        output[name] += text;
      });
    let timer = setTimeout(endGroup, secondsMax * 1000, child);
    // Processes that are left behind keep the pipes open: `close` follows when they have ended.
    child.once('exit', () => {
      clearTimeout(timer);
      timer = setTimeout(endGroup, 1000, child);
    });
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      done({ code: code ?? signal, ...output });
    });
  });
}

async function check(name, args) {
  const since = performance.now();
  const { code, stdout, stderr } = await run(args);
  const ok = code === 0;
  totals[ok ? 'passed' : 'failed'] += 1;
  if (!ok) console.log(`${stdout}${stderr}`.trimEnd());
  console.log(`${ok ? 'ok' : 'not ok'} - ${name} (${seconds(since)})`);
  return ok;
}

/** Reads the TAP output of a file: how many tests passed, and what failed or was skipped. */
function readTap(text) {
  const found = { passed: 0, failures: [], skipped: [] };
  const watch = (parser, path) => {
    let child = null;
    let hasChildren = false;
    let failuresBefore = 0;
    parser.on('child', (next) => {
      hasChildren = true;
      child = { parser: next, hasChildren: watch(next, [...path, next.name]) };
      failuresBefore = found.failures.length;
    });
    parser.on('assert', (result) => {
      const name = [...path, result.name].join(' > ');
      const test = child;
      child = null;
      if (result.skip || result.todo) found.skipped.push(`${name} (${result.skip || result.todo})`);
      else if (test === null) {
        if (!result.ok) found.failures.push({ name, test: path.join(' > '), details: result.diag });
      } else if (result.ok) found.passed += test.hasChildren() ? 0 : 1;
      else if (found.failures.length === failuresBefore) {
        // No assertion failed: it has too few, or its output ended early.
        const { count, plan, failures = [], bailout } = test.parser.results ?? {};
        const message = [result.diag?.message, JSON.stringify({ count, plan, failures, bailout })].join(' ').trim();
        found.failures.push({ name, test: name, details: { ...result.diag, message } });
      }
    });
    return () => hasChildren;
  };
  const parser = new Parser();
  const hasTests = watch(parser, []);
  parser.end(text);
  if (!hasTests() && parser.results.ok && parser.results.count > found.skipped.length) found.passed += 1;
  return { ...found, results: parser.results };
}

function describe({ name, details }) {
  const { diff, stack, at, message, error, signal } = details ?? {};
  // Those of tap, which is bundled, say nothing.
  const place =
    stack?.replace(/^.*node_modules\/tap\/.*\n?/gm, '').trim() ||
    (at?.fileName ? `${at.fileName}:${at.lineNumber}` : '');
  return [
    `  failed: ${name}`,
    ...[message, error, signal, diff, place].filter(Boolean).map((part) => indented(String(part).trimEnd())),
  ];
}

/** Runs one test file. */
async function attempt(file, modes) {
  const compiled = join('dist', file.replace(/\.ts$/, '.js'));
  // Reading them takes a tenth of a second per file.
  const flags = names.length > 0 ? ['--enable-source-maps'] : [];
  const { code, stdout, stderr } = await run([...flags, compiled], {
    env: { ...process.env, TAP_TIMEOUT: String(FILE_SECONDS_MAX), ...(modes && { STAMPEDE_MODES: modes }) },
    secondsMax: FILE_SECONDS_MAX + 20,
  });
  const { passed, failures, skipped, results } = readTap(stdout);
  if (failures.length === 0 && (code !== 0 || !results.ok)) {
    const reason = results.failures.map(({ name, tapError }) => tapError ?? name).join(', ');
    failures.push({
      name: `the file ended with ${code}`,
      test: '',
      details: { message: `${reason}\n${stdout.slice(-2_000)}` },
    });
  }
  const failed = new Set(failures.map(({ test }) => test)).size;
  return { passed, failed, failures, skipped, stderr };
}

/** Slow files that failed. */
const again = [];

async function runFile(entry) {
  const { file, slow, modes } = entry;
  const since = performance.now();
  const name = modes ? `${file} [${modes}]` : file;
  const { passed, failed, failures, skipped, stderr } = await attempt(file, modes);
  if (failed > 0 && slow !== null) {
    console.log([`to be retried - ${name} (${slow})`, ...failures.flatMap(describe)].join('\n'));
    again.push({ ...entry, slow: null });
    return;
  }
  totals.passed += passed;
  totals.failed += failed;
  totals.skipped += skipped.length;
  const report = [...failures.flatMap(describe), ...skipped.map((name) => `  skipped: ${name}`)];
  if (failed > 0 && stderr.trim() !== '') report.push(indented(stderr.slice(-4_000).trimEnd()));
  report.push(`${failed === 0 ? 'ok' : 'not ok'} - ${name} (${passed + failed} tests, ${seconds(since)})`);
  console.log(report.join('\n'));
}

function testFiles(names, isFast) {
  const all = readdirSync(join(root, 'test'), { recursive: true })
    .map((name) => join('test', name))
    .filter((name) => name.endsWith('.test.ts'))
    .sort((a, b) => Number(LONG.test(b)) - Number(LONG.test(a)) || a.localeCompare(b));
  const files = (names.length > 0 ? names.map((name) => relative(root, resolve(name))) : all).map((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    return {
      file,
      slow: text.match(/^\/\/ slow: (.+)$/m)?.[1] ?? null,
      isHeavy: /^\/\/ heavy: ./m.test(text),
      isAlone: /^\/\/ alone: ./m.test(text),
      isFixture: text.includes('StoreFixture.open('),
    };
  });
  if (isFast) return files.filter(({ file, slow }) => slow === null && FAST.some((rule) => rule.test(file)));
  const ofStore = files.filter(({ file, isFixture }) => isFixture && STORE.test(file));
  return [...files, ...ofStore.map((entry) => ({ ...entry, modes: OTHER_MODES }))];
}

const since = performance.now();
const words = process.argv.slice(2);
const isFast = words.includes('--fast');
const names = words.filter((word) => word !== '--fast');
const files = testFiles(names, isFast);
if (names.length === 0)
  await check('lint (biome check)', ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.']);
const isBuilt = await check('types and build (tsc)', ['scripts/build.mjs', '--tests']);
if (isBuilt) {
  const waiting = files.filter(({ isAlone }) => !isAlone);
  let isHeavyRunning = false;
  const take = () => {
    const at = waiting.findIndex(({ isHeavy }) => !isHeavy || !isHeavyRunning);
    return at === -1 ? undefined : waiting.splice(at, 1)[0];
  };
  const start = async (entry) => {
    if (performance.now() - since < SUITE_SECONDS_MAX * 1000) return runFile(entry);
    totals.failed += 1;
    console.log(`not ok - ${entry.file} (not started within ${SUITE_SECONDS_MAX} s)`);
  };
  const work = async () => {
    for (let next = take(); next; next = take()) {
      isHeavyRunning ||= next.isHeavy;
      await start(next);
      if (next.isHeavy) isHeavyRunning = false;
    }
  };
  await Promise.all(Array.from({ length: JOBS }, work));
  for (const entry of files.filter(({ isAlone }) => isAlone)) await start(entry);
  for (const entry of again) await start(entry);
}
if (isBuilt && files.length === 0) {
  console.log('not ok - no test file was found');
  totals.failed += 1;
}
console.log(`${files.length} files in ${seconds(since)}`);
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
process.exitCode = totals.failed === 0 ? 0 : 1;
