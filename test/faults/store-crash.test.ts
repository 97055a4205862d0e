/** kill -9 of Redis during a rush, and power cuts. STAMPEDE_LONG=1 runs fifty seeds. */
// slow: with everysec a busy disk delays what Redis writes, and a kill loses what it replied to
import { readdirSync, statSync, truncateSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { checkHistory } from '../support/history-checker.ts';
import { FIRST_SEED } from '../support/seed.ts';
import { outcome, StoreFixture, times, unwrap } from '../support/store-fixture.ts';
import { finalState, runStoreUsers, type StoreUsersReport } from '../support/store-users.ts';
import { until } from '../support/until.ts';

const long = process.env.STAMPEDE_LONG === '1';
const UNITS = { S: 60, M: 30 };
if (long) t.setTimeout(3_600_000);

const epochOf = async (fixture: StoreFixture, show: string): Promise<string> =>
  unwrap(await fixture.store.load(show)).snapshot.epoch;

async function recovered(fixture: StoreFixture, show: string): Promise<void> {
  const { store, client, time } = fixture;
  await until(async () => {
    await store.tick(show);
    return (await client.hexists(time.key(show, 'show'), 'recovering')) === 0 && store.trouble() === null;
  }, 'the end of the recovery');
}

async function violationsOf({ client, time }: StoreFixture, show: string, { history }: StoreUsersReport) {
  const final = await finalState(client, time.key(show, 'reservations'));
  return checkHistory(history, { allocated: { sale: UNITS }, perBuyer: { sale: 3 } }, final);
}

/** Sends all granted requests again with the same keys. Returns those that were not replayed. */
async function notReplayed(fixture: StoreFixture, show: string, { granted }: StoreUsersReport): Promise<string[]> {
  const wrong: string[] = [];
  for (const { reserve, reservation, confirmedWith } of granted) {
    const [again] = await fixture.store.reserve(show, [reserve]);
    if (outcome(again) !== 'replayed' || (again?.ok && again.value.reservation.id !== reservation.id))
      wrong.push(`reserve ${reserve.user} ${reserve.key}: ${outcome(again)}`);
    if (confirmedWith === undefined) continue;
    const command = { key: confirmedWith, orderRef: confirmedWith, actor: 'host:users' };
    const paid = await fixture.confirm(show, reservation, command);
    if (outcome(paid) !== 'replayed') wrong.push(`confirm ${confirmedWith}: ${outcome(paid)}`);
  }
  return wrong;
}

for (const appendfsync of ['always', 'everysec'] as const) {
  const fixture = await StoreFixture.open(`crash-${appendfsync}:`, { appendfsync });
  const stores = [fixture.store, ...(await Promise.all(times(3, () => fixture.connectAnother())))];

  for (let seed = FIRST_SEED; seed < FIRST_SEED + (long ? 50 : 2); seed++) {
    t.test(`I8: no decision is lost by kill -9 during a rush, appendfsync ${appendfsync}, seed ${seed}`, async (t) => {
      const show = await fixture.openShow({ units: UNITS, perBuyer: 3 });
      const before = await epochOf(fixture, show);
      t.equal(fixture.store.durability(), appendfsync);
      let crashed: Promise<void> | undefined;
      const midway = (): void => {
        crashed = fixture.redis.crashAndRestart({ downMs: 60 });
      };
      const load = { clients: 24, users: 40, actionsPerClient: 30, seed };
      const where = { show, sale: 'sale', skus: Object.keys(UNITS), stores, time: fixture.time };
      const report = await runStoreUsers({ ...where, ...load, midway });
      await crashed;
      t.match([...report.outcomes.keys()].join(), /redis_unavailable/, 'the crash was during the rush');
      t.equal(report.undecided, 0, 'service resumed by itself, every request was decided');
      await recovered(fixture, show);
      t.not(await epochOf(fixture, show), before, 'another server process means another epoch');
      t.equal(unwrap(await fixture.store.eventsAfter(show, before, 1)), null, 'old positions need a snapshot');
      t.same(await violationsOf(fixture, show, report), [], 'nothing was lost, sold twice or ended twice');
      t.same(await notReplayed(fixture, show, report), [], 'everything granted is in the books');
      t.same(unwrap(await fixture.store.verify(show)).violations, [], 'the ledger has no violation');
      t.equal(unwrap(await fixture.store.getSale(show, 'sale')).state, 'open', 'the sale continues');
      for (const store of stores) t.equal(store.trouble(), null);
      t.ok(fixture.commitsOf(show).resyncs > 0, 'subscribers were notified to load again');
      await fixture.skipCommitCheck(show);
    });
  }
}

t.test('after a power cut with everysec the newest decisions are lost, and a new epoch reports it', async (t) => {
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
  fixture.redis.signal('SIGKILL');
  await until(() => {
    try {
      return !process.kill(pid, 0);
    } catch {
      return true;
    }
  }, 'the end of the server');
  // Within a transaction.
  truncateSync(file, safeBytes + Math.floor((statSync(file).size - safeBytes) * 0.6) + 7);
  await fixture.redis.crashAndRestart();
  await until(() => fixture.store.trouble() === null, 'the connection');
  await recovered(fixture, show);

  t.not(await epochOf(fixture, show), before, 'a new epoch reports the loss');
  const { violations } = unwrap(await fixture.store.verify(show));
  t.same(violations, [], 'the ledger of the remaining commits has no violation');
  const kept = await Promise.all(granted.map(async (id) => (await fixture.store.getReservation(show, id)).ok));
  const last = kept.lastIndexOf(true);
  t.ok(last >= 0 && last < granted.length - 1, `${last + 1} of ${granted.length} decisions survived`);
  t.equal(kept.indexOf(false), last + 1, 'a decision is lost only with all later ones, and none in part');
  t.equal(await fixture.stateOf(show, safe.id), 'held');
  const again = await Promise.all(granted.map((_, i) => fixture.reserve(show, `u${i}`)));
  const expected = kept.map((isKept) => (isKept ? 'replayed' : 'ok'));
  t.same(again.map(outcome), expected, 'the same keys: replayed where recorded, decided again where lost');
  t.equal((await fixture.books(show)).held, granted.length + 1);
  await fixture.skipCommitCheck(show);
});
