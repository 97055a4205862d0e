/** What an import knows of the stored formats is what scripts and Redis write. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { hyperLogLogProblem } from '../../src/redis/hyperloglog.ts';
import { FIELDS_THAT_STAY, isMovedField } from '../../src/redis/moved-header.ts';
import { ROOT } from '../support/root.ts';
import { times } from '../support/store-fixture.ts';

const SCRIPTS = join(ROOT, 'src/redis/lua');
/** Texts in the same calls that are no fields. */
const STATES = ['planned', 'ended', 'archiving', 'archived', 'deleting'];

/** Returns the arguments of a call, from its opening parenthesis on. */
function argumentsAt(source: string, start: number): string {
  let depth = 0;
  for (let end = start; end < source.length; end++) {
    if (source[end] === '(') depth += 1;
    if (source[end] === ')' && --depth === 0) return source.slice(start, end);
  }
  return '';
}

t.test('each field of the header that a script writes moves with the show, or stays', async (t) => {
  const fields = new Set<string>();
  for (const file of readdirSync(SCRIPTS, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.lua')) continue;
    const source = readFileSync(join(SCRIPTS, file), 'utf8');
    for (const { index } of source.matchAll(/\(['"](HSET|HINCRBY)['"], K\.show,/g))
      for (const [, name = ''] of argumentsAt(source, index).matchAll(/'([a-z_]+)'/g)) fields.add(name);
  }
  for (const state of STATES) fields.delete(state);
  t.ok(fields.size > 25, [...fields].join(' '));
  for (const field of fields) t.not(isMovedField(field), FIELDS_THAT_STAY.has(field), field);
});

t.test('each HyperLogLog that Redis writes is one, and a changed one is not', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const client = redis.client();
  t.match(hyperLogLogProblem(Buffer.from('HYLL')), / is not/);
  for (const [i, count] of [1, 50, 500, 2_000, 20_000].entries()) {
    await client.pfadd(`h${i}`, ...times(count, (n) => `${i}-${n}`));
    const bytes = (await client.getBuffer(`h${i}`)) as Buffer;
    t.equal(hyperLogLogProblem(bytes), null, `${count} members, ${bytes.length} bytes`);
    t.match(hyperLogLogProblem(bytes.subarray(0, -1)), /damaged/);
    t.match(hyperLogLogProblem(Buffer.concat([bytes, Buffer.from([0])])), /damaged/);
  }
});
