/** `bench trace`: writes a synthetic chat recording, or describes a recording. */
import { writeFileSync } from 'node:fs';
import { count, FlagError, flagsHelp, optionalCount, readFlags, text, toggle } from '../scenarios/flags.ts';
import { SCRIPT_NAMES } from './graphemes.ts';
import { DEFAULT_PROFILE, profileOf } from './profile.ts';
import { describeTrace, LENGTH_QUANTILES, type TraceStatistics, WINDOWS_SECONDS } from './statistics.ts';
import { syntheticTrace } from './synthetic.ts';
import { readTrace, type TraceMessage } from './trace.ts';

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

/** Returns the exit code. Throws `FlagError` for unusable flags and files. */
export function runTrace(argv: readonly string[], output: { write(text: string): unknown }): number {
  const flags = readFlags(FLAGS, argv);
  if (flags.help) {
    const about = 'Writes a chat recording for --trace, or describes one.';
    output.write(flagsHelp('stampede bench trace [flags]', about, FLAGS));
    return 0;
  }
  if (flags.describe !== null) {
    const recorded = describeTrace(readTrace('--describe', flags.describe));
    const options = { profile: profileOf(recorded), seconds: Math.ceil(recorded.seconds), seed: flags.seed };
    output.write(statisticsTable({ recorded, synthetic: describeTrace(syntheticTrace(options)) }));
    return 0;
  }
  const found = flags.like === null ? DEFAULT_PROFILE : profileOf(describeTrace(readTrace('--like', flags.like)));
  const profile = flags.rate === null ? found : { ...found, perSecond: flags.rate };
  if (profile.perSecond * flags.seconds > MESSAGES_MAX)
    throw new FlagError(`${flags.seconds} s at ${profile.perSecond} a second are more than ${MESSAGES_MAX} messages`);
  const messages = syntheticTrace({ profile, seconds: flags.seconds, seed: flags.seed });
  const lines = traceLines(messages);
  if (flags.out === null) output.write(lines);
  else {
    writeFileSync(flags.out, lines);
    const people = new Set(messages.map(({ user }) => user)).size;
    const made = `${messages.length} messages of ${people} people in ${flags.seconds} s`;
    output.write(`${flags.out}: ${made} (seed ${flags.seed})\n`);
  }
  return 0;
}

export const traceLines = (messages: readonly TraceMessage[]): string =>
  messages.map(({ atMs, user, text: said }) => `${JSON.stringify({ at_ms: atMs, user, text: said })}\n`).join('');

const whole = (value: number): string => Math.round(value).toLocaleString('en');
const fixed = (value = Number.NaN): string => (Number.isNaN(value) ? '-' : value.toFixed(2));
const percent = (value: number): string => `${(value * 100).toFixed(1)} %`;

const rowsOf = (of: TraceStatistics): Array<readonly [name: string, value: string]> => [
  ['messages', whole(of.messages)],
  ['people', whole(of.users)],
  ['seconds', whole(of.seconds)],
  ['messages a second', fixed(of.perSecond)],
  ['most in any second', whole(of.busiestSecond)],
  ['most in any 10 s', whole(of.busiestTenSeconds)],
  ['longest silence, s', fixed(of.longestGapSeconds)],
  ['gaps: deviation / mean', fixed(of.gapVariation)],
  ...WINDOWS_SECONDS.map((s, i) => [`counts in ${s} s: variance / mean`, fixed(of.burstiness[i])] as const),
  ...LENGTH_QUANTILES.map((part, i) => [`length, ${part * 100} %`, whole(of.lengths[i] ?? 0)] as const),
  ['said before', percent(of.repeatShare)],
  ['with emoji', percent(of.emojiShare)],
  ...SCRIPT_NAMES.map((name) => [`script: ${name}`, percent(of.scripts[name])] as const),
  ['by the busiest tenth', percent(of.busyTenthShare)],
  ['by the busiest one', percent(of.busiestUserShare)],
  ['wrote once, of people', percent(of.onceShare)],
];

function statisticsTable(columns: Readonly<Record<string, TraceStatistics>>): string {
  const values = Object.values(columns).map(rowsOf);
  const names = (values[0] ?? []).map(([name]) => name);
  const label = Math.max(...names.map((name) => name.length));
  const line = (name: string, cells: readonly string[]): string =>
    `${name.padEnd(label)}${cells.map((cell) => cell.padStart(12)).join('')}\n`;
  const cellsOf = (i: number): string[] => values.map((column) => column[i]?.[1] ?? '');
  const rows = names.map((name, i) => line(name, cellsOf(i)));
  return line('', Object.keys(columns)) + rows.join('');
}
