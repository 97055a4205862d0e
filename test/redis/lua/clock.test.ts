/** tick.lua and lib/due.lua: what time does, once, in slices, whichever script comes first. */
import { LIMITS } from '../../../src/limits.ts';
import type { Result } from '../../../src/protocol/codes.ts';
import { byHost, items, outcome, StoreFixture, times, unwrap } from '../../support/store-fixture.ts';

const fixture = await StoreFixture.open('clock:');
const { test, showTest, saleTest, store, client, time, openShow, newShow, newSale, saleSpec, connectAnother } = fixture;
const { reserve, hold, confirm, release, books, move, ledger, stateOf, reservationsOf, eventTypes, published } =
  fixture;

showTest('nothing is due: nothing is done, and the next moment is returned', async (t, show) => {
  t.same(unwrap(await store.tick(show)), { done: 0, nextDueAt: null });
  const sale = await newSale(show, { opensInMs: 60_000, durationMs: 60_000 });
  t.same(unwrap(await store.tick(show)), { done: 0, nextDueAt: sale.opensAt });
  const opened = unwrap(await move(show, { op: 'open' }));
  t.same(unwrap(await store.tick(show)), { done: 0, nextDueAt: opened.closesAt });
  const held = await hold(show, 'ann');
  t.ok((unwrap(await store.tick(show)).nextDueAt ?? 0) <= (opened.closesAt ?? 0));
  t.same(await published(show, () => store.tick(show)), [], 'a tick that does nothing publishes nothing');
  unwrap(await release(show, held));
  t.equal(outcome(await store.tick('ghost')), 'show_not_found');
});

showTest('every commit carries the next due moment', async (t, show) => {
  const commitOf = async <T>(work: () => Promise<T>) => {
    const made: T[] = [];
    const commits = await published(show, async () => made.push(await work()));
    return { made: made[0] as T, nextDueAt: commits.at(-1)?.nextDueAt };
  };
  const planned = await newSale(show, { opensInMs: 500_000, durationMs: 100_000, holdMs: 20_000 });
  t.equal(unwrap(await store.load(show)).nextDueAt, planned.opensAt);
  const opened = await commitOf(() => move(show, { op: 'open' }));
  const { closesAt } = unwrap(opened.made);
  t.equal(opened.nextDueAt, closesAt);
  const held = await commitOf(() => hold(show, 'ann'));
  t.equal(held.nextDueAt, held.made.heldUntil + LIMITS.confirmGraceMs, 'the end of the grace, not of the hold');
  t.equal((await commitOf(() => confirm(show, held.made))).nextDueAt, closesAt);
  t.equal((await commitOf(() => move(show, { op: 'end' }))).nextDueAt, null);
});

showTest('for a sale that is open from the start, only its end is due', async (t, show) => {
  const sale = await newSale(show);
  t.same(await client.zrange(time.key(show, 'due'), 0, '-1'), ['c:sale']);
  t.equal(unwrap(await store.load(show)).nextDueAt, sale.closesAt);
});

showTest('a sale opens and closes at its moments, each published once', async (t, show) => {
  await newSale(show, { opensInMs: 60_000, durationMs: 60_000 });
  await time.passMoment(show, 'sale', 'opensAt');
  t.same(await eventTypes(show, () => store.tick(show)), ['sale.opened']);
  t.same(await eventTypes(show, () => store.tick(show)), []);
  t.match((await ledger(show)).at(-1), ['sale', 'sale', false, false, 'time', '', 'open']);
  await time.passMoment(show, 'sale', 'closesAt');
  t.same(await eventTypes(show, () => store.tick(show)), ['sale.ended']);
  t.match(unwrap(await store.getSale(show, 'sale')), { state: 'ended', endedAt: Number });
  t.same(unwrap(await store.tick(show)), { done: 0, nextDueAt: null });
});

test('the first script opens or ends the sale: a reserve, a confirm, concurrent ticks', async (t) => {
  const planned = async () => {
    const show = await newShow();
    await newSale(show, { opensInMs: 60_000, durationMs: 60_000 });
    await time.passMoment(show, 'sale', 'opensAt');
    return show;
  };
  const typesOf = async (show: string, expected: string, call: () => Promise<Result<unknown>>) =>
    eventTypes(show, async () => t.equal(outcome(await call()), expected));
  const first = await planned();
  t.same(await typesOf(first, 'ok', () => reserve(first, 'ann')), ['sale.opened'], 'before any tick');
  await time.passMoment(first, 'sale', 'closesAt');
  t.same(await typesOf(first, 'sale_ended', () => reserve(first, 'bob')), ['sale.ended']);

  const second = await planned();
  const stores = [store, await connectAnother(), store];
  const tickAll = () => Promise.all(stores.map((each) => each.tick(second)));
  t.same(await eventTypes(second, tickAll), ['sale.opened']);

  const third = await openShow();
  const held = await hold(third, 'ann');
  await time.passMoment(third, 'sale', 'closesAt');
  t.same(await typesOf(third, 'ok', () => confirm(third, held)), ['sale.ended'], 'a hold outlives its sale');
});

showTest('a sale whose moments both passed opens and closes in one call', async (t, show) => {
  await newSale(show, { opensInMs: 60_000, durationMs: 60_000 });
  await time.passMoment(show, 'sale', 'opensAt', 2_000);
  await time.passMoment(show, 'sale', 'closesAt', 1_000);
  t.same(await eventTypes(show, () => store.tick(show)), ['sale.opened', 'sale.ended']);
});

