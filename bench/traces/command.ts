/** `bench trace`: writes a synthetic chat recording, or describes a recording. */
import { readFileSync, writeFileSync } from 'node:fs';
import { count, FlagError, flagsHelp, optionalCount, readFlags, text, toggle } from '../scenarios/flags.ts';
import { SCRIPT_NAMES } from './graphemes.ts';
import { DEFAULT_PROFILE, profileOf } from './profile.ts';
import { describeTrace, LENGTH_QUANTILES, type TraceStatistics, WINDOWS_SECONDS } from './statistics.ts';
import { syntheticTrace } from './synthetic.ts';
import { parseTrace, type TraceMessage } from './trace.ts';

const FLAGS = {
  describe: text<string | null>(null, 'describe this recording and the synthetic one that imitates it', 'FILE'),
  like: text<string | null>(null, 'imitate the statistics (not the words) of this recording', 'FILE'),
  seconds: count(600, 'length of the synthetic recording', { max: 86_400 }),
  rate: optionalCount('messages a second on average (2, or as in --like)', { max: 10_000 }),
  seed: count(1, 'the same seed writes the same recording', { min: 0, max: 2 ** 31 - 1 }),
  out: text<string | null>(null, 'output file; default: standard output', 'FILE'),
  help: toggle('show this help'),
};

/** A longer recording is a mistake in the flags. */
const MESSAGES_MAX = 5_000_000;

interface Output {
  write(text: string): unknown;
}

/** Returns the exit code. Throws `FlagError` for unusable flags and files. */
export function runTrace(argv: readonly string[], output: Output): number {
  const flags = readFlags(FLAGS, argv);
  if (flags.help) {
    output.write(
      flagsHelp('stampede bench trace [flags]', 'Writes a chat recording for --trace, or describes one.', FLAGS),
    );
    return 0;
  }
  if (flags.describe !== null) {
    const recorded = statisticsOf(flags.describe, readRecording('--describe', flags.describe));
    const made = describeTrace(
      syntheticTrace({ profile: profileOf(recorded), seconds: Math.ceil(recorded.seconds), seed: flags.seed }),
    );
    output.write(
      statisticsTable([
        ['recorded', recorded],
        ['synthetic', made],
      ]),
    );
    return 0;
  }
  const found =
    flags.like === null ? DEFAULT_PROFILE : profileOf(statisticsOf(flags.like, readRecording('--like', flags.like)));
  const profile = flags.rate === null ? found : { ...found, perSecond: flags.rate };
  if (profile.perSecond * flags.seconds > MESSAGES_MAX)
    throw new FlagError(`${flags.seconds} s at ${profile.perSecond} a second are more than ${MESSAGES_MAX} messages`);
  const messages = syntheticTrace({ profile, seconds: flags.seconds, seed: flags.seed });
  const lines = traceLines(messages);
  if (flags.out === null) output.write(lines);
  else {
    writeFileSync(flags.out, lines);
    const people = new Set(messages.map(({ user }) => user)).size;
    output.write(
      `${flags.out}: ${messages.length} messages of ${people} people in ${flags.seconds} s (seed ${flags.seed})\n`,
    );
  }
  return 0;
}

export const traceLines = (messages: readonly TraceMessage[]): string =>
  messages.map(({ atMs, user, text: said }) => `${JSON.stringify({ at_ms: atMs, user, text: said })}\n`).join('');

function readRecording(flag: string, file: string): readonly TraceMessage[] {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    throw new FlagError(`${flag} ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { messages, mistakes } = parseTrace(content);
  if (mistakes.length > 0) throw new FlagError(mistakes.map((mistake) => `${flag} ${file}, ${mistake}`).join('\n'));
  return messages;
}

function statisticsOf(file: string, messages: readonly TraceMessage[]): TraceStatistics {
  try {
    return describeTrace(messages);
  } catch (error) {
    if (error instanceof RangeError) throw new FlagError(`${file}: ${error.message}`);
    throw error;
  }
}

/** One line per number, one column per recording. */
export function statisticsTable(columns: ReadonlyArray<readonly [name: string, statistics: TraceStatistics]>): string {
  const whole = (value: number): string => Math.round(value).toLocaleString('en');
  const fixed = (value: number): string => (Number.isNaN(value) ? '-' : value.toFixed(2));
  const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;
  const rows: ReadonlyArray<readonly [string, (statistics: TraceStatistics) => string]> = [
    ['messages', ({ messages }) => whole(messages)],
    ['people', ({ users }) => whole(users)],
    ['seconds', ({ seconds }) => whole(seconds)],
    ['messages a second', ({ perSecond }) => fixed(perSecond)],
    ['most in any second', ({ busiestSecond }) => whole(busiestSecond)],
    ['most in any 10 s', ({ busiestTenSeconds }) => whole(busiestTenSeconds)],
    ['longest silence, s', ({ longestGapSeconds }) => fixed(longestGapSeconds)],
    ['gaps: deviation / mean', ({ gapVariation }) => fixed(gapVariation)],
    ...WINDOWS_SECONDS.map(
      (window, i) =>
        [
          `counts in ${window} s: variance / mean`,
          ({ burstiness }: TraceStatistics) => fixed(burstiness[i] ?? Number.NaN),
        ] as const,
    ),
    ...LENGTH_QUANTILES.map(
      (quantile, i) =>
        [`length, ${quantile * 100} %`, ({ lengths }: TraceStatistics) => whole(lengths[i] ?? 0)] as const,
    ),
    ['said before', ({ repeatShare }) => percent(repeatShare)],
    ['with emoji', ({ emojiShare }) => percent(emojiShare)],
    ...SCRIPT_NAMES.map(
      (name) => [`script: ${name}`, ({ scripts }: TraceStatistics) => percent(scripts[name])] as const,
    ),
    ['by the busiest tenth', ({ busyTenthShare }) => percent(busyTenthShare)],
    ['by the busiest one', ({ busiestUserShare }) => percent(busiestUserShare)],
    ['wrote once, of people', ({ onceShare }) => percent(onceShare)],
  ];
  const label = Math.max(...rows.map(([name]) => name.length));
  const line = (name: string, cells: readonly string[]): string =>
    `${name.padEnd(label)}${cells.map((cell) => cell.padStart(12)).join('')}\n`;
  const head = columns.map(([name]) => name);
  const cells = (value: (statistics: TraceStatistics) => string): string[] =>
    columns.map(([, statistics]) => value(statistics));
  return line('', head) + rows.map(([name, value]) => line(name, cells(value))).join('');
}
