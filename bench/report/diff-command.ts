/** `bench diff A.json B.json`, `bench diff A1.json A2.json -- B1.json B2.json`. */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandDefinition, commandHelp, readCommandLine } from '../../src/config/command-line.ts';
import { diffResults } from './diff.ts';
import { renderDiff } from './diff-text.ts';
import { ResultFileError, readResult } from './files.ts';
import type { BenchResult } from './result.ts';

type DiffOutput = { write(text: string): unknown; readonly isTTY?: boolean };

const ALPHA_HELP = 'probability, in percent and per figure, of reporting noise as a difference (default: 5)';
const COMMAND: CommandDefinition = {
  usage: 'stampede bench diff <A.json> <B.json> [flags]',
  description: 'Shows what became better or worse from A to B, and whether that is more than noise.',
  flags: {
    threshold: { placeholder: 'P', help: 'ignore changes of a median below P percent (default: 5)' },
    alpha: { placeholder: 'P', help: ALPHA_HELP },
    anyway: { placeholder: null, help: 'compare although scenario or parameters differ' },
    json: { placeholder: null, help: 'print the comparison as JSON' },
  },
  notes: `
With several results per side: stampede bench diff A1.json A2.json ... -- B1.json B2.json ... [flags]

A folder means all results in it. Every round of every result is one run of its side. Alternate the
sides (A B A B) on one machine, so that a slow hour affects both. A result whose load generator was
the bottleneck is ignored and named.

Exit code: 0 no regression (or too few runs to say), 1 regression, 2 not compared.`,
};
const helpPage = (): string => `${commandHelp(COMMAND)}\n`;

/** `argv` is what follows `diff`. Returns the exit code. */
export async function runDiff(argv: readonly string[], out: DiffOutput): Promise<number> {
  if (argv.includes('--help') || argv.includes('-h')) {
    out.write(helpPage());
    return 0;
  }
  const asked = readArguments(argv);
  if (typeof asked === 'string') {
    out.write(`${asked}\n\n${helpPage()}`);
    return 2;
  }
  const { pathsA, pathsB, options, anyway, json } = asked;
  try {
    const diff = diffResults(readSide(pathsA), readSide(pathsB), options);
    out.write(json ? `${JSON.stringify(diff, null, 2)}\n` : renderDiff(diff, { anyway, colour: out.isTTY === true }));
    if (!diff.comparable && !anyway) return 2;
    return diff.regression ? 1 : 0;
  } catch (error) {
    if (!(error instanceof ResultFileError || error instanceof RangeError)) throw error;
    out.write(`${error.message}\n`);
    return 2;
  }
}

/** A bare `--` separates the sides; without it, the first path is A and the second B. */
function readArguments(argv: readonly string[]) {
  const cut = argv.indexOf('--');
  const before = readCommandLine(COMMAND, cut < 0 ? argv : argv.slice(0, cut), true);
  const after = readCommandLine(COMMAND, cut < 0 ? [] : argv.slice(cut + 1), true);
  const errors = [...before.errors, ...after.errors];
  if (errors.length > 0) return errors.map(({ source, problem }) => `${source} ${problem}`).join('\n');
  const first = before.operands;
  const [pathsA, pathsB] = cut < 0 ? [first.slice(0, 1), first.slice(1)] : [first, after.operands];
  const values = new Map([...before.values, ...after.values]);
  const percentage = (flag: string): number => Number(values.get(flag) ?? 5) / 100;
  const [threshold, alpha] = [percentage('threshold'), percentage('alpha')];
  if (cut < 0 && first.length !== 2)
    return `expected two results, got ${first.length}; separate several results per side with a bare --`;
  if (pathsA.length === 0 || pathsB.length === 0) return 'a side has no result';
  if (!(threshold >= 0 && threshold <= 10)) return '--threshold is a percentage from 0 to 1000';
  if (!(alpha > 0 && alpha < 1)) return '--alpha is a percentage between 0 and 100';
  return { pathsA, pathsB, options: { threshold, alpha }, anyway: values.has('anyway'), json: values.has('json') };
}

/** Reads the results in order of time. A file named twice would count twice: throws RangeError. */
function readSide(paths: readonly string[]): BenchResult[] {
  const files = paths.flatMap(filesOf);
  const twice = files.find((file, at) => files.findIndex((other) => sameFile(other, file)) < at);
  if (twice !== undefined) throw new RangeError(`${twice}: named twice on one side`);
  return files.map(readResult).sort((x, y) => Date.parse(x.startedAt) - Date.parse(y.startedAt));
}

/** The results of a folder, or the path itself if it is not a folder. */
function filesOf(path: string): string[] {
  if (!(statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false)) return [path];
  const names = readdirSync(path).filter((name) => name.endsWith('.json'));
  if (names.length === 0) throw new RangeError(`${path}: a folder without results`);
  return names.map((name) => join(path, name));
}

const sameFile = (x: string, y: string): boolean =>
  x === y || (existsSync(x) && existsSync(y) && realpathSync(x) === realpathSync(y));