saleTest('a paused sale ends on time too', {}, async (t, show) => {
  unwrap(await move(show, { op: 'pause' }));
  await time.passMoment(show, 'sale', 'closesAt');
  t.same(await eventTypes(show, () => store.tick(show)), ['sale.ended']);
});

test('expired holds free their units, once, and their buyers are notified', async (t) => {
  const show = await openShow({ units: { S: 3, M: 3 }, perBuyer: 3 });
  const held = await hold(show, 'ann', { lines: items({ S: 2, M: 1 }) });
  const kept = await hold(show, 'bob');
  await time.passDeadline(show, held.id);
  const [commit] = await published(show, async () => t.same(unwrap(await store.tick(show)).done, 1));
  t.match(commit?.reservations, [{ id: held.id, user: 'ann', state: 'expired' }]);
  t.match(commit?.sales, [{ left: { S: 2, M: 3 } }]);
  t.equal(unwrap(await store.tick(show)).done, 0);
  t.equal(await stateOf(show, kept.id), 'held');
  t.same(await reservationsOf(show, ['ann']), [[]]);
  t.match((await ledger(show)).at(-1), ['expire', 'sale', held.id, 'ann', 'time', '', 'deadline']);
});

test('many expired holds are swept in slices, by every script call', async (t) => {
  const rest = 7;
  const count = 2 * LIMITS.sweepSliceMax + rest;
  const show = await openShow({ units: { S: count + 1 } });
  await Promise.all(times(count, (i) => hold(show, `u${i}`)));
  t.equal(await time.passAllDeadlines(show), count);
  const first = unwrap(await store.tick(show));
  t.equal(first.done, LIMITS.sweepSliceMax);
  t.ok((first.nextDueAt ?? 0) <= store.now() + 1_000, 'the rest is due at once');
  t.equal(outcome(await reserve(show, 'new')), 'ok');
  t.equal((await books(show)).held, count - 2 * LIMITS.sweepSliceMax + 1, 'the reserve swept a slice');
  t.equal(unwrap(await store.tick(show)).done, rest);
  t.equal(unwrap(await store.tick(show)).done, 0);
  t.same(await books(show), { allocated: count + 1, available: count, held: 1, sold: 0, withdrawn: 0 });
});

showTest('a show enters the index with its first sale and leaves it when nothing is due', async (t, show) => {
  const live = async () => unwrap(await store.liveShows()).includes(show);
  t.notOk(await live());
  await newSale(show);
  t.ok(await live());
  const held = await hold(show, 'ann');
  unwrap(await move(show, { op: 'end' }));
  await store.tick(show);
  t.ok(await live(), 'an open hold keeps it');
  await time.passDeadline(show, held.id);
  await store.tick(show);
  t.notOk(await live());
});

showTest('I9: a show with drafts or a distant sale leaves the index until something is due', async (t, show) => {
  const live = async () => unwrap(await store.liveShows()).includes(show);
  const tick = () => store.tick(show, true);
  await newSale(show, { id: 'draft', durationMs: 60_000 });
  t.ok(await live());
  await tick();
  t.notOk(await live(), 'a draft waits for its host');
  await newSale(show, { id: 'later', opensInMs: 600_000, durationMs: 600_000 });
  t.ok(await live());
  await store.tick(show);
  t.ok(await live(), 'only if asked');
  await tick();
  t.notOk(await live(), 'nothing happens before its moment');
  await client.zadd('clock:resting', store.now() + LIMITS.restAheadMs / 2 - 1, show);
  t.ok(await live(), 'back before the moment');
  await newSale(show, { id: 'soon', opensInMs: 30_000, durationMs: 600_000 });
  await tick();
  t.ok(await live(), 'soon due');
  await newSale(show, { id: 'now', opensInMs: 0 });
  unwrap(await move(show, { op: 'cancel' }, 'soon'));
  await tick();
  t.ok(await live(), 'an open sale may get holds at any time');
  unwrap(await move(show, { op: 'end' }, 'now'));
  await tick();
  t.notOk(await live());
  unwrap(await move(show, { op: 'open' }, 'draft'));
  t.ok(await live(), 'a command of the host wakes it');
});

test('a tick concurrent with a new sale never removes the show from the index', async (t) => {
  const other = await connectAnother();
  let hidden = 0;
  for (let i = 0; i < 40; i++) {
    const show = await newShow();
    await Promise.all([store.tick(show, i % 2 === 0), other.createSale(show, saleSpec(), byHost('c'))]);
    if (!unwrap(await store.liveShows()).includes(show)) hidden++;
  }
  t.equal(hidden, 0, 'shows with an open sale that are not in the index');
});

test('the store knows the Redis clock within its stated error', async (t) => {
  const [seconds, micros] = (await client.time()) as unknown as [string, string];
  const redisMs = Number(seconds) * 1000 + Number(micros) / 1000;
  t.ok(Math.abs(store.now() - redisMs) < 250, 'within the error');
  t.ok(store.nowErrorMs() < 250);
});

showTest('a show with a sale without an end stays in the index until the sale is over', async (t, show) => {
  await newSale(show, { opensInMs: 0 });
  await store.tick(show);
  t.ok(unwrap(await store.liveShows()).includes(show), 'nothing is due, but the sale is open');
  unwrap(await move(show, { op: 'end' }));
  await store.tick(show);
  t.notOk(unwrap(await store.liveShows()).includes(show), 'over, and nothing left to do');
});
