/** Options of a test belong to that test alone. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ROOT } from '../support/root.ts';

/** tap writes into the options it gets: with `jobs`, tests with one object all ran the first. */
const SHARED = /\.test\((?:'[^']*'|"[^"]*"|`[^`]*`|\w+),\s*[a-zA-Z_$][\w$]*,\s*(?:async )?\(/g;

t.test('no two tests share an options object', async (t) => {
  const folder = join(ROOT, 'test');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  t.ok(files.length > 200);
  const found = files.flatMap((name) =>
    [...readFileSync(join(folder, name), 'utf8').matchAll(SHARED)].map(([text]) => `test/${name}: ${text}`),
  );
  t.same(found, [], 'write `{ ...options }`');
});
