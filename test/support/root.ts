/** Where the repository is, and how tests start its programs. */
import { join, resolve } from 'node:path';

/** True when the compiled tests in dist/ run, as scripts/run-tests.mjs does. */
export const COMPILED = import.meta.url.endsWith('.js');
export const ROOT = resolve(import.meta.dirname, COMPILED ? '../../..' : '../..');

/** Arguments for `node` that start a program of the repository, for example `src/cli/main`. */
export const programArguments = (program: string): string[] =>
  COMPILED ? [join(ROOT, 'dist', `${program}.js`)] : ['--import=tsx', join(ROOT, `${program}.ts`)];
