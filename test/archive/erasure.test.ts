/** A user is erased from random shows and their archives. STAMPEDE_SEED repeats a run. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { createPrng, type Prng } from '../../bench/generator/prng.ts';
import { createErasures, verifyArchive } from '../../src/archive/index.ts';
import { ok } from '../../src/protocol/codes.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';
import { archivesOf, temporaryFolder } from '../support/archives.ts';
import { erasuresOn, logger, nameOf, userName } from '../support/erasures.ts';
import { filesNaming, keysNaming } from '../support/every-value.ts';
import { programArguments } from '../support/root.ts';
import { FIRST_SEED } from '../support/seed.ts';
import { byHost, HOST, outcome, pluck, StoreFixture, times, unwrap } from '../support/store-fixture.ts';
import { runStoreUsers } from '../support/store-users.ts';

const fixture = await StoreFixture.open('era:');
const { test, store, client, time, hold, confirm, openShow } = fixture;
const USERS = 6;
const { newUser, erasuresOf, erase, letRetry, say } = erasuresOn(fixture, USERS);
const KILLS = 3;
const [ADA, EVE] = [userName(0), userName(1)];
const TEXTS = [ADA, nameOf(ADA), `secret of ${ADA}`];

/** Users buy, wait, chat, are muted and refused. No hold of Ada is open at the end. */
async function play(show: string, seed: number): Promise<void> {
  const random: Prng = createPrng(seed);
  const users = times(USERS, userName);
  const order = await hold(show, ADA);
  unwrap(await confirm(show, order));
  const notes = {
    note: `secret of ${ADA}`,
    tracking: `https://carrier.example/${ADA}`,
    fulfillment: 'fulfilled',
  } as const;
  unwrap(await store.changeOrder(show, order.id, notes));
  const refunded = await fixture.order(show, ADA, { key: 'refunded' });
  unwrap(await fixture.refund(show, refunded, { reason: `secret of ${ADA}` }));
  await runStoreUsers({
    ...{ show, sale: 'sale', skus: ['S', 'M'], stores: [store], clients: USERS, users: USERS, actionsPerClient: 10 },
    ...{ seed, time, userName },
  });
  for (let n = 0; n < 12; n++)
    await say(
      show,
      times(random.int(1, 6), () => random.pick(users)),
    );
  for (const user of [ADA, EVE])
    for (const sku of ['S', 'M']) {
      const wait = { user, key: `wait-${user}`, sale: 'sale', sku, qty: 2 };
      await store.waitlist(show, { ...wait, op: 'join' });
    }
  await store.reserve(show, [{ user: ADA, key: `more-${ADA}`, sale: 'sale', lines: [{ sku: 'S', qty: 4 }] }]);
  await store.reserve(show, [{ user: ADA, key: 'none', sale: 'no-sale', lines: [{ sku: 'S', qty: 1 }] }]);
  unwrap(await store.mute(show, ADA, 3_600_000));
  unwrap(await store.removeChat(show, [1]));
  unwrap(await store.reportCounts(show, 'n', 2, 1, users));
  unwrap(await store.once(show, byHost('mute'), ['body'], async () => ok({ payload: { user: ADA } })));
}

async function end(show: string): Promise<void> {
  unwrap(await store.endShow(show, HOST));
  for (const member of await client.zrange(time.key(show, 'due'), 0, '-1'))
    await time.passDeadlineUnderLoad(show, member).catch(() => {});
  await store.tick(show);
}

/** What a show adds up to, without who did it. */
async function sumOf(show: string) {
  const { entries, reservations, refusals, sales, violations } = unwrap(await store.verify(show));
  return { entries, reservations, refusals, sales, violations };
}

/** Ada has no open hold afterwards. A release may get her an offer of the waitlist. */
async function withoutHolds(show: string): Promise<void> {
  const isHeld = ({ state }: { state: string }): boolean => state === 'held';
  for (let held: ReservationView[] = []; ; ) {
    held = (await fixture.reservationsOf(show, [ADA])).flat().filter(isHeld);
    if (held.length === 0) return;
    for (const one of held) unwrap(await fixture.release(show, one));
  }
}

const kinds = ['live', 'ended', 'archived'] as const;

async function randomShows(folder: string, seed: number): Promise<Record<(typeof kinds)[number], string>> {
  const shows = {} as Record<(typeof kinds)[number], string>;
  for (const [n, kind] of kinds.entries()) {
    const show = await openShow({ perBuyer: 6, units: { S: 12, M: 6 } });
    unwrap(await store.startShow(show, HOST));
    await play(show, seed * 10 + n);
    await withoutHolds(show);
    if (kind !== 'live') await end(show);
    if (kind === 'archived') unwrap(await archivesOf(store, folder).archive(show));
    await fixture.skipCommitCheck(show);
    shows[kind] = show;
  }
  return shows;
}

