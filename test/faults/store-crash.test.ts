/**
 * kill -9 of redis-server in mid-rush. The process dies, the system does not: what Redis has
 * written to its append-only file is there, in both modes. A power cut is played by cutting the
 * file's tail off. STAMPEDE_LONG=1 plays fifty seeds.
 */
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { checkHistory, type Violation } from '../support/history-checker.ts';
import { FIRST_SEED } from '../support/seed.ts';
import { outcome, Stage, unwrap } from '../support/stage.ts';
import { finalState, runStoreUsers, type StoreUsersReport } from '../support/store-users.ts';

const long = process.env.STAMPEDE_LONG === '1';
const first = FIRST_SEED;
const UNITS = { S: 60, M: 30 };
if (long) t.setTimeout(3_600_000);

async function until(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (await done()) return;
    await sleep(10);
  }
  throw new Error(`${what} did not come`);
}

const epochOf = async (stage: Stage, show: string): Promise<string> =>
  unwrap(await stage.store.load(show)).snapshot.epoch;

async function recovered(stage: Stage, show: string): Promise<void> {
  await until('the end of the recovery', async () => {
    await stage.store.tick(show);
    return (
      (await stage.client.hexists(stage.travel.key(show, 'show'), 'recovering')) === 0 && stage.store.trouble() === null
    );
  });
}

async function judged(stage: Stage, show: string, crowd: StoreUsersReport): Promise<Violation[]> {
  return checkHistory(
    crowd.history,
    { allocated: { sale: UNITS }, perBuyer: { sale: 3 } },
    await finalState(stage.client, stage.travel.key(show, 'reservations')),
  );
}

/**
 * Asks for everything that was granted once more, with the same keys; answers what was not simply
 * repeated.
 */
async function notRepeated(stage: Stage, show: string, granted: StoreUsersReport['granted']): Promise<string[]> {
  const strange: string[] = [];
  for (const { ask, reservation, confirmedWith } of granted) {
    const [again] = await stage.store.reserve(show, [ask]);
    if (outcome(again) !== 'replayed' || (again?.ok && again.value.reservation.id !== reservation.id))
      strange.push(`reserve ${ask.user} ${ask.key}: ${outcome(again)}`);
    if (confirmedWith === undefined) continue;
    const paid = await stage.confirm(show, reservation, {
      key: confirmedWith,
      orderRef: confirmedWith,
      actor: 'host:crowd',
    });
    if (outcome(paid) !== 'replayed') strange.push(`confirm ${confirmedWith}: ${outcome(paid)}`);
  }
  return strange;
}

for (const appendfsync of ['always', 'everysec'] as const) {
  const stage = await Stage.open(`crash-${appendfsync}:`, { appendfsync });
  const stores = [stage.store, await stage.another(), await stage.another(), await stage.another()];

  for (let seed = first; seed < first + (long ? 50 : 2); seed++) {
    t.test(`kill -9 in mid-rush, appendfsync ${appendfsync}, seed ${seed}`, async (t) => {
      const show = await stage.openShow({ units: UNITS, perBuyer: 3 });
      const before = await epochOf(stage, show);
      t.equal(stage.store.durability(), appendfsync);
      let crashed: Promise<void> | undefined;
      const report = await runStoreUsers({
        show,
        sale: 'sale',
        skus: Object.keys(UNITS),
        stores,
        clients: 24,
        users: 40,
        actionsPerClient: 30,
        seed,
        travel: stage.travel,
        midway: () => {
          crashed = stage.redis.crashAndRestart({ downMs: 60 });
        },
      });
      await crashed;
      t.ok(
        [...report.outcomes.keys()].some((what) => what.endsWith('redis_unavailable')),
        'the crash was in the middle of it',
      );
      t.equal(report.unanswered, 0, 'service resumed by itself, every request was answered');
      await recovered(stage, show);
      t.not(await epochOf(stage, show), before, 'a new epoch says that another server process holds the show');
      t.equal(unwrap(await stage.store.eventsAfter(show, before, 1)), null, 'old positions need a snapshot');
      t.same(await judged(stage, show, report), [], 'nothing was lost, sold twice or ended twice');
      t.same(await notRepeated(stage, show, report.granted), [], 'everything granted is in the books');
      t.same(unwrap(await stage.store.verify(show)).violations, [], 'the ledger replays clean');
      t.equal(unwrap(await stage.store.getSale(show, 'sale')).state, 'open', 'the sale goes on');
      for (const store of stores) t.equal(store.trouble(), null);
      t.ok(stage.heard(show).resyncs > 0, 'listeners were told to load again');
      await stage.heard(show).close();
      stage.forget(show);
    });
  }
}

t.test('a power cut with everysec: the newest decisions are gone, in order, and it is said', async (t) => {
  const stage = await Stage.open('power:', { appendfsync: 'everysec' });
  const show = await stage.openShow({ units: UNITS, perBuyer: 3 });
  const before = await epochOf(stage, show);
  const append = join(dirname(stage.redis.socketPath), 'appendonlydir');
  const file = join(append, readdirSync(append).find((name) => name.endsWith('.incr.aof')) ?? '');
  const safe = await stage.hold(show, 'safe');
  const safeBytes = statSync(file).size;
  const granted: string[] = [];
  for (let i = 0; i < 20; i++) granted.push((await stage.hold(show, `u${i}`)).id);

  const { pid } = stage.redis;
  const restarted = stage.redis.crashAndRestart({ downMs: 400 });
  await until('the end of the server', () => {
    try {
      return !process.kill(pid, 0);
    } catch {
      return true;
    }
  });
  // Somewhere in the middle of a transaction.
  truncateSync(file, safeBytes + Math.floor((statSync(file).size - safeBytes) * 0.6) + 7);
  await restarted;
  await until('the line', () => stage.store.trouble() === null);
  await recovered(stage, show);

  t.not(await epochOf(stage, show), before, 'the loss is said: a new epoch');
  t.same(unwrap(await stage.store.verify(show)).violations, [], 'what is left is whole: the ledger replays clean');
  const kept = await Promise.all(granted.map(async (id) => (await stage.store.getReservation(show, id)).ok));
  const last = kept.lastIndexOf(true);
  t.ok(last >= 0 && last < granted.length - 1, `${last + 1} of ${granted.length} decisions survived`);
  t.same(
    kept,
    granted.map((_, i) => i <= last),
    'a decision is lost only with all that came after it, and none is lost in part',
  );
  t.equal(await stage.stateOf(show, safe.id), 'held');
  const again = await Promise.all(granted.map((_, i) => stage.reserve(show, `u${i}`)));
  t.same(
    again.map(outcome),
    granted.map((_, i) => (i <= last ? 'replayed' : 'ok')),
    'the same keys: recorded where it is known, decided anew where it was lost',
  );
  t.equal((await stage.books(show)).held, granted.length + 1);
  await stage.heard(show).close();
  stage.forget(show);
});
