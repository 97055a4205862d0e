/** Redis freezes for six seconds: calls return in time, and the same keys show their outcome. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { checkHistory } from '../support/history-checker.ts';
import { HOST, outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';
import { finalState, runStoreUsers } from '../support/store-users.ts';
import { holdsIn } from '../support/until.ts';

const fixture = await StoreFixture.open('stopped:');
const { store } = fixture;
const STOP_MS = 6_000;
/** A call may wait for its own timeout and, where it is two commands, for one more. */
const BOUND_MS = 2 * LIMITS.redisCommandTimeoutMs + 1_000;

t.test('I4: a freeze of Redis during a rush loses no decision, and every call returns in time', async (t) => {
  const show = await fixture.openShow({ units: { S: 30 }, perBuyer: 3 });
  const rush = await fixture.openShow({ units: { S: 20, M: 10 }, perBuyer: 3 });
  const [ann, bob] = [await fixture.hold(show, 'ann'), await fixture.hold(show, 'bob')];
  const epoch = unwrap(await store.load(show)).snapshot.epoch;
  const stores = [store, await fixture.connectAnother()];
  const load = { clients: 12, users: 12, actionsPerClient: 40, seed: 7 };
  const users = runStoreUsers({ show: rush, sale: 'sale', skus: ['S', 'M'], stores, time: fixture.time, ...load });
  await sleep(20);

  fixture.redis.signal('SIGSTOP');
  const began = Date.now();
  const stopped = sleep(STOP_MS).then(() => fixture.redis.signal('SIGCONT'));
  const calls: Record<string, () => Promise<{ ok: boolean }>> = {
    reserve: () => fixture.reserve(show, 'cyd'),
    confirm: () => fixture.confirm(show, ann),
    release: () => fixture.release(show, bob),
    tick: () => store.tick(show),
    load: () => store.load(show),
    'move a sale': () => store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 1 }, { key: 'u', actor: HOST }),
    'list shows': () => store.listShows(),
    'events after': () => store.eventsAfter(show, epoch, 1),
    verify: () => store.verify(show),
    ping: () => store.ping(),
    subscribe: () => store.subscribe(show, { onMessage() {}, onResync() {} }),
    holdings: () => store.holdingsOf(show, ['ann']),
  };
  const check = async ([name, call]: [string, () => Promise<{ ok: boolean }>]): Promise<void> => {
    t.equal(outcome((await call()) as never), 'redis_unavailable', name);
    t.ok(Date.now() - began <= BOUND_MS, `${name} returned after ${Date.now() - began} ms`);
  };
  await Promise.all(Object.entries(calls).map(check));

  const connecting = fixture.connectAnother();
  await stopped;
  const late = await Promise.race([connecting, sleep(BOUND_MS, null, { ref: false })]);
  t.ok(late, 'a store that starts while Redis is frozen connects');
  await holdsIn(3_000, () => late?.trouble() === null);
  t.equal(late?.trouble(), null);
  t.equal(outcome(await late?.load(show)), 'ok');

  t.ok(await holdsIn(3_000, () => store.trouble() === null), 'no restart is needed');
  unwrap(await fixture.reserve(show, 'cyd'));
  unwrap(await fixture.confirm(show, ann));
  unwrap(await fixture.release(show, bob));
  unwrap(await store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 1 }, { key: 'u', actor: HOST }));
  const once = { allocated: 31, available: 29, held: 1, sold: 1, withdrawn: 0 };
  t.same(await fixture.books(show), once, 'each of them counted once');
  t.equal(unwrap(await store.load(show)).snapshot.epoch, epoch, 'the same server process has the same epoch');

  const report = await users;
  t.equal(report.undecided, 0);
  const rules = { allocated: { sale: { S: 20, M: 10 } }, perBuyer: { sale: 3 } };
  const final = await finalState(fixture.client, fixture.time.key(rush, 'reservations'));
  t.same(checkHistory(report.history, rules, final), []);
  for (const each of [show, rush]) await fixture.checkInvariants(t, each);
});
