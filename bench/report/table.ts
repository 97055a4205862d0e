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
  const sections = [
    verdictLines(result, paper),
    figureLines(result, paper),
    latencyLines(result, paper),
    refusalLines(result, paper),
    checkLines(result, paper),
    resourceLines(result, paper),
    textLines('notes', result.notes, paper),
    runLines(result, paper, options.files),
  ];
  return `${sections
    .filter((section) => section.length > 0)
    .map((section) => section.join('\n'))
    .join('\n\n')}\n`;
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
  return titled(
    `figures${isTrusted(result) ? ', median and spread' : ' (not reliable: the generator was the bottleneck)'}`,
    grid(rows, ['left', 'right', 'left'], paper),
    paper,
  );
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
  const levels = result.verdict.levels.flatMap(({ ok, flag, wanted, measured }) =>
    line(ok, `${flag} ${wanted}: measured ${measured}`),
  );
  return [
    ...titled('checks', checks, paper),
    ...(checks.length > 0 && levels.length > 0 ? [''] : []),
    ...titled(
      `service levels${isTrusted(result) ? '' : ' (not judged: the generator was the bottleneck)'}`,
      levels,
      paper,
    ),
  ];
}

function resourceLines({ generator, server, seconds }: BenchResult, paper: Paper): string[] {
  const cores = (cpuSeconds: number): string =>
    seconds > 0 ? `${writeNumber(Math.round((cpuSeconds / seconds) * 100) / 100)} cores` : '';
  const row = (name: string, cpuSeconds: number, memory: string): string[] => [
    name,
    `${writeNumber(cpuSeconds)} CPU s`,
    cores(cpuSeconds),
    memory,
  ];
  const rows = [
    ...(generator ? [row(`generator, ${processesOf(generator)}`, generator.cpuSeconds, '')] : []),
    ...(server?.processes ?? []).map(({ name, cpuSeconds, memoryMiB }) =>
      row(name, cpuSeconds, `${writeNumber(memoryMiB)} MiB`),
    ),
  ];
  const lines = grid(rows, ['left', 'right', 'right', 'right'], paper);
  if (generator)
    lines.push(
      `  generator: busiest process ${writePercent(generator.busiestShare)} of a core, ` +
        `loop delay p99 ${writeMs(generator.loopDelayP99Ms)}, ` +
        `${writeNumber(generator.lateSends)} of ${writeNumber(generator.sends)} sends late`,
    );
  return titled('resource use', lines, paper);
}

function runLines(
  { startedAt, seconds, seed, commit, version, machine, target, command }: BenchResult,
  { colours }: Paper,
  files: TableOptions['files'],
): string[] {
  const lines = [
    `${startedAt}, ${writeDuration(seconds * 1000)}, seed ${seed}, ${version} at commit ${commit}`,
    machineOf(machine),
    `target ${target.url}${target.own ? ' (started for this run)' : ''}` +
      (target.redis === undefined ? '' : `, Redis ${target.redis}`),
    `repeat: ${command}`,
  ];
  return [
    ...lines.map((line) => colours.dim(clean(line))),
    ...(files ? [`report: ${clean(files.html)}`, `data:   ${clean(files.json)}`] : []),
  ];
}

const textLines = (title: string, texts: readonly string[], paper: Paper): string[] =>
  titled(
    title,
    texts.flatMap((text) => wrap(clean(text), paper.columns, '  - ')),
    paper,
  );

const titled = (title: string, lines: readonly string[], { colours }: Paper): string[] =>
  lines.length === 0 ? [] : [colours.bold(title), ...lines];

/** Lays out columns; the first one wraps if the names are long. */
function grid(
  rows: ReadonlyArray<readonly string[]>,
  sides: ReadonlyArray<'left' | 'right'>,
  { columns }: Paper,
): string[] {
  const cells = rows.map((row) => row.map(clean));
  const widths = sides.map((_, at) => Math.max(0, ...cells.map((row) => widthOf(row[at] ?? ''))));
  const nameColumns = Math.min(
    widths[0] ?? 0,
    NAME_COLUMNS_MAX,
    Math.max(12, columns - widths.slice(1).reduce((sum, width) => sum + width + 2, 2)),
  );
  return cells.flatMap(([name = '', ...rest]) => {
    const [first = '', ...more] = wrap(name, nameColumns);
    const line = rest.map((cell, at) =>
      sides[at + 1] === 'right' ? padStart(cell, widths[at + 1] ?? 0) : padEnd(cell, widths[at + 1] ?? 0),
    );
    return [`  ${[padEnd(first, nameColumns), ...line].join('  ')}`.trimEnd(), ...more.map((entry) => `    ${entry}`)];
  });
}
