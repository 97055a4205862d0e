/** Renders a comparison as text. */
import { type Diff, type FigureDiff, runsNeeded, type Side } from './diff.ts';
import { plural, type Spread, writeAmount, writeNumber } from './numbers.ts';
import { clean, cut, type Palette, padEnd, padStart, palette, widthOf } from './terminal-text.ts';

const NAME_COLUMNS_MAX = 40;

/** Returns text that ends with a line feed. `anyway` shows figures although the load differs. */
export function renderDiff(diff: Diff, { colour = false, anyway = false } = {}): string {
  const colours = palette(colour);
  const shown = diff.comparable || anyway;
  const sides = [`A  ${writeSide(diff.a)}`, `B  ${writeSide(diff.b)}`];
  const causes = [...differenceLines(diff, colours), ...bottleneckLines(diff, colours)];
  const found = [...figureLines(diff, colours), ...onlyLines(diff), ...checkLines(diff, colours)];
  const end = shown ? [...found, '', summary(diff, colours)] : ['', refusal(colours)];
  return `${[...sides, ...causes, ...end].join('\n')}\n`;
}

function writeSide({ scenario, startedAt, commit }: Side): string {
  const [first = ''] = startedAt;
  const when = startedAt.length === 1 ? first : `${startedAt.length} results from ${first} to ${startedAt.at(-1)}`;
  return clean(`${scenario}, ${when}, commit ${commit}`);
}

function differenceLines({ differences }: Diff, { bold, yellow }: Palette): string[] {
  if (differences.length === 0) return ['', 'Same scenario, parameters, seed, machine and commit.'];
  const width = Math.max(...differences.map(({ what }) => widthOf(clean(what))));
  const lines = differences.map(({ what, a, b, blocks }) => {
    const line = `  ${padEnd(clean(what), width)}  ${clean(a)} -> ${clean(b)}`;
    return blocks ? yellow(line) : line;
  });
  return ['', bold('not the same'), ...lines];
}

const refusal = ({ red, bold }: Palette): string =>
  `${red(bold('NOT COMPARED'))}  The load differs, so the figures mean different things (--anyway shows them).`;

const bottleneckLines = ({ a, b }: Diff, { yellow }: Palette): string[] =>
  Object.entries({ A: a, B: b }).flatMap(([side, { bottlenecks, leftOut }]) => {
    const was = 'the load generator was the bottleneck';
    const lines = bottlenecks.map((reason) => `In ${side} ${was} (${reason}): its numbers are not reliable.`);
    if (leftOut.length > 0) lines.push(`Left out of ${side}, because ${was}: ${leftOut.join(', ')}.`);
    return lines.map((line) => yellow(clean(line)));
  });

function figureLines({ figures }: Diff, colours: Palette): string[] {
  if (figures.length === 0) return ['', 'No figure was measured in both.'];
  const side = (spread: Spread, unit: string) => [writeAmount(spread.median, unit), writeFarthest(spread)];
  const cells = figures.map(({ name, unit, a, b, p, change }) => [
    cut(clean(name), NAME_COLUMNS_MAX),
    ...[...side(a, unit), ...side(b, unit), writeChange(change)],
    p === null ? '' : `p ${p < 0.001 ? '< 0.001' : `= ${p.toFixed(3)}`}`,
    `${a.runs} + ${b.runs}`,
  ]);
  const head = ['', 'A, median', 'spread', 'B, median', 'spread', 'change', 'rank test', 'runs'];
  const widths = head.map((_, at) => Math.max(...[head, ...cells].map((row) => widthOf(row[at] ?? ''))));
  const line = (row: readonly string[], last: string): string => {
    const cells = row.map((cell, at) => (at === 0 ? padEnd : padStart)(cell, widths[at] ?? 0));
    return `  ${cells.join('  ')}  ${last}`.trimEnd();
  };
  const rows = figures.map((figure, at) => line(cells[at] ?? [], writeVerdict(figure, colours)));
  return ['', colours.bold('figures'), colours.dim(line(head, '')), ...rows];
}

/** The largest distance of a run from the median. */
function writeFarthest({ median, lowest, highest, runs }: Spread): string {
  if (runs === 1 || median === 0) return '';
  const share = Math.max(highest - median, median - lowest) / Math.abs(median);
  return `+-${writeNumber(Math.round(share * 1000) / 10)} %`;
}

function writeChange(change: FigureDiff['change']): string {
  if (change === null) return 'from zero';
  const percent = Math.abs(change) >= 1 ? change * 100 : Math.round(change * 1000) / 10;
  return `${percent > 0 ? '+' : ''}${writeNumber(percent)} %`;
}

function writeVerdict({ verdict, why }: FigureDiff, { green, red, yellow, dim }: Palette): string {
  const text = clean(why);
  return {
    better: green(`better, ${text}`),
    worse: red(`WORSE, ${text}`),
    changed: yellow(`changed, ${text}`),
    same: dim(text),
    inconclusive: yellow(text),
  }[verdict];
}

const onlyLines = ({ onlyInA, onlyInB }: Diff): string[] => [
  ...(onlyInA.length > 0 ? [clean(`  only in A: ${onlyInA.join(', ')}`)] : []),
  ...(onlyInB.length > 0 ? [clean(`  only in B: ${onlyInB.join(', ')}`)] : []),
];

function checkLines({ checks }: Diff, colours: Palette): string[] {
  if (checks.length === 0) return [];
  const { red, green, yellow, bold } = colours;
  const words = { broke: red('BROKE       '), fixed: green('fixed       '), still_broken: yellow('still broken') };
  const lines = checks.map(({ name, change, detail }) => {
    return `  ${words[change]} ${clean(detail === '' ? name : `${name}: ${detail}`)}`;
  });
  return ['', bold('checks'), ...lines];
}

function summary({ figures, checks, regression, options }: Diff, { bold, green, red, yellow }: Palette): string {
  const { alpha, threshold } = options;
  const found = (wanted: FigureDiff['verdict'], words: string = wanted): string[] => {
    const count = figures.filter(({ verdict }) => verdict === wanted).length;
    return count > 0 ? [`${count} ${words}`] : [];
  };
  const tested = figures.filter(({ p }) => p !== null).length;
  const broke = checks.filter(({ change }) => change === 'broke').length;
  const parts = [
    ...(broke > 0 ? [`${plural(broke, 'check')} broke`] : []),
    ...found('worse'),
    ...found('better'),
    ...found('changed'),
    ...found('same', 'within the noise or the threshold'),
    ...found('inconclusive'),
  ];
  const calm = tested === 0 ? yellow(bold('INCONCLUSIVE')) : green(bold('NO REGRESSION'));
  const word = regression ? red(bold('REGRESSION')) : calm;
  const level = `${writeNumber(alpha * 100)} %`;
  const method =
    tested === 0
      ? ''
      : `\nMann-Whitney rank test, two-sided and exact, at ${level}; changes below ${writeNumber(threshold * 100)} % ` +
        `are ignored. Of ${plural(tested, 'tested figure')}, about ${writeNumber(tested * alpha)} differ by chance.`;
  const isFew = tested === 0 && figures.some(({ verdict }) => verdict === 'inconclusive');
  const few =
    `\nToo few runs to separate a difference from noise: at ${level} each side needs ${runsNeeded(alpha)}. ` +
    'Repeat with --rounds, or pass several results per side.';
  return `${word}  ${parts.length === 0 ? 'nothing to compare' : parts.join(', ')}.${method}${isFew ? few : ''}`;
}
