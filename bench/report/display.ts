/** Progress of a run: a block redrawn in place on a terminal, else a line every few seconds. */
import type { Writable } from 'node:stream';
import { createLogUpdate } from 'log-update';
import { plural, writeClock, writeDuration, writeMs, writeNumber, writePercent } from './numbers.ts';
import { clean, cut, fit, type Palette, padEnd, padStart, palette, type Span, widthOf } from './terminal-text.ts';

export interface DisplayProgress {
  readonly phase: string;
  readonly elapsedMs: number;
  /** Of the whole run; null if unknown. */
  readonly totalMs: number | null;
  readonly rates: ReadonlyArray<{ readonly name: string; readonly perSecond: number }>;
  /** Present values, such as viewers. */
  readonly gauges?: ReadonlyArray<{ readonly name: string; readonly value: number }>;
  readonly latencies: ReadonlyArray<{ readonly name: string; readonly p50Ms: number; readonly p99Ms: number }>;
  readonly errors: ReadonlyArray<{ readonly code: string; readonly count: number }>;
  readonly generator: { readonly cpuShare: number; readonly loopDelayP99Ms: number; readonly lateSends: number };
}

export interface DisplayOptions {
  readonly stream: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  /** Redraws in place. Default: the stream is a terminal that can, and CI is not set. */
  readonly interactive?: boolean;
  /** Interval of the lines if nothing is redrawn. Default 5,000. */
  readonly lineEveryMs?: number;
  readonly env?: NodeJS.ProcessEnv;
}

export interface Display {
  phase(name: string): void;
  progress(progress: DisplayProgress): void;
  /** Prints a permanent line. */
  line(text: string): void;
  /** Removes the block and restores the cursor. */
  done(): void;
}

const COLUMNS_ASSUMED = 80;
const NAME_COLUMNS_MAX = 18;
const NAME_COLUMNS_MIN = 8;
const AMOUNT_COLUMNS = 12;
const ROWS_PER_KIND_MAX = 6;
const SPARK_POINTS = 40;
const BAR_COLUMNS_MAX = 40;
const BLOCKS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/** Above this CPU share of its busiest process the generator is shown as a warning. */
const BUSY_SHARE = 0.8;

export function createDisplay(options: DisplayOptions): Display {
  const { stream, env = process.env } = options;
  const interactive = options.interactive ?? (stream.isTTY === true && env['TERM'] !== 'dumb' && !env['CI']);
  return interactive ? inPlace(stream, palette(true, env)) : inLines(stream, options.lineEveryMs ?? 5_000);
}

function inPlace(stream: DisplayOptions['stream'], colours: Palette): Display {
  const update = createLogUpdate(stream);
  const history = new Map<string, number[]>();
  let last: DisplayProgress | null = null;
  let phase = '';
  const draw = (): void => {
    const columns = stream.columns ?? COLUMNS_ASSUMED;
    if (last) update(block({ ...last, phase: phase || last.phase }, history, columns, colours).join('\n'));
  };
  return {
    phase(name) {
      phase = name;
      draw();
    },
    progress(progress) {
      last = progress;
      phase = progress.phase;
      for (const { name, perSecond } of progress.rates)
        history.set(name, [...(history.get(name) ?? []), perSecond].slice(-SPARK_POINTS));
      draw();
    },
    line(text) {
      update.persist(clean(text));
      draw();
    },
    done() {
      last = null;
      update.clear();
      update.done();
    },
  };
}

type History = ReadonlyMap<string, readonly number[]>;

/** Returns the lines of the block, none wider than `columns`. */
function block(progress: DisplayProgress, history: History, columns: number, colours: Palette): string[] {
  const { dim, bold, red, yellow, cyan } = colours;
  const nameColumns = Math.min(NAME_COLUMNS_MAX, Math.max(NAME_COLUMNS_MIN, Math.floor(columns / 4)));
  const row = (name: string, ...rest: Span[]): string =>
    fit([{ text: ` ${padEnd(cut(clean(name), nameColumns), nameColumns)} ` }, ...rest], columns);
  const rest = (shown: number, what: string): string[] => {
    const more = fit([{ text: ` … and ${shown - ROWS_PER_KIND_MAX} more ${what}`, paint: dim }], columns);
    return shown > ROWS_PER_KIND_MAX ? [more] : [];
  };
  const amountOf = (text: string): Span => ({ text: padStart(text, AMOUNT_COLUMNS), paint: bold });
  const { rates, gauges = [], latencies, errors, generator } = progress;
  const present = gauges.map(({ name, value }) => `${writeNumber(value)} ${clean(name)}`);
  const sparkColumns = Math.max(1, columns - nameColumns - AMOUNT_COLUMNS - 4);
  return [
    '',
    heading(progress, columns, colours),
    ...(gauges.length === 0 ? [] : [row('now', { text: present.join(', ') })]),
    ...rates.slice(0, ROWS_PER_KIND_MAX).map(({ name, perSecond }) => {
      const curve = sparkline((history.get(name) ?? []).slice(-sparkColumns));
      return row(name, amountOf(`${writeNumber(Math.round(perSecond))}/s`), { text: `  ${curve}`, paint: cyan });
    }),
    ...rest(rates.length, 'rates'),
    ...latencies.slice(0, ROWS_PER_KIND_MAX).map(({ name, p50Ms, p99Ms }) => {
      const p99 = [
        { text: writeMs(p99Ms), paint: bold },
        { text: ' p99', paint: dim },
      ];
      return row(name, amountOf(writeMs(p50Ms)), { text: ' p50  ', paint: dim }, ...p99);
    }),
    ...rest(latencies.length, 'latencies'),
    ...(errors.length === 0 ? [] : [row('refused', { text: writeErrors(errors), paint: yellow })]),
    row('generator', { text: writeGenerator(generator), paint: generator.cpuShare >= BUSY_SHARE ? red : dim }),
  ];
}

