/** Exports and imports that are killed at random moments. STAMPEDE_SEED repeats a run. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createPrng } from '../../bench/generator/prng.ts';
import { temporaryFolder } from '../support/archives.ts';
import { programArguments } from '../support/root.ts';
import { FIRST_SEED } from '../support/seed.ts';
import { everythingOf } from '../support/show-copy.ts';
import { outcome, StoreFixture, times } from '../support/store-fixture.ts';
import { runStoreUsers } from '../support/store-users.ts';

const [old, next] = [await StoreFixture.open('old:'), await StoreFixture.open('next:')];
const { store, time } = old;
const KILLS = 5;
const USERS = times(12, (i) => `u${i}`);

old.test(`an export and an import that are killed at any moment are repeated (I8), seed ${FIRST_SEED}`, async (t) => {
  const random = createPrng(FIRST_SEED);
  const folder = temporaryFolder(t);
  const path = join(folder, 'show');
  const show = await old.openShow({ perBuyer: 4, units: { S: 90, M: 60 } });
  const plan = { show, sale: 'sale', skus: ['S', 'M'], stores: [store], clients: 6, users: 12, time };
  await runStoreUsers({ ...plan, actionsPerClient: 80, seed: FIRST_SEED });
  await old.skipCommitCheck(show);
  const original = await everythingOf(store, show, USERS);

  /** Runs the program; kills it after up to `killMs`. Returns what it printed last. */
  async function run(args: string[], killMs?: number): Promise<string> {
    const mover = spawn(process.execPath, [...programArguments('test/archive/mover'), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    mover.stdout.on('data', (text) => {
      output += text;
    });
    const ended = once(mover, 'exit');
    await once(mover.stdout, 'data');
    if (killMs !== undefined) {
      await sleep(random.int(0, killMs));
      mover.kill('SIGKILL');
    }
    await ended;
    return output.trim().split('\n').at(-1) ?? '';
  }

  const exporting = [old.redis.url, old.prefix, path, show];
  for (let i = 0; i < KILLS && !existsSync(path); i++) await run(exporting, 60);
  const last = existsSync(path) ? 'done' : await run(exporting);
  t.equal(last, 'done');
  t.same(
    readdirSync(folder).filter((name) => name !== 'show'),
    [],
    'nothing partial remains',
  );
  t.ok(['ok', 'overloaded'].includes(outcome(await store.tick(show))), 'the show goes on after the lease');

  const importing = [next.redis.url, next.prefix, path];
  let kills = 0;
  for (; kills < KILLS; kills++) {
    await run(importing, 90);
    const state = outcome(await next.store.getShow(show));
    if (state === 'ok') break;
    t.equal(state, 'show_not_found', 'it is complete or does not exist');
  }
  t.comment(`${kills} imports were killed`);
  if (kills === KILLS) t.equal(await run(importing), 'done');
  t.same(await everythingOf(next.store, show, USERS), original);
  t.equal(await run(importing), 'already_exists');
});
