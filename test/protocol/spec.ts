/** Reads the rules of SPEC.md, and the rules that test names cite. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../support/root.ts';

const TESTS = join(ROOT, 'test');
/** A title is the first argument of `t.test`, or of a function that makes a test of it. */
const TITLE = /\b(?:test|showTest|saleTest|scene|scenario)\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g;

export const SPEC = readFileSync(join(ROOT, 'src/protocol/SPEC.md'), 'utf8');

/** The cells of every table row. */
export const rows = SPEC.split('\n')
  .map((line) => line.trim())
  .filter((line) => line.startsWith('| '))
  .map((line) => line.split(/ *\| */).slice(1, -1));

const numbers = [...SPEC.matchAll(/^(?:### |- \*\*)([A-Z]-\d+(?:\.\d+)?)\b/gm)].map(([, number]) => number ?? '');
/** `all` includes the numbers of groups; `statements` are the rules that a test must prove. */
export const RULES = { all: numbers, statements: numbers.filter((number) => !numbers.includes(`${number}.1`)) };

export function citedRules(): Array<{ rule: string; name: string; file: string }> {
  const files = readdirSync(TESTS, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return files.flatMap((file) =>
    [...readFileSync(join(TESTS, file), 'utf8').matchAll(TITLE)].flatMap(([, , name = '']) =>
      (name.match(/\b[A-Z]-\d+(?:\.\d+)?\b/g) ?? []).map((rule) => ({ rule, name, file })),
    ),
  );
}

/** The names in a list of fields of SPEC.md; those followed by "?" are optional. */
export function fieldsOf(list: string): { required: string[]; optional: string[] } {
  const flat = list.replace(/\[[^\]]*\]|\([^)]*\)/g, '');
  const fields = [...flat.matchAll(/(?:^|, ?)`(\w+)`(\?)?/g)].map(([, name = '', mark]) => ({ name, mark }));
  return {
    required: fields.filter(({ mark }) => mark === undefined).map(({ name }) => name),
    optional: fields.filter(({ mark }) => mark !== undefined).map(({ name }) => name),
  };
}