function heading(progress: DisplayProgress, columns: number, { bold, dim, green }: Palette): string {
  const { phase, elapsedMs, totalMs } = progress;
  const spans: Span[] = [{ text: ` ${clean(phase)}`, paint: bold }, { text: `  ${writeClock(elapsedMs)}` }];
  if (totalMs === null || totalMs <= 0) return fit(spans, columns);
  const share = Math.min(1, Math.max(0, elapsedMs / totalMs));
  spans.push({ text: ` of ${writeClock(totalMs)}  ` });
  const percent: Span = { text: ` ${padStart(String(Math.floor(share * 100)), 3)} %`, paint: dim };
  const used = [...spans, percent].reduce((sum, span) => sum + widthOf(span.text), 0);
  const length = Math.min(BAR_COLUMNS_MAX, columns - used);
  const full = Math.round(share * length);
  // A narrower bar would be useless.
  if (length >= 6)
    spans.push({ text: '━'.repeat(full), paint: green }, { text: '─'.repeat(length - full), paint: dim });
  return fit([...spans, percent], columns);
}

/** Scales from zero to the highest value. */
export function sparkline(values: readonly number[]): string {
  const highest = Math.max(...values, 0);
  const levels = values.map((value) => (highest === 0 ? 0 : Math.ceil((value / highest) * 8) - 1));
  return levels.map((level) => BLOCKS[Math.max(0, Math.min(7, level))]).join('');
}

function writeErrors(errors: DisplayProgress['errors']): string {
  const sorted = [...errors].sort((a, b) => b.count - a.count);
  const shown = sorted.slice(0, ROWS_PER_KIND_MAX).map(({ code, count }) => `${clean(code)} ${writeNumber(count)}`);
  const left = sorted.length - ROWS_PER_KIND_MAX;
  return [...shown, ...(left > 0 ? [`${left} more codes`] : [])].join(', ');
}

const writeGenerator = ({ cpuShare, loopDelayP99Ms, lateSends }: DisplayProgress['generator']): string =>
  `${writePercent(cpuShare)} of a core, loop p99 ${writeMs(loopDelayP99Ms)}, ${plural(lateSends, 'late send')}`;

function inLines(stream: DisplayOptions['stream'], everyMs: number): Display {
  let phase = '';
  let nextAtMs = Number.NEGATIVE_INFINITY;
  const write = (text: string): void => void stream.write(`${clean(text)}\n`);
  const enter = (name: string): void => {
    if (name === phase) return;
    phase = name;
    nextAtMs = Number.NEGATIVE_INFINITY;
    write(`-- ${name}`);
  };
  return {
    phase: enter,
    progress(progress) {
      enter(progress.phase);
      if (progress.elapsedMs < nextAtMs) return;
      nextAtMs = progress.elapsedMs + everyMs;
      write(plainLine(progress));
    },
    line: write,
    done() {},
  };
}

function plainLine({ elapsedMs, totalMs, rates, gauges = [], latencies, errors, generator }: DisplayProgress): string {
  const parts = [
    totalMs === null ? writeDuration(elapsedMs) : `${writeDuration(elapsedMs)} of ${writeDuration(totalMs)}`,
    gauges.map(({ name, value }) => `${name} ${writeNumber(value)}`).join(', '),
    rates.map(({ name, perSecond }) => `${name} ${writeNumber(Math.round(perSecond))}/s`).join(', '),
    latencies.map(({ name, p50Ms, p99Ms }) => `${name} p50 ${writeMs(p50Ms)} p99 ${writeMs(p99Ms)}`).join(', '),
    errors.length === 0 ? '' : `refused: ${writeErrors(errors)}`,
    `generator: ${writeGenerator(generator)}`,
  ];
  return parts.filter((part) => part !== '').join(' | ');
}
