/** `stampede export` and `stampede import`, as operators use them. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { connectStore } from '../../src/redis/index.ts';
import { HOST, unwrap } from '../support/store-fixture.ts';
import { run, temporaryFolder } from './program.ts';

t.test('a show moves from a Redis to an embedded one, and verifies there', async (t) => {
  const folder = temporaryFolder(t);
  const redis = await startRedis();
  const store = await connectStore({ redis: redis.target, keyPrefix: 'shop:' });
  t.teardown(async () => {
    await store.close();
    await redis.stop();
  });
  unwrap(await store.createShow({ id: 'friday', title: 'Friday', brands: [{ id: 'b', name: 'B' }] }, HOST));
  unwrap(await store.putProduct('friday', { id: 'p', brand: 'b', title: 'P', skus: [{ sku: 'S' }] }, HOST));
  const skus = [{ sku: 'S', product: 'p', price: 100, quantity: 5 }];
  const sale = { id: 'drop', title: 'Drop', currency: 'EUR', perBuyer: 1, opensInMs: 0, skus };
  unwrap(await store.createSale('friday', sale, { key: 'k', actor: HOST }));
  const lines = [{ sku: 'S', qty: 1 }];
  const [held] = await store.reserve('friday', [{ user: 'ann', key: 'k', sale: 'drop', lines }]);
  t.ok(held?.ok);

  const env = { REDIS_URL: redis.url, KEY_PREFIX: 'shop:' };
  const file = join(folder, 'friday.jsonl.gz');
  const dataDir = ['--data-dir', join(folder, 'data')];
  const exported = await run(['export', '--show', 'friday', file], env);
  t.match(exported, {
    code: 0,
    stderr: '',
    stdout: /^show friday \(planned\): \d+ records written to .*\nsha256 \w{64}/,
  });
  t.match(await run(['export', '--show', 'friday', file], env), {
    code: 1,
    stdout: '',
    stderr: /friday\.jsonl\.gz exists.*(?<!under KEY_PREFIX.*)\n$/,
  });
  t.match(await run(['import', file], env), {
    code: 1,
    stdout: '',
    stderr: /already_exists: A show with id friday exists.*under KEY_PREFIX shop:/,
  });
  t.match(await run(['import', file, ...dataDir]), {
    code: 0,
    stdout: /^show friday \(planned\): \d+ records imported to/,
  });
  t.match(await run(['verify', '--show', 'friday', ...dataDir]), { code: 0, stdout: /, 1 reservation, / });

  t.match(await run(['verify', '--show', 'thursday', ...dataDir]), {
    code: 1,
    stderr: `There is no show "thursday" in DATA_DIR ${join(folder, 'data')} under KEY_PREFIX stampede:.`,
  });

  writeFileSync(join(folder, 'text'), 'hello');
  const refused = await run(['import', join(folder, 'text'), ...dataDir]);
  t.match(refused, {
    code: 1,
    stdout: '',
    stderr: /^stampede import: invalid_request: \S+text cannot be imported: .*\n$/,
  });
  unwrap(await store.startShow('friday', HOST));
  const live = await run(['export', '--show', 'friday', join(folder, 'live')], env);
  t.match(live, { code: 1, stderr: /illegal_move: The show is live/ });
  t.notOk(existsSync(join(folder, 'live')));
  t.match(await run(['export', '--show', 'fryday', join(folder, 'x')], env), {
    code: 1,
    stderr: /Did you mean friday/,
  });
});

t.test('wrong usage is named, with exit code 2', async (t) => {
  const [nothing, two, unknown] = await Promise.all([
    run(['export']),
    run(['import', 'a', 'b']),
    run(['import', 'a', '--show', 'x']),
  ]);
  t.match(nothing, { code: 2, stderr: /--show: is needed[\s\S]*<file>: is needed/ });
  t.match(two, { code: 2, stderr: /"b": is not expected/ });
  t.match(unknown, { code: 2, stderr: /--show: is not a flag/ });
});
