/** The job that archives shows after their retention, and deletes what is left of them (I9). */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { verifyArchive } from '../../src/archive/index.ts';
import { createRetention } from '../../src/jobs/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { failure, ok, StampedeError } from '../../src/protocol/codes.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { HOST, outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';

const fixture = await StoreFixture.open('ret:');
const { test, store, client, time, openShow, hold, confirm } = fixture;
const logger = createLogger({ level: 'silent' });
const RETENTION_MS = 60_000;

/** Sweeps as if it were later. */
function sweeper(folder: string, at = store) {
  let laterMs = 0;
  const moved = { ...at, now: () => store.now() + laterMs };
  // The store reads its clock itself: what is due later is due now.
  const isDue = async (): Promise<void> => {
    const all = await client.zrange('ret:retention', 0, '-1');
    for (const show of all) await client.zadd('ret:retention', 0, show);
  };
  const sweep = createRetention({ store: moved, archives: archivesOf(at, folder), retentionMs: RETENTION_MS, logger });
  return {
    folder,
    async after(ms: number): Promise<void> {
      laterMs = ms;
      await isDue();
      await sweep();
    },
  };
}

const keysOf = async (show: string): Promise<string[]> =>
  (await client.keys('ret:*')).filter((key) => key.includes(`{${show}}`));
const stateOf = (show: string): Promise<string | null> => client.hget(time.key(show, 'show'), 'state');
const plannedAt = async (show: string): Promise<number | null> => {
  const score = await client.zscore('ret:retention', show);
  return score === null ? null : Number(score);
};

async function endedShow(retentionMs?: number): Promise<string> {
  const show = await openShow();
  unwrap(await confirm(show, await hold(show, 'ann')));
  if (retentionMs !== undefined) unwrap(await store.updateShow(show, { retentionMs }, HOST));
  unwrap(await store.endShow(show, HOST));
  await fixture.checkInvariants({ same: () => true } as never, show);
  return show;
}

test('an ended show is archived after its retention, then its keys are deleted', async (t) => {
  const { folder, after } = sweeper(temporaryFolder(t));
  const show = await endedShow();
  await after(0);
  t.equal(await stateOf(show), 'ended');
  const inMs = ((await plannedAt(show)) ?? 0) - store.now();
  t.ok(inMs > RETENTION_MS - 10_000 && inMs <= RETENTION_MS, `looked at again in ${inMs} ms`);
  await after(RETENTION_MS + 1_000);
  t.equal(await stateOf(show), 'archived');
  t.same((await verifyArchive(join(folder, show))).violations, []);
  t.ok((await keysOf(show)).length > 5);
  await after(RETENTION_MS / 2);
  t.ok((await keysOf(show)).length > 5, 'the keys stay for a while');
  await after(RETENTION_MS + 1_000);
  t.same(await keysOf(show), [time.key(show, 'show')]);
  t.equal(await plannedAt(show), null, 'it is not looked at any more');
});

test('a show has a separate retention, and a live one has none', async (t) => {
  const { after } = sweeper(temporaryFolder(t));
  const [soon, late, live] = [await endedShow(1_000), await endedShow(10 * RETENTION_MS), await openShow()];
  await after(2_000);
  t.same([await stateOf(soon), await stateOf(late), await stateOf(live)], ['archived', 'ended', 'planned']);
  await after(RETENTION_MS + 1_000);
  t.same([await stateOf(late), await stateOf(live)], ['ended', 'planned']);
  unwrap(await store.updateShow(late, { retentionMs: 0 }, HOST));
  t.ok(((await plannedAt(late)) ?? 0) <= store.now(), 'a change is noticed at once');
  await after(0);
  t.equal(await stateOf(late), 'archived');
});

test('a show with an open hold is archived after the hold has ended', async (t) => {
  const { after } = sweeper(temporaryFolder(t));
  const show = await openShow();
  const { id } = await hold(show, 'ann');
  unwrap(await store.endShow(show, HOST));
  await after(RETENTION_MS + 1);
  t.equal(await stateOf(show), 'ended');
  await time.passDeadline(show, id);
  await after(RETENTION_MS + 1);
  t.equal(await stateOf(show), 'archived');
  await fixture.skipCommitCheck(show);
});

test('what dead processes left is finished: a freeze, a deletion, an entry without a show (I8)', async (t) => {
  const { folder, after } = sweeper(temporaryFolder(t));
  const [frozen, condemned] = [await endedShow(), await endedShow()];
  unwrap(await store.freezeShow(frozen, 'dead'));
  await client.hset(time.key(frozen, 'show'), 'lease', '0');
  unwrap(await store.condemnShow(condemned));
  for (const index of ['shows', 'retention']) await client.zadd(`ret:${index}`, 1, 'half-made');
  await client.zadd('ret:shows', store.now(), 'being-made');
  await client.zadd('ret:retention', 1, 'being-made');
  await after(0);
  t.equal(await stateOf(frozen), 'archived');
  t.ok(existsSync(join(folder, frozen)));
  t.same(await keysOf(condemned), []);
  t.equal(await client.zscore('ret:shows', condemned), null);
  t.equal(await client.zscore('ret:shows', 'half-made'), null);
  t.not(await client.zscore('ret:shows', 'being-made'), null, 'its show may be about to be made');
});

test('shows of an earlier release are found, by the age of their newest entry', async (t) => {
  const { after } = sweeper(temporaryFolder(t));
  const show = await endedShow();
  await client.hdel(time.key(show, 'show'), 'ended');
  await client.zrem('ret:retention', show);
  await after(0);
  t.equal(await stateOf(show), 'ended');
  t.ok(((await plannedAt(show)) ?? 0) > store.now() + RETENTION_MS - 10_000);
  await after(RETENTION_MS + 1_000);
  t.equal(await stateOf(show), 'archived');
});

test('a folder that cannot be written is tried again later', async (t) => {
  const { folder, after } = sweeper(join(temporaryFolder(t), 'gone', 'archive'));
  const show = await endedShow(0);
  const dying = sweeper('/proc/none');
  await dying.after(0);
  t.equal(await stateOf(show), 'ended');
  const inMs = ((await plannedAt(show)) ?? 0) - store.now();
  t.ok(inMs > 1_000 && inMs <= LIMITS.retentionRetryMs, `again in ${inMs} ms`);
  t.equal(outcome(await store.updateShow(show, { title: 'x' }, HOST)), 'ok');
  await after(0);
  t.equal(await stateOf(show), 'archived');
  rmSync(folder, { recursive: true });
});

test('erasures that fail are logged once, with the code and without a stack, until they work', async (t) => {
  const records: Array<Record<string, unknown>> = [];
  const destination = { write: (line: string) => void records.push(JSON.parse(line)) };
  let isFull = true;
  const runPlanned = async (): Promise<void> => {
    if (isFull) throw new StampedeError(failure('redis_full', 'Redis is out of memory.'));
  };
  const archives = archivesOf(store, temporaryFolder(t));
  const warned = createLogger({ level: 'warn', destination });
  const idle = { ...store, dueRetention: async () => ok([]) };
  const rest = { archives, retentionMs: RETENTION_MS, logger: warned };
  const sweep = createRetention({ store: idle, erasures: { runPlanned }, ...rest });
  for (isFull of [true, true, false, true]) await sweep();
  t.match(records, [{ code: 'redis_full' }, { code: 'redis_full' }]);
  t.equal(records.length, 2);
  t.notOk('err' in (records[0] ?? {}));
});
