/** Redis freezes for six seconds: calls return in time, and the same keys show their outcome. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { checkHistory } from '../support/history-checker.ts';
import { HOST, outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';
import { finalState, runStoreUsers } from '../support/store-users.ts';

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
  const users = runStoreUsers({
    show: rush,
    sale: 'sale',
    skus: ['S', 'M'],
    stores: [store, await fixture.connectAnother()],
    clients: 12,
    users: 12,
    actionsPerClient: 40,
    seed: 7,
    time: fixture.time,
  });
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
  const times: Record<string, number> = {};
  const results = await Promise.all(
    Object.entries(calls).map(async ([name, call]) => {
      const result = await call();
      times[name] = Date.now() - began;
      return [name, outcome(result as never)];
    }),
  );
  t.same(
    results,
    Object.keys(calls).map((name) => [name, 'redis_unavailable']),
  );
  for (const [name, ms] of Object.entries(times)) t.ok(ms <= BOUND_MS, `${name} returned after ${ms} ms`);

  let late: ConnectedStore | undefined;
  const connecting = connectStore({ url: fixture.redis.url, keyPrefix: fixture.prefix }).then((made) => {
    late = made;
  });
  await stopped;
  await Promise.race([connecting, sleep(BOUND_MS)]);
  t.ok(late, 'a store that starts while Redis is frozen connects');
  for (let i = 0; i < 300 && late?.trouble() !== null; i++) await sleep(10);
  t.equal(late?.trouble(), null);
  t.equal(outcome(await (late ?? store).load(show)), 'ok');
  await late?.close();

  t.equal(store.trouble(), null, 'no restart is needed');
  const repeated = [
    await fixture.reserve(show, 'cyd'),
    await fixture.confirm(show, ann),
    await fixture.release(show, bob),
  ];
  for (const result of repeated) t.ok(result.ok, `the same key: ${outcome(result)}`);
  unwrap(await store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 1 }, { key: 'u', actor: HOST }));
  t.same(
    await fixture.books(show),
    { allocated: 31, available: 29, held: 1, sold: 1, withdrawn: 0 },
    'each of them counted once',
  );
  t.equal(unwrap(await store.load(show)).snapshot.epoch, epoch, 'the same server process has the same epoch');

  const report = await users;
  t.equal(report.undecided, 0);
  t.same(
    checkHistory(
      report.history,
      { allocated: { sale: { S: 20, M: 10 } }, perBuyer: { sale: 3 } },
      await finalState(fixture.client, fixture.time.key(rush, 'reservations')),
    ),
    [],
  );
  for (const each of [show, rush]) await fixture.checkInvariants(t, each);
});
