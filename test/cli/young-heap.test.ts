/** The engine has the same young heap however it is started. */
// slow: measures the heap of a process
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import t from 'tap';
import { ROOT } from '../support/root.ts';

const read = (path: string): string => readFileSync(resolve(ROOT, path), 'utf8');
const FLAG = /--max-semi-space-size=\d+/;

/** Fills the young heap and prints the most that was in use, in MiB. */
const PROBE = `
  const v8 = require('node:v8');
  const kept = [];
  let most = 0;
  for (let round = 0; round < 150; round++) {
    kept.push(Array.from({ length: 20000 }, (_, i) => ({ i, text: 'x' + i })));
    if (kept.length > 6) kept.shift();
    const young = v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
    most = Math.max(most, young.space_used_size);
  }
  console.log(Math.round(most / 2 ** 20));
`;
const youngMiB = (flags: readonly string[]): number => {
  const { NODE_OPTIONS: _loaders, ...env } = process.env;
  return Number(spawnSync(process.execPath, [...flags, '-e', PROBE], { encoding: 'utf8', env }).stdout);
};

t.test('the command, gateway workers and the image set the same young heap', async (t) => {
  const [shebang = ''] = read('src/cli/main.ts').split('\n');
  const flag = shebang.match(FLAG)?.[0] ?? '';
  t.equal(shebang, `#!/usr/bin/env -S node ${flag}`, 'a single process gets the flag from its first line');
  for (const path of ['src/cli/gateway-pool.ts', 'Dockerfile']) t.equal(read(path).match(FLAG)?.[0], flag, path);
  const [plain, large] = [youngMiB([]), youngMiB([flag])];
  t.ok(large > 2 * plain, `V8 applies it: ${large} MiB, without the flag ${plain} MiB`);
});
