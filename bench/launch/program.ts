/** The compiled `stampede` command: a bench measures what people run. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** True in a build or an installed package, false if the sources run. */
export const COMPILED = import.meta.url.endsWith('.js');
export const COMMAND = COMPILED ? 'stampede bench' : 'npm run bench --';

/** Returns the path of the compiled program: in the build, or in the package `stampede`. */
export function builtProgram(): string | null {
  const built = COMPILED ? '../../src/cli/main.js' : '../../dist/src/cli/main.js';
  const local = fileURLToPath(new URL(built, import.meta.url));
  if (existsSync(local)) return local;
  try {
    return join(dirname(createRequire(import.meta.url).resolve('stampede')), 'cli/main.js');
  } catch {
    return null;
  }
}