/** Nothing names the user, and everything adds up as before. */
async function checkErased(t: Test, folder: string, texts = TEXTS): Promise<void> {
  t.same(await keysNaming(client, fixture.prefix, texts), [], 'no key names the user');
  t.same(filesNaming(folder, texts), [], 'no file names the user');
}

for (let seed = FIRST_SEED; seed < FIRST_SEED + 2; seed++)
  test(`an erased user is in no key and no archive, and the books are as before (I1), seed ${seed}`, async (t) => {
    const folder = temporaryFolder(t);
    const { live, ended, archived } = await randomShows(folder, seed);
    t.ok((await keysNaming(client, fixture.prefix, TEXTS)).length > 10);
    t.ok(filesNaming(folder, TEXTS).length > 0);
    const before = { live: await sumOf(live), ended: await sumOf(ended) };
    const proof = await verifyArchive(join(folder, archived));
    const summary = unwrap(await store.archiveOf(archived));

    const report = await erase(folder, ADA);
    t.match(report, { state: 'done', shows: 2, archives: 1, remaining: { length: 0 } });
    for (const name of ['messages', 'reservations', 'ledgerEntries', 'commands', 'mutes'] as const)
      t.ok(report[name] > 0, `${report[name]} ${name}`);
    await checkErased(t, folder);

    for (const [name, show] of Object.entries({ live, ended })) {
      const { entries, ...sums } = await sumOf(show);
      const { entries: earlier, ...same } = before[name as 'live' | 'ended'];
      t.same(sums, same, `${name}: the books`);
      t.ok(entries >= earlier && entries <= earlier + 2, 'left waitlists are the only new entries');
    }
    const { sha256, erasedAt, ...after } = await verifyArchive(join(folder, archived));
    const { sha256: old, ...same } = proof;
    t.same(after, same, 'the archive proves the same');
    t.not(sha256, old);
    t.equal(erasedAt?.length, 1);
    t.match(unwrap(await store.archiveOf(archived)), { ...summary, sha256 });

    t.match(await erase(folder, ADA), { state: 'done', shows: 0, archives: 0, messages: 0 }, 'a repeat finds nothing');
    for (const show of [live, ended]) t.same((await sumOf(show)).violations, []);
    await end(live);
    unwrap(await archivesOf(store, folder).archive(ended));
    unwrap(await archivesOf(store, folder).archive(live));
    for (const show of [live, ended]) t.same((await verifyArchive(join(folder, show))).violations, []);
    t.same(filesNaming(folder, TEXTS), []);
    for (const show of [live, ended, archived]) unwrap(await archivesOf(store, folder).remove(show));
  });

test('a user has another pseudonym in each show, and others keep their name', async (t) => {
  const user = newUser();
  const folder = temporaryFolder(t);
  const shows = [await openShow(), await openShow()];
  for (const show of shows) {
    unwrap(await confirm(show, await hold(show, user)));
    unwrap(await confirm(show, await hold(show, EVE)));
  }
  t.match(await erase(folder, user), { shows: 2, reservations: 2, ledgerEntries: 4 });
  for (const show of shows) await fixture.skipCommitCheck(show);
  const names = await Promise.all(shows.map(async (show) => (await fixture.ledger(show)).map((entry) => entry[3])));
  const erased = names.map((users) => [...new Set(users)].filter((user) => user && user !== EVE));
  t.match(erased, [[/^erased-[\w-]{20}$/], [/^erased-[\w-]{20}$/]]);
  t.not(String(erased[0]), String(erased[1]));
  t.same(
    names.map((users) => users.filter((user) => user === EVE).length),
    [2, 2],
  );
  for (const show of shows) t.same(pluck((await fixture.reservationsOf(show, [user])).flat(), 'id'), []);
});

test('an open hold is waited for; the rest is erased, and the hold later', async (t) => {
  const user = newUser();
  const folder = temporaryFolder(t);
  const [held, other] = [await openShow(), await openShow()];
  const reservation = await hold(held, user);
  unwrap(await confirm(other, await hold(other, user)));
  const report = await erase(folder, user);
  for (const show of [held, other]) await fixture.skipCommitCheck(show);
  t.match(report, { state: 'waiting', shows: 1, finishedAt: null });
  t.match(report.remaining, [{ show: held, reason: 'hold_open', retried: true }]);
  t.ok((report.remaining[0]?.until ?? 0) >= reservation.heldUntil);
  t.match(unwrap(await store.erasureOf(user)), { state: 'waiting' });
  unwrap(await confirm(held, reservation));
  const erasures = erasuresOf(folder);
  await erasures.runPlanned();
  t.match(unwrap(await erasures.report(user)), { state: 'waiting' }, 'it was tried recently');
  await letRetry(user);
  await erasures.runPlanned();
  t.match(unwrap(await erasures.report(user)), { state: 'done', shows: 2, reservations: 2, remaining: { length: 0 } });
  await checkErased(t, folder, [user]);
});

