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
import { outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';
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

const epochOf = async (fixture: StoreFixture, show: string): Promise<string> =>
  unwrap(await fixture.store.load(show)).snapshot.epoch;

async function recovered(fixture: StoreFixture, show: string): Promise<void> {
  await until('the end of the recovery', async () => {
    await fixture.store.tick(show);
    return (
      (await fixture.client.hexists(fixture.time.key(show, 'show'), 'recovering')) === 0 &&
      fixture.store.trouble() === null
    );
  });
}

async function judged(fixture: StoreFixture, show: string, crowd: StoreUsersReport): Promise<Violation[]> {
  return checkHistory(
    crowd.history,
    { allocated: { sale: UNITS }, perBuyer: { sale: 3 } },
    await finalState(fixture.client, fixture.time.key(show, 'reservations')),
  );
}

/**
 * Asks for everything that was granted once more, with the same keys; answers what was not simply
 * repeated.
 */
async function notRepeated(
  fixture: StoreFixture,
  show: string,
  granted: StoreUsersReport['granted'],
): Promise<string[]> {
  const strange: string[] = [];
  for (const { ask, reservation, confirmedWith } of granted) {
    const [again] = await fixture.store.reserve(show, [ask]);
    if (outcome(again) !== 'replayed' || (again?.ok && again.value.reservation.id !== reservation.id))
      strange.push(`reserve ${ask.user} ${ask.key}: ${outcome(again)}`);
    if (confirmedWith === undefined) continue;
    const paid = await fixture.confirm(show, reservation, {
      key: confirmedWith,
      orderRef: confirmedWith,
      actor: 'host:crowd',
    });
    if (outcome(paid) !== 'replayed') strange.push(`confirm ${confirmedWith}: ${outcome(paid)}`);
  }
  return strange;
}

for (const appendfsync of ['always', 'everysec'] as const) {
  const fixture = await StoreFixture.open(`crash-${appendfsync}:`, { appendfsync });
  const stores = [
    fixture.store,
    await fixture.connectAnother(),
    await fixture.connectAnother(),
    await fixture.connectAnother(),
  ];

  for (let seed = first; seed < first + (long ? 50 : 2); seed++) {
    t.test(`kill -9 in mid-rush, appendfsync ${appendfsync}, seed ${seed}`, async (t) => {
      const show = await fixture.openShow({ units: UNITS, perBuyer: 3 });
      const before = await epochOf(fixture, show);
      t.equal(fixture.store.durability(), appendfsync);
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
        time: fixture.time,
        midway: () => {
          crashed = fixture.redis.crashAndRestart({ downMs: 60 });
        },
      });
      await crashed;
      t.ok(
        [...report.outcomes.keys()].some((what) => what.endsWith('redis_unavailable')),
        'the crash was in the middle of it',
      );
      t.equal(report.unanswered, 0, 'service resumed by itself, every request was answered');
      await recovered(fixture, show);
      t.not(await epochOf(fixture, show), before, 'a new epoch says that another server process holds the show');
      t.equal(unwrap(await fixture.store.eventsAfter(show, before, 1)), null, 'old positions need a snapshot');
      t.same(await judged(fixture, show, report), [], 'nothing was lost, sold twice or ended twice');
      t.same(await notRepeated(fixture, show, report.granted), [], 'everything granted is in the books');
      t.same(unwrap(await fixture.store.verify(show)).violations, [], 'the ledger replays clean');
      t.equal(unwrap(await fixture.store.getSale(show, 'sale')).state, 'open', 'the sale goes on');
      for (const store of stores) t.equal(store.trouble(), null);
      t.ok(fixture.commitsOf(show).resyncs > 0, 'listeners were told to load again');
      await fixture.commitsOf(show).close();
      fixture.skipCommitCheck(show);
    });
  }
}

t.test('a power cut with everysec: the newest decisions are gone, in order, and it is said', async (t) => {
  const fixture = await StoreFixture.open('power:', { appendfsync: 'everysec' });
  const show = await fixture.openShow({ units: UNITS, perBuyer: 3 });
  const before = await epochOf(fixture, show);
  const append = join(dirname(fixture.redis.socketPath), 'appendonlydir');
  const file = join(append, readdirSync(append).find((name) => name.endsWith('.incr.aof')) ?? '');
  const safe = await fixture.hold(show, 'safe');
  const safeBytes = statSync(file).size;
  const granted: string[] = [];
  for (let i = 0; i < 20; i++) granted.push((await fixture.hold(show, `u${i}`)).id);

  const { pid } = fixture.redis;
  const restarted = fixture.redis.crashAndRestart({ downMs: 400 });
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
  await until('the line', () => fixture.store.trouble() === null);
  await recovered(fixture, show);

  t.not(await epochOf(fixture, show), before, 'the loss is said: a new epoch');
  t.same(unwrap(await fixture.store.verify(show)).violations, [], 'what is left is whole: the ledger replays clean');
  const kept = await Promise.all(granted.map(async (id) => (await fixture.store.getReservation(show, id)).ok));
  const last = kept.lastIndexOf(true);
  t.ok(last >= 0 && last < granted.length - 1, `${last + 1} of ${granted.length} decisions survived`);
  t.same(
    kept,
    granted.map((_, i) => i <= last),
    'a decision is lost only with all that came after it, and none is lost in part',
  );
  t.equal(await fixture.stateOf(show, safe.id), 'held');
  const again = await Promise.all(granted.map((_, i) => fixture.reserve(show, `u${i}`)));
  t.same(
    again.map(outcome),
    granted.map((_, i) => (i <= last ? 'replayed' : 'ok')),
    'the same keys: recorded where it is known, decided anew where it was lost',
  );
  t.equal((await fixture.books(show)).held, granted.length + 1);
  await fixture.commitsOf(show).close();
  fixture.skipCommitCheck(show);
});
