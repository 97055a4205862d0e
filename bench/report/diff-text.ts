/** A comparison as text. */
import { type Diff, type FigureDiff, runsNeeded, type Side } from './diff.ts';
import { plural, type Spread, writeAmount, writeNumber } from './numbers.ts';
import { clean, cut, type Palette, padEnd, padStart, palette, widthOf } from './terminal-text.ts';

export interface DiffTextOptions {
  readonly colour?: boolean;
  /** Figures are shown although the load was another one. */
  readonly anyway?: boolean;
}

const NAME_COLUMNS_MAX = 40;

/** Text that ends in a line feed. */
export function renderDiff(diff: Diff, options: DiffTextOptions = {}): string {
  const colours = palette(options.colour ?? false);
  const shown = diff.comparable || options.anyway === true;
  const lines = [
    `A  ${writeSide(diff.a)}`,
    `B  ${writeSide(diff.b)}`,
    ...differenceLines(diff, colours),
    ...doubtLines(diff, colours),
    ...(shown
      ? [...figureLines(diff, colours), ...onlyLines(diff), ...checkLines(diff, colours), '', summary(diff, colours)]
      : ['', refusal(colours)]),
  ];
  return `${lines.join('\n')}\n`;
}

const writeSide = ({ scenario, startedAt, commit }: Side): string =>
  clean(
    `${scenario}, ${startedAt.length === 1 ? startedAt[0] : `${startedAt.length} results from ${startedAt[0]} to ${startedAt.at(-1)}`}, commit ${commit}`,
  );

function differenceLines({ differences }: Diff, { bold, yellow }: Palette): string[] {
  if (differences.length === 0) return ['', 'Same scenario, parameters, seed, machine and commit.'];
  const width = Math.max(...differences.map(({ what }) => widthOf(clean(what))));
  return [
    '',
    bold('not the same'),
    ...differences.map(({ what, a, b, blocks }) => {
      const line = `  ${padEnd(clean(what), width)}  ${clean(a)} -> ${clean(b)}`;
      return blocks ? yellow(line) : line;
    }),
  ];
}

const refusal = ({ red, bold }: Palette): string =>
  `${red(bold('NOT COMPARED'))}  The load was not the same, so the figures answer different questions. --anyway shows them nevertheless.`;

const doubtLines = ({ a, b }: Diff, { yellow }: Palette): string[] =>
  Object.entries({ A: a, B: b }).flatMap(([side, { bottlenecks, leftOut }]) =>
    [
      ...bottlenecks.map(
        (reason) => `In ${side} the load generator was the bottleneck (${reason}): its numbers are not to be trusted.`,
      ),
      ...(leftOut.length > 0
        ? [`Left out of ${side}, because the load generator was the bottleneck: ${leftOut.join(', ')}.`]
        : []),
    ].map((line) => yellow(clean(line))),
  );

function figureLines({ figures }: Diff, colours: Palette): string[] {
  if (figures.length === 0) return ['', 'No figure was measured in both.'];
  const cells = figures.map((figure) => [
    cut(clean(figure.name), NAME_COLUMNS_MAX),
    writeAmount(figure.a.median, figure.unit),
    writeFarthest(figure.a),
    writeAmount(figure.b.median, figure.unit),
    writeFarthest(figure.b),
    writeChange(figure),
    figure.p === null ? '' : `p ${figure.p < 0.001 ? '< 0.001' : `= ${figure.p.toFixed(3)}`}`,
    `${figure.a.runs} + ${figure.b.runs}`,
  ]);
  const head = ['', 'A, median', 'spread', 'B, median', 'spread', 'change', 'rank test', 'runs'];
  const widths = head.map((title, at) =>
    Math.max(...[head, ...cells].map((row) => widthOf(row[at] ?? '')), widthOf(title)),
  );
  const line = (row: readonly string[], last: string): string =>
    `  ${row.map((cell, at) => (at === 0 ? padEnd(cell, widths[at] ?? 0) : padStart(cell, widths[at] ?? 0))).join('  ')}  ${last}`.trimEnd();
  return [
    '',
    colours.bold('figures'),
    colours.dim(line(head, '')),
    ...figures.map((figure, at) => line(cells[at] ?? [], writeVerdict(figure, colours))),
  ];
}

