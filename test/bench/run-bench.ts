/** Runs a scenario with small numbers, as a user does, and reads its result. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { builtProgram } from '../../bench/launch/program.ts';
import type { BenchResult } from '../../bench/report/result.ts';
import { programArguments, ROOT } from '../support/root.ts';

export const unlessBuilt = builtProgram() === null ? 'the engine is not built' : false;

/** Fails the test if a promise broke. `figure` takes the beginning of the name of a figure. */
export async function bench(
  t: Test,
  scenario: string,
  flags: string,
  codes: readonly number[] = [0, 1, 3],
  checksMin = 3,
) {
  const out = mkdtempSync(join(tmpdir(), `stampede-${scenario}-`));
  t.teardown(() => rmSync(out, { recursive: true, force: true }));
  const { NODE_OPTIONS: _, ...env } = process.env;
  const words = [...programArguments('bench/main'), scenario, ...flags.split(' '), '--out', out];
  const child = spawn(process.execPath, words, { cwd: ROOT, env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const code = await new Promise<number | null>((ended) => child.once('exit', ended));
  // 1 and 3 are about times, which mean nothing on a busy machine. Promises must hold.
  if (!codes.includes(code ?? -1)) t.fail(`exit code ${code}\n${output}`);
  const [file = ''] = readdirSync(out).filter((name) => name.endsWith('.json'));
  const result = JSON.parse(readFileSync(join(out, file), 'utf8')) as BenchResult;
  const broken = result.verdict.checks.filter(({ ok }) => !ok);
  t.same(broken, [], 'every promise is kept');
  t.ok(result.verdict.checks.length >= checksMin);
  const figure = (name: string) => result.figures.find((one) => one.name.startsWith(name))?.runs[0] ?? Number.NaN;
  return { result, figure };
}
