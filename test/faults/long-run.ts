/**
 * Many seeds of every scenario, outside CI: `node --import=tsx test/faults/long-run.ts --seeds 50`.
 * Prints a table. The exit code is 1 if there is a violation; `--help` lists the flags.
 */
import { count, flagsHelp, readFlags, text, toggle } from '../../bench/scenarios/flags.ts';
import * as connections from './connection-scenarios.ts';
import * as failovers from './failover-scenarios.ts';
import * as permissions from './permission-scenarios.ts';
import * as processes from './process-scenarios.ts';
import * as redis from './redis-scenarios.ts';
import * as rules from './rule-scenarios.ts';
import type { Verdict } from './run-checker.ts';
import type { Scenario } from './scenario.ts';

/** The longest first, so that a parallel run ends evenly. */
const SCENARIOS = [processes, permissions, failovers, redis, connections, rules].flatMap((part) =>
  Object.values<Scenario>(part),
);
const FLAGS = {
  seeds: count(50, 'seeds of each scenario'),
  from: count(1, 'the first seed'),
  only: text('', 'scenarios whose name contains the text'),
  parallel: count(2, 'engines at the same time'),
  minutes: count(600, 'start no run after this time'),
  help: toggle('show this help'),
};
const { seeds, from, only, parallel, minutes, help } = readFlags(FLAGS, process.argv.slice(2));
if (help) {
  console.log(flagsHelp('test/faults/long-run.ts [flags]', 'Runs every fault scenario with many seeds.', FLAGS));
  process.exit(0);
}
const until = performance.now() + minutes * 60_000;

type Row = Verdict & { scenario: string; seed: number; seconds: number };
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

const queue = Array.from({ length: seeds }, (_, at) => from + at).flatMap((seed) =>
  SCENARIOS.filter(({ name }) => name.includes(only)).map((scenario) => ({ scenario, seed })),
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

await Promise.all(Array.from({ length: parallel }, work));

const failed = rows.filter(({ violations }) => violations.length > 0);
const total = (count: (row: Row) => number): number => rows.reduce((sum, row) => sum + count(row), 0);
const totals = [
  `${rows.length} runs`,
  `${total(({ accepted }) => accepted)} accepted`,
  `${total(({ confirmed }) => confirmed)} orders in the books`,
  `${total(({ offers }) => offers)} offers from the waitlist`,
  `${total(({ chat }) => chat)} chat messages`,
  `${total(({ lost }) => lost)} lost as allowed`,
  `${failed.length} runs with violations`,
];
console.log(`\n${totals.join(', ')}`);
const AGAIN = 'node --import=tsx test/faults/long-run.ts --seeds 1';
for (const { scenario, seed } of failed)
  console.log(`again: ${AGAIN} --only ${JSON.stringify(scenario)} --from ${seed}`);
process.exitCode = failed.length > 0 ? 1 : 0;
