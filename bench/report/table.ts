/** The result of a run in the terminal: the verdict first, then the evidence. */
import {
  machineOf,
  processesOf,
  spreadOf,
  writeAmount,
  writeDuration,
  writeMs,
  writeNumber,
  writePercent,
  writeSpread,
} from './numbers.ts';
import { isTrusted, outcomeOf } from './outcome.ts';
import type { BenchResult } from './result.ts';
import { clean, type Palette, padEnd, padStart, palette, widthOf, wrap } from './terminal-text.ts';

export interface TableOptions {
  readonly colour?: boolean;
  /** Width of long texts. Default 120. */
  readonly columns?: number;
  readonly files?: { readonly json: string; readonly html: string };
}

const NAME_COLUMNS_MAX = 44;

/** Returns text that ends with a line feed. */
export function renderTable(result: BenchResult, options: TableOptions = {}): string {
  const paper: Paper = { colours: palette(options.colour ?? false), columns: options.columns ?? 120 };
  const parts = [verdictLines, figureLines, latencyLines, refusalLines, checkLines, resourceLines, noteLines];
  const sections = [...parts.map((lines) => lines(result, paper)), runLines(result, paper, options.files)];
  const shown = sections.filter((section) => section.length > 0);
  return `${shown.map((section) => section.join('\n')).join('\n\n')}\n`;
}

type Paper = { readonly colours: Palette; readonly columns: number };

function verdictLines(result: BenchResult, { colours, columns }: Paper): string[] {
  const { status, headline, sentence, reasons } = outcomeOf(result);
  const paint = { PASS: colours.green, FAIL: colours.red, UNTRUSTED: colours.yellow }[status];
  return [
    `${paint(colours.bold(status))}  ${clean(result.scenario)}: ${headline} ${sentence}`,
    ...reasons.flatMap((reason) => wrap(clean(reason), columns, '  - ')),
  ];
}

function figureLines(result: BenchResult, paper: Paper): string[] {
  const rows = result.figures.map((figure) => {
    const spread = spreadOf(figure);
    if (!spread) return [figure.name, 'not measured', ''];
    return [figure.name, writeAmount(spread.median, figure.unit), writeSpread(spread)];
  });
  const about = isTrusted(result) ? ', median and spread' : ' (not reliable: the generator was the bottleneck)';
  return titled(`figures${about}`, grid(rows, ['left', 'right', 'left'], paper), paper);
}

function latencyLines({ latencies }: BenchResult, paper: Paper): string[] {
  if (latencies.length === 0) return [];
  const rows = latencies.map((entry) => [
    entry.name,
    ...[entry.p50Ms, entry.p90Ms, entry.p99Ms, entry.p999Ms, entry.p9999Ms, entry.maxMs].map(writeNumber),
    writeNumber(entry.count),
  ]);
  const head = ['', 'p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max', 'count'];
  const [first = '', ...lines] = grid([head, ...rows], ['left', ...head.slice(1).map(() => 'right' as const)], paper);
  return titled('latency, ms', [paper.colours.dim(first), ...lines], paper);
}

function refusalLines({ refusals }: BenchResult, paper: Paper): string[] {
  const rows = [...refusals].sort((a, b) => b.count - a.count).map(({ code, count }) => [code, writeNumber(count)]);
  return titled('refusals', grid(rows, ['left', 'right'], paper), paper);
}