/** How far the run farthest from the median lies from it. */
function writeFarthest({ median, lowest, highest, runs }: Spread): string {
  if (runs === 1 || median === 0) return '';
  return `+-${writeNumber(Math.round((Math.max(highest - median, median - lowest) / Math.abs(median)) * 1000) / 10)} %`;
}

function writeChange({ change }: FigureDiff): string {
  if (change === null) return 'from zero';
  const percent = change * 100;
  return `${percent > 0 ? '+' : ''}${writeNumber(Math.abs(percent) >= 100 ? percent : Math.round(percent * 10) / 10)} %`;
}

function writeVerdict({ verdict, why }: FigureDiff, { green, red, yellow, dim }: Palette): string {
  switch (verdict) {
    case 'better':
      return green(`better, ${why}`);
    case 'worse':
      return red(`WORSE, ${why}`);
    case 'changed':
      return yellow(`changed, ${why}`);
    case 'same':
      return dim(why);
    case 'cannot_tell':
      return yellow(clean(why));
  }
}

const onlyLines = ({ onlyInA, onlyInB }: Diff): string[] => [
  ...(onlyInA.length > 0 ? [clean(`  only in A: ${onlyInA.join(', ')}`)] : []),
  ...(onlyInB.length > 0 ? [clean(`  only in B: ${onlyInB.join(', ')}`)] : []),
];

function checkLines({ checks }: Diff, colours: Palette): string[] {
  if (checks.length === 0) return [];
  const words = {
    broke: colours.red('BROKE       '),
    mended: colours.green('mended      '),
    still_broken: colours.yellow('still broken'),
  };
  return [
    '',
    colours.bold('checks'),
    ...checks.map(
      ({ name, change, detail }) => `  ${words[change]} ${clean(detail === '' ? name : `${name}: ${detail}`)}`,
    ),
  ];
}

function summary(
  { figures, checks, regression, options: { alpha, threshold } }: Diff,
  { bold, green, red, yellow }: Palette,
): string {
  const count = (wanted: FigureDiff['verdict']): number => figures.filter(({ verdict }) => verdict === wanted).length;
  const tested = figures.filter(({ p }) => p !== null).length;
  const broke = checks.filter(({ change }) => change === 'broke').length;
  const parts = [
    ...(broke > 0 ? [`${plural(broke, 'check')} broke`] : []),
    ...(['worse', 'better', 'changed'] as const).flatMap((verdict) =>
      count(verdict) > 0 ? [`${count(verdict)} ${verdict}`] : [],
    ),
    ...(count('same') > 0 ? [`${count('same')} the same within the noise or the threshold`] : []),
    ...(count('cannot_tell') > 0 ? [`${count('cannot_tell')} cannot be told`] : []),
  ];
  const undecided = tested === 0 && !regression;
  const word = regression
    ? red(bold('REGRESSION'))
    : undecided
      ? yellow(bold('CANNOT TELL'))
      : green(bold('NO REGRESSION'));
  const method =
    tested === 0
      ? ''
      : `\nMann-Whitney rank test, two-sided and exact, at ${writeNumber(alpha * 100)} %; changes below ${writeNumber(threshold * 100)} % are let pass. Of ${plural(tested, 'tested figure')}, chance alone calls about ${writeNumber(tested * alpha)} different.`;
  const few = tested === 0 && figures.some(({ verdict }) => verdict === 'cannot_tell');
  const more = few
    ? `\nToo few runs to tell a difference from noise: at ${writeNumber(alpha * 100)} % it takes ${runsNeeded(alpha)} a side. Repeat with --rounds, or give several results a side.`
    : '';
  return `${word}  ${parts.length === 0 ? 'nothing to compare' : parts.join(', ')}.${method}${more}`;
}
