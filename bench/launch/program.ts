/**
 * Where the compiled `stampede` command lies: a bench compares what people run, not sources that
 * are translated while they run.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** True in a build or an installed package, false when the sources run. */
export const COMPILED = import.meta.url.endsWith('.js');

/** How a person calls the load tester here. */
export const COMMAND = COMPILED ? 'stampede bench' : 'npm run bench --';

/** Path of the built command; null where nobody has built it. */
export function builtProgram(): string | null {
  const path = fileURLToPath(
    new URL(COMPILED ? '../../src/cli/main.js' : '../../dist/src/cli/main.js', import.meta.url),
  );
  return existsSync(path) ? path : null;
}