test('a repeated key of an erased user makes no second reservation (I4)', async (t) => {
  const user = newUser();
  const show = await openShow();
  const first = await hold(show, user, { key: 'mine' });
  unwrap(await confirm(show, first));
  await fixture.skipCommitCheck(show);
  await erase(temporaryFolder(t), user);
  t.match(await fixture.reserve(show, user, { key: 'mine' }), { ok: false, error: { code: 'idempotency_conflict' } });
  t.match(await fixture.reserve(show, user, { key: 'new' }), { ok: true }, 'and is a new buyer with a new key');
  t.equal(await fixture.stateOf(show, first.id), 'confirmed');
});

test('the books are verified while users who wait are erased', async (t) => {
  const show = await openShow({ perBuyer: 2, units: { S: 1 } });
  await hold(show, 'first');
  const waiting = times(4, newUser);
  for (const user of waiting)
    unwrap(await store.waitlist(show, { op: 'join', user, key: 'w', sale: 'sale', sku: 'S', qty: 1 }));
  // More entries than one page of the auditor.
  const report = { sale: 'sale', code: 'sold_out', count: 1, offset: 1, rev: 1 } as const;
  await Promise.all(times(800, () => store.reportRefusals(show, 'n', 1, [report])));
  for (const user of waiting)
    unwrap(await store.waitlist(show, { op: 'leave', user, key: 'l', sale: 'sale', sku: 'S' }));
  let isErasing = true;
  const wrong: string[] = [];
  const verify = async (): Promise<void> => {
    while (isErasing) wrong.push(...unwrap(await store.verify(show)).violations);
  };
  const verifying = verify();
  for (const user of waiting)
    t.match(unwrap(await store.eraseInShow(show, { user, pseudonym: `erased-${user}` })), { step: 'done' });
  isErasing = false;
  await verifying;
  t.same(wrong, []);
});

test('a mute of a live show outlives the erasure, without the name', async (t) => {
  const user = newUser();
  const show = await openShow();
  unwrap(await store.startShow(show, HOST));
  const { until } = unwrap(await store.mute(show, user, 3_600_000));
  t.match(await erase(temporaryFolder(t), user), { mutes: 1 });
  t.match(unwrap(await store.mutes(show)), [{ user: /^#[\w-]{22}$/, until }]);
  t.same(await keysNaming(client, fixture.prefix, [user]), []);
});

test('a show in which a user is half erased is not archived', async (t) => {
  const user = newUser();
  const folder = temporaryFolder(t);
  const show = await openShow();
  unwrap(await confirm(show, await hold(show, user)));
  await end(show);
  await fixture.skipCommitCheck(show);
  const failing = { ok: false, error: { code: 'internal', message: '' } } as const;
  const eraseInShow: typeof store.eraseInShow = async (id, erased) =>
    id === show ? failing : store.eraseInShow(id, erased);
  const stopped = createErasures({ folder, logger, store: { ...store, eraseInShow } });
  const report = unwrap(await stopped.erase(user));
  t.match(report, { state: 'waiting', remaining: [{ show, reason: 'failed', retried: true }] });
  await client.hset(time.key(show, 'show'), 'erasing', String(store.now()), 'eraser', 'killed');
  t.equal(outcome(await archivesOf(store, folder).archive(show)), 'overloaded');
  await letRetry(user);
  await erasuresOf(folder).runPlanned();
  t.match(unwrap(await archivesOf(store, folder).archive(show)), { state: 'archived', summary: { violations: 0 } });
  await checkErased(t, folder, [user]);
});

test(`an eraser that is killed at any moment is repeated without a trace (I8), seed ${FIRST_SEED}`, async (t) => {
  const random = createPrng(FIRST_SEED);
  const folder = temporaryFolder(t);
  const { live, ended, archived } = await randomShows(folder, FIRST_SEED + 100);
  const before = { live: await sumOf(live), ended: await sumOf(ended) };
  const proof = await verifyArchive(join(folder, archived));
  const start = () => {
    const args = [...programArguments('test/archive/eraser'), fixture.redis.url, fixture.prefix, folder, ADA];
    return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  };
  let kills = 0;
  for (let run = 0; run < KILLS; run++) {
    const eraser = start();
    const exited = once(eraser, 'exit');
    await once(eraser.stdout, 'data');
    await sleep(random.int(5, 150));
    eraser.kill('SIGKILL');
    const [, signal] = await exited;
    if (signal === 'SIGKILL') kills += 1;
    // As if the time of the lease had passed.
    await client.del(`${fixture.prefix}eraser`);
  }
  t.comment(`${kills} of ${KILLS} runs were killed`);
  await erase(folder, ADA);
  await checkErased(t, folder);
  t.same((await sumOf(live)).violations, []);
  t.same((await sumOf(ended)).sales, before.ended.sales);
  t.same((await sumOf(live)).sales, before.live.sales);
  const { sha256: _new, erasedAt: _erased, ...after } = await verifyArchive(join(folder, archived));
  const { sha256: _old, ...same } = proof;
  t.same(after, same);
});
