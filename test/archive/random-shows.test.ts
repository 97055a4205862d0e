/** Archives of random shows, and of archivers that are killed. STAMPEDE_SEED repeats a run. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { createPrng } from '../../bench/generator/prng.ts';
import { verifyArchive } from '../../src/archive/index.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { programArguments } from '../support/root.ts';
import { FIRST_SEED } from '../support/seed.ts';
import { HOST, StoreFixture, unwrap } from '../support/store-fixture.ts';
import { finalState, runStoreUsers } from '../support/store-users.ts';

const fixture = await StoreFixture.open('rnd:');
const { test, store, client, time } = fixture;
const SHOWS = 3;
const KILLS = 6;
const DELETION_KILLS = 2;

/** Returns the ids of the orders of a show that has ended after random sales. */
async function playShow(show: string, seed: number, actionsPerClient: number): Promise<string[]> {
  await runStoreUsers({
    ...{ show, sale: 'sale', skus: ['S', 'M'], stores: [store], clients: 6, users: 12, actionsPerClient, seed, time },
  });
  unwrap(await store.startShow(show, HOST));
  unwrap(await store.endShow(show, HOST));
  for (const member of await client.zrange(time.key(show, 'due'), 0, '-1'))
    await time.passDeadlineUnderLoad(show, member);
  const { reservations } = await finalState(client, time.key(show, 'reservations'));
  return [...reservations].flatMap(([id, { state }]) => (state === 'confirmed' ? [id] : [])).sort();
}

async function checkArchive(t: Test, folder: string, show: string, orders: readonly string[]): Promise<void> {
  const found = await verifyArchive(join(folder, show));
  t.same(found.violations, []);
  t.equal(found.orders, orders.length, `${orders.length} orders`);
}

const openShow = (): Promise<string> => fixture.openShow({ perBuyer: 4, units: { S: 60, M: 30 } });

for (let seed = FIRST_SEED; seed < FIRST_SEED + SHOWS; seed++)
  test(`the archive of a random show verifies and has all orders (I8), seed ${seed}`, async (t) => {
    const folder = temporaryFolder(t);
    const show = await openShow();
    const orders = await playShow(show, seed, 25);
    const books = (await store.verify(show)) as { value: { sales: unknown } };
    await fixture.skipCommitCheck(show);
    const done = unwrap(await archivesOf(store, folder).archive(show));
    t.match(done, { state: 'archived', summary: { violations: 0, totals: { orders: orders.length } } });
    await checkArchive(t, folder, show, orders);
    t.match((await verifyArchive(join(folder, show))).sales.length, (books.value.sales as unknown[]).length);
  });

test(`an archiver that is killed at any moment loses nothing (I8), seed ${FIRST_SEED}`, async (t) => {
  const random = createPrng(FIRST_SEED);
  const folder = temporaryFolder(t);
  const show = await openShow();
  const orders = await playShow(show, FIRST_SEED, 60);
  await fixture.skipCommitCheck(show);
  const header = time.key(show, 'show');
  const start = (op: string) => {
    const args = [...programArguments('test/archive/archiver'), fixture.redis.url, fixture.prefix, folder, show, op];
    return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  };

  let kills = 0;
  async function killed(op: string, killMs: number): Promise<void> {
    const archiver = start(op);
    const ended = once(archiver, 'exit');
    await once(archiver.stdout, 'data');
    await sleep(random.int(0, killMs));
    archiver.kill('SIGKILL');
    const [, signal] = await ended;
    if (signal === 'SIGKILL') kills += 1;
  }
  for (let run = 0; run < KILLS; run++) {
    await killed('archive', 120);
    const state = await client.hget(header, 'state');
    if (state === 'archived') await checkArchive(t, folder, show, orders);
    else
      t.equal(await client.pttl(time.key(show, 'ledger')), -1, `${state}: no key expires before the archive is proven`);
    // As if the time of the lease had passed.
    if (state === 'archiving') await client.hset(header, 'lease', '0');
  }
  t.comment(`${kills} of ${KILLS} runs were killed`);
  const last = start('archive');
  const [output] = (await once(last.stdout, 'data')) as [Buffer];
  t.match(String(output), /started/);
  await once(last, 'exit');
  t.equal(await client.hget(header, 'state'), 'archived');
  t.ok((await client.pttl(time.key(show, 'ledger'))) > 0, 'the keys expire');
  await checkArchive(t, folder, show, orders);
  t.ok(existsSync(join(folder, show, 'manifest.json')));
  t.same(readdirSync(folder), [show], 'nothing partial remains');

  for (let run = 0; run < DELETION_KILLS; run++) {
    await killed('delete', 20);
    const state = await client.hget(header, 'state');
    if (state === 'archived') await checkArchive(t, folder, show, orders);
    else t.ok(state === null || state === 'deleting', `${state}`);
  }
  await once(start('delete'), 'exit');
  t.same(readdirSync(folder), [], 'a repeat deletes the rest');
  t.same(
    (await client.keys(`${fixture.prefix}*`)).filter((key) => key.includes(`{${show}}`)),
    [],
  );
});
