/** `bench diff A.json B.json`. */
import { parseArgs } from 'node:util';
import { diffResults } from './diff.ts';
import { renderDiff } from './diff-text.ts';
import { ResultFileError, readResult } from './files.ts';

export interface DiffOutput {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

const HELP = `bench diff A.json B.json [flags]: what became better or worse from A to B, and whether that is above the noise

  --threshold P   changes of a median below P percent are let pass (default 5)
  --alpha P       chance, in percent, of calling noise a difference, for each figure (default 5)
  --anyway        compare although scenario or parameters differ
  --json          the comparison as JSON

Exit code: 0 no regression (or too few runs to tell), 1 regression, 2 not compared.
`;

/** `argv` is what stands behind `diff`. Answers the exit code. */
export async function runDiff(argv: readonly string[], out: DiffOutput): Promise<number> {
  const asked = readArguments(argv);
  if (typeof asked === 'string') {
    out.write(`${asked}\n\n${HELP}`);
    return 2;
  }
  if (asked.help) {
    out.write(HELP);
    return 0;
  }
  const { pathA, pathB, options, anyway, json } = asked;
  try {
    const diff = diffResults(readResult(pathA), readResult(pathB), options);
    out.write(json ? `${JSON.stringify(diff, null, 2)}\n` : renderDiff(diff, { anyway, colour: out.isTTY === true }));
    if (!diff.comparable && !anyway) return 2;
    return diff.regression ? 1 : 0;
  } catch (error) {
    if (!(error instanceof ResultFileError)) throw error;
    out.write(`${error.message}\n`);
    return 2;
  }
}

function readArguments(argv: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        threshold: { type: 'string', default: '5' },
        alpha: { type: 'string', default: '5' },
        anyway: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const { anyway, json, help } = values;
    const [pathA = '', pathB = ''] = positionals;
    const [threshold, alpha] = [Number(values.threshold) / 100, Number(values.alpha) / 100];
    if (!help && positionals.length !== 2) return `two results are compared, ${positionals.length} given`;
    if (!(threshold >= 0 && threshold <= 10)) return '--threshold is a percentage from 0 to 1000';
    if (!(alpha > 0 && alpha < 1)) return '--alpha is a percentage between 0 and 100';
    return { pathA, pathB, options: { threshold, alpha }, anyway, json, help };
  } catch (error) {
    return (error as Error).message;
  }
}
