/**
 * Many seeds of every scenario, outside CI: `node --import=tsx test/faults/long-run.ts --seeds 50`.
 * Prints a table, and ends with 1 on any violation.
 *
 * - `--seeds N`: so many seeds of each scenario (default 50); `--from N`: the first one (default 1)
 * - `--only TEXT`: scenarios whose name contains the text
 * - `--parallel N`: engines at once (default 2)
 * - `--minutes N`: begin no run after this time
 */
import { parseArgs } from 'node:util';
import type { Verdict } from './run-checker.ts';
import { SCENARIOS } from './scenarios.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '50' },
    from: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    parallel: { type: 'string', default: '2' },
    minutes: { type: 'string', default: '600' },
  },
});
const from = Number(values.from);
const until = performance.now() + Number(values.minutes) * 60_000;

interface Row extends Verdict {
  scenario: string;
  seed: number;
  seconds: number;
}

const COLUMNS: ReadonlyArray<readonly [title: string, width: number, cell: (row: Row) => string | number]> = [
  ['scenario', 34, ({ scenario }) => scenario],
  ['seed', 5, ({ seed }) => seed],
  ['accepted', 8, ({ accepted }) => accepted],
  ['confirmed', 9, ({ confirmed }) => confirmed],
  ['offers', 6, ({ offers }) => offers],
  ['chat', 4, ({ chat }) => chat],
  ['lost as allowed', 15, ({ lost }) => lost],
  ['violations', 10, ({ violations }) => violations.length],
  ['s', 5, ({ seconds }) => seconds.toFixed(1)],
  ['notes', 0, ({ notes }) => notes.join('; ')],
];
const print = (cells: ReadonlyArray<string | number>): void => {
  const padded = cells.map((cell, at) => {
    const width = COLUMNS[at]?.[1] ?? 0;
    return typeof cell === 'number' ? String(cell).padStart(width) : cell.padEnd(width);
  });
  console.log(padded.join('  '));
};

// Only an orderly end stops the processes of the engines.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

const queue = Array.from({ length: Number(values.seeds) }, (_, at) => from + at).flatMap((seed) =>
  SCENARIOS.filter(({ name }) => name.includes(values.only)).map((scenario) => ({ scenario, seed })),
);
const rows: Row[] = [];
print(COLUMNS.map(([title]) => title));

async function work(): Promise<void> {
  for (let next = queue.shift(); next && performance.now() < until; next = queue.shift()) {
    const { scenario, seed } = next;
    const began = performance.now();
    const verdict = await scenario.play(seed);
    const row = { ...verdict, scenario: scenario.name, seed, seconds: (performance.now() - began) / 1_000 };
    rows.push(row);
    print(COLUMNS.map(([, , cell]) => cell(row)));
    for (const violation of row.violations) console.log(`    ${violation}`);
  }
}

await Promise.all(Array.from({ length: Number(values.parallel) }, work));

const failed = rows.filter(({ violations }) => violations.length > 0);
const total = (of: (row: Row) => number): number => rows.reduce((sum, row) => sum + of(row), 0);
console.log(
  `\n${rows.length} runs, ${total(({ accepted }) => accepted)} accepted, ${total(({ confirmed }) => confirmed)} orders in the books, ${total(({ offers }) => offers)} offers from the waitlist, ${total(({ chat }) => chat)} chat messages, ${total(({ lost }) => lost)} lost as allowed, ${failed.length} runs with violations`,
);
for (const { scenario, seed } of failed)
  console.log(
    `again: node --import=tsx test/faults/long-run.ts --only ${JSON.stringify(scenario)} --from ${seed} --seeds 1`,
  );
process.exitCode = failed.length > 0 ? 1 : 0;
