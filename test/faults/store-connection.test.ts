/** The connection to Redis breaks around a command: the same key returns the outcome (I4, I8). */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import type { SaleMove } from '../../src/domain/sale.ts';
import type { Result } from '../../src/protocol/codes.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';
import { connectStore } from '../../src/redis/index.ts';
import { HOST, outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';
import { holdsIn } from '../support/until.ts';

const fixture = await StoreFixture.open('line:');
const proxy = await TcpProxy.to({ path: fixture.redis.socketPath });
const store = await connectStore({ redis: redisTarget(proxy.redisUrl), keyPrefix: 'line:' });
t.teardown(async () => {
  await store.close();
  await proxy.close();
});

/** Repeats a command as a client does, until the connection is back. */
async function decided<T>(run: () => Promise<Result<T>>): Promise<Result<T>> {
  let result = await run();
  for (let i = 0; outcome(result) === 'redis_unavailable' && i < 200; i++, result = await run()) await sleep(20);
  return result;
}

const KEY = 'fragile';
const command = { key: KEY, actor: HOST };
type Gone = { sold?: number; withdrawn?: number };
const books = (allocated: number, available: number, held: number, gone: Gone = {}) => {
  return { allocated, available, held, sold: 0, withdrawn: 0, ...gone };
};
type Command = () => Promise<Result<unknown>>;
/** `prepare` returns the command, with `KEY` as its key. `after`: the books of SKU S after it. */
type Case = readonly [name: string, prepare: (show: string) => Promise<Command>, after: ReturnType<typeof books>];
type OnHold = (show: string, held: ReservationView) => Promise<Result<unknown>>;

const onHold = (run: OnHold) => async (show: string) => {
  const held = await fixture.hold(show, 'ann');
  return () => run(show, held);
};
const extend: OnHold = (show, { id }) => store.extendHold(show, { reservation: id, byMs: 1_000 }, command);
const onSale = (move: SaleMove) => async (show: string) => () => store.moveSale(show, 'sale', move, command);
const onSoldOut = async (show: string) => {
  await fixture.hold(show, 'bob', { qty: 2 });
  return () => store.waitlist(show, { op: 'join', user: 'ann', key: KEY, sale: 'sale', sku: 'S', qty: 1 });
};
const cases: readonly Case[] = [
  ['reserve', async (show) => () => fixture.reserve(show, 'ann', { key: KEY }, store), books(2, 1, 1)],
  ['confirm', onHold((show, held) => fixture.confirm(show, held, { key: KEY }, store)), books(2, 1, 0, { sold: 1 })],
  ['release', onHold((show, held) => fixture.release(show, held, { key: KEY }, store)), books(2, 2, 0)],
  ['extend a hold', onHold(extend), books(2, 1, 1)],
  ['more units', onSale({ op: 'units', sku: 'S', delta: 5 }), books(7, 7, 0)],
  ['fewer units', onSale({ op: 'units', sku: 'S', delta: -1 }), books(2, 1, 0, { withdrawn: 1 })],
  ['end', onSale({ op: 'end' }), books(2, 2, 0)],
  ['create', async (show) => () => store.createSale(show, fixture.saleSpec({ id: 'second' }), command), books(2, 2, 0)],
  ['join the waitlist', onSoldOut, books(2, 0, 2)],
];

for (const [name, prepare, after] of cases) {
  const test = (fault: string, check: (t: Test, run: Command) => Promise<void>): void =>
    fixture.saleTest(`I4: ${name}, ${fault}`, { units: { S: 2 }, perBuyer: 2 }, async (t, show) => {
      await check(t, await prepare(show));
      t.same(await fixture.books(show), after, 'it happened once');
    });

  test('the reply is lost', async (t, run) => {
    const cut = proxy.next('lose the reply', KEY);
    t.equal(outcome(await run()), 'redis_unavailable', 'the outcome is unknown');
    await cut;
    const repeated = await decided(run);
    const isRecorded = 'replayed' in (unwrap(repeated) as object);
    t.equal(outcome(repeated), isRecorded ? 'replayed' : 'ok', 'the same key returns the recorded result');
    t.same(await decided(run), repeated);
  });

  test('the request is lost', async (t, run) => {
    const cut = proxy.next('lose the request', KEY);
    t.equal(outcome(await run()), 'redis_unavailable');
    await cut;
    t.equal(outcome(await decided(run)), 'ok', 'it had not happened');
  });

  test('delivered twice', async (t, run) => {
    const twice = proxy.next('deliver twice', KEY);
    t.ok((await run()).ok);
    await twice;
  });
}

fixture.test('a cancel that breaks half-way stops the sale, and its repetition releases the holds', async (t) => {
  const show = await fixture.openShow({ units: { S: 4 } });
  const [ann, bob] = [await fixture.hold(show, 'ann'), await fixture.hold(show, 'bob')];
  const cancel = () => store.moveSale(show, 'sale', { op: 'cancel' }, { key: 'cancel', actor: HOST });
  const cut = proxy.next('lose the request', 'zscan');
  t.equal(outcome(await cancel()), 'redis_unavailable', 'the sale is cancelled, its holds are not released yet');
  await cut;
  t.equal(unwrap(await fixture.store.getSale(show, 'sale')).state, 'cancelled');
  t.equal(await fixture.stateOf(show, ann.id), 'held');
  t.equal(outcome(await fixture.confirm(show, ann)), 'sale_cancelled');
  t.equal(outcome(await fixture.store.extendHold(show, { reservation: ann.id, byMs: 1 }, command)), 'sale_cancelled');
  t.equal(outcome(await fixture.release(show, bob)), 'ok');
  t.ok((await decided(cancel)).ok);
  t.equal(await fixture.stateOf(show, ann.id), 'released');
  t.same(await fixture.books(show), books(4, 4, 0));
});

fixture.test('a refusal whose reply is lost changes nothing', async (t) => {
  const show = await fixture.openShow({ units: { S: 1 } });
  await fixture.hold(show, 'bob');
  const cut = proxy.next('lose the reply', KEY);
  t.equal(outcome(await fixture.reserve(show, 'ann', { key: KEY }, store)), 'redis_unavailable');
  await cut;
  t.equal(outcome(await decided(() => fixture.reserve(show, 'ann', { key: KEY }, store))), 'sold_out');
});

fixture.test('a subscriber whose connection broke must load again, and receives later messages', async (t) => {
  const show = await fixture.openShow();
  const received: string[] = [];
  let resyncs = 0;
  const onMessage = ({ kind }: { kind: string }) => received.push(kind);
  const onResync = (): void => void resyncs++;
  const { unsubscribe } = unwrap(await store.subscribe(show, { onMessage, onResync }));
  proxy.down();
  await holdsIn(2_000, () => store.trouble() !== null);
  t.match(store.trouble(), { reason: /Redis/ }, 'the store reports the trouble');
  t.equal(outcome(await store.tick(show)), 'redis_unavailable');
  t.equal(outcome(await fixture.reserve(show, 'ann', {}, store)), 'redis_unavailable');
  unwrap(await fixture.reserve(show, 'missed'));
  proxy.up();
  await holdsIn(4_000, () => resyncs > 0 && store.trouble() === null);
  t.equal(resyncs, 1);
  t.equal(store.trouble(), null);
  const loaded = unwrap(await store.load(show));
  t.equal(loaded.snapshot.sales[0]?.skus[0]?.left, 9, 'the snapshot contains what was missed');
  unwrap(await fixture.reserve(show, 'received'));
  await holdsIn(1_000, () => received.length > 0);
  t.same(received, ['commit']);
  await unsubscribe();
});