function checkLines(result: BenchResult, paper: Paper): string[] {
  const { green, red } = paper.colours;
  const mark = (ok: boolean): string => (ok ? green('ok    ') : red('FAILED'));
  const line = (ok: boolean, text: string): string[] => {
    const [first = '', ...rest] = wrap(clean(text), paper.columns - 9);
    return [`  ${mark(ok)} ${first}`, ...rest.map((entry) => `         ${entry}`)];
  };
  const checks = result.verdict.checks.flatMap(({ ok, promise, name, detail }) =>
    line(ok, `${promise === undefined ? '' : `${promise} `}${name}${detail === '' ? '' : `: ${detail}`}`),
  );
  const levels = result.verdict.levels.flatMap((level) => {
    return line(level.ok, `${level.flag} ${level.wanted}: measured ${level.measured}`);
  });
  const between = checks.length > 0 && levels.length > 0 ? [''] : [];
  const why = isTrusted(result) ? '' : ' (not judged: the generator was the bottleneck)';
  return [...titled('checks', checks, paper), ...between, ...titled(`service levels${why}`, levels, paper)];
}

function resourceLines({ generator, server, seconds }: BenchResult, paper: Paper): string[] {
  const row = (name: string, cpuSeconds: number, memory: string): string[] => {
    const cores = seconds > 0 ? `${writeNumber(Math.round((cpuSeconds / seconds) * 100) / 100)} cores` : '';
    return [name, `${writeNumber(cpuSeconds)} CPU s`, cores, memory];
  };
  const own = generator ? [row(`generator, ${processesOf(generator)}`, generator.cpuSeconds, '')] : [];
  const processes = server?.processes ?? [];
  const rows = [...own, ...processes.map((one) => row(one.name, one.cpuSeconds, `${writeNumber(one.memoryMiB)} MiB`))];
  const lines = grid(rows, ['left', 'right', 'right', 'right'], paper);
  if (generator)
    lines.push(
      `  generator: busiest process ${writePercent(generator.busiestShare)} of a core, ` +
        `loop delay p99 ${writeMs(generator.loopDelayP99Ms)}, ` +
        `${writeNumber(generator.lateSends)} of ${writeNumber(generator.sends)} sends late`,
    );
  return titled('resource use', lines, paper);
}

function runLines(result: BenchResult, { colours }: Paper, files: TableOptions['files']): string[] {
  const { startedAt, seconds, seed, commit, version, machine, target, command } = result;
  const lines = [
    `${startedAt}, ${writeDuration(seconds * 1000)}, seed ${seed}, ${version} at commit ${commit}`,
    machineOf(machine),
    `target ${target.url}${target.own ? ' (started for this run)' : ''}` +
      (target.redis === undefined ? '' : `, Redis ${target.redis}`),
    `repeat: ${command}`,
  ];
  const named = files ? [`report: ${clean(files.html)}`, `data:   ${clean(files.json)}`] : [];
  return [...lines.map((line) => colours.dim(clean(line))), ...named];
}

function noteLines({ notes }: BenchResult, paper: Paper): string[] {
  const lines = notes.flatMap((note) => wrap(clean(note), paper.columns, '  - '));
  return titled('notes', lines, paper);
}

const titled = (title: string, lines: readonly string[], { colours }: Paper): string[] =>
  lines.length === 0 ? [] : [colours.bold(title), ...lines];

/** Lays out columns; the first one wraps if the names are long. */
type Side = 'left' | 'right';
function grid(rows: ReadonlyArray<readonly string[]>, sides: readonly Side[], { columns }: Paper): string[] {
  const cells = rows.map((row) => row.map(clean));
  const widths = sides.map((_, at) => Math.max(0, ...cells.map((row) => widthOf(row[at] ?? ''))));
  const left = columns - widths.slice(1).reduce((sum, width) => sum + width + 2, 2);
  const nameColumns = Math.min(widths[0] ?? 0, NAME_COLUMNS_MAX, Math.max(12, left));
  return cells.flatMap(([name = '', ...rest]) => {
    const [first = '', ...more] = wrap(name, nameColumns);
    const line = rest.map((cell, at) => (sides[at + 1] === 'right' ? padStart : padEnd)(cell, widths[at + 1] ?? 0));
    return [`  ${[padEnd(first, nameColumns), ...line].join('  ')}`.trimEnd(), ...more.map((entry) => `    ${entry}`)];
  });
}
