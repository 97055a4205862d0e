/**
 * The connection to Redis breaks around a command: the outcome is unknown, the same key returns it,
 * and units count once (promises I4 and I8).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import type { SaleMove } from '../../src/domain/sale.ts';
import type { Result } from '../../src/protocol/codes.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';
import { connectStore } from '../../src/redis/index.ts';
import { HOST, outcome, StoreFixture, unwrap } from '../support/store-fixture.ts';

const fixture = await StoreFixture.open('line:');
const proxy = await TcpProxy.to({ path: fixture.redis.socketPath });
const store = await connectStore({ url: proxy.redisUrl, keyPrefix: 'line:' });
t.teardown(async () => {
  await store.close();
  await proxy.close();
});

/** Repeats a command as a client does, until the connection is back. */
async function decided<T>(run: () => Promise<Result<T>>): Promise<Result<T>> {
  for (let i = 0; i < 200; i++) {
    const result = await run();
    if (result.ok || result.error.code !== 'redis_unavailable') return result;
    await sleep(20);
  }
  throw new Error('the connection did not come back');
}

const KEY = 'fragile';
const command = { key: KEY, actor: HOST };
const books = (allocated: number, available: number, held: number, sold = 0, withdrawn = 0) => ({
  allocated,
  available,
  held,
  sold,
  withdrawn,
});
type Command = () => Promise<Result<unknown>>;
/** `prepare` returns the command, with `KEY` as its key. `after`: the books of SKU S after it. */
type Case = readonly [name: string, prepare: (show: string) => Promise<Command>, after: ReturnType<typeof books>];

const onHold =
  (run: (show: string, held: ReservationView) => Promise<Result<unknown>>) =>
  async (show: string): Promise<Command> => {
    const held = await fixture.hold(show, 'ann');
    return () => run(show, held);
  };
const onSale = (move: SaleMove) => async (show: string) => () => store.moveSale(show, 'sale', move, command);
const cases: readonly Case[] = [
  ['reserve', async (show) => () => fixture.reserve(show, 'ann', { key: KEY }, store), books(2, 1, 1)],
  ['confirm', onHold((show, held) => fixture.confirm(show, held, { key: KEY }, store)), books(2, 1, 0, 1)],
  ['release', onHold((show, held) => fixture.release(show, held, { key: KEY }, store)), books(2, 2, 0)],
  [
    'extend a hold',
    onHold((show, { id }) => store.extendHold(show, { reservation: id, byMs: 1_000 }, command)),
    books(2, 1, 1),
  ],
  ['more units', onSale({ op: 'units', sku: 'S', delta: 5 }), books(7, 7, 0)],
  ['fewer units', onSale({ op: 'units', sku: 'S', delta: -1 }), books(2, 1, 0, 0, 1)],
  ['end', onSale({ op: 'end' }), books(2, 2, 0)],
  ['create', async (show) => () => store.createSale(show, fixture.saleSpec({ id: 'second' }), command), books(2, 2, 0)],
  [
    'join the waitlist',
    async (show) => {
      await fixture.hold(show, 'bob', { qty: 2 });
      return () => store.waitlist(show, { op: 'join', user: 'ann', key: KEY, sale: 'sale', sku: 'S', qty: 1 });
    },
    books(2, 0, 2),
  ],
];

for (const [name, prepare, after] of cases) {
  fixture.test(`I4: ${name}, the reply is lost`, async (t) => {
    const show = await fixture.openShow({ units: { S: 2 }, perBuyer: 2 });
    const run = await prepare(show);
    const cut = proxy.next('lose the reply', KEY);
    const first = await run();
    await cut;
    t.equal(outcome(first), 'redis_unavailable', 'the outcome is unknown');
    const repeated = await decided(run);
    t.ok(repeated.ok, `the same key: ${outcome(repeated)}`);
    if (repeated.ok && 'replayed' in (repeated.value as object))
      t.equal(outcome(repeated), 'replayed', 'the recorded result');
    t.same(await decided(run), repeated);
    t.same(await fixture.books(show), after, 'it happened once');
  });

  fixture.test(`I4: ${name}, the request is lost`, async (t) => {
    const show = await fixture.openShow({ units: { S: 2 }, perBuyer: 2 });
    const run = await prepare(show);
    const cut = proxy.next('lose the request', KEY);
    t.equal(outcome(await run()), 'redis_unavailable');
    await cut;
    t.equal(outcome(await decided(run)), 'ok', 'it had not happened');
    t.same(await fixture.books(show), after, 'it happened once');
  });

  fixture.test(`I4: ${name}, delivered twice`, async (t) => {
    const show = await fixture.openShow({ units: { S: 2 }, perBuyer: 2 });
    const run = await prepare(show);
    const twice = proxy.next('deliver twice', KEY);
    t.ok((await run()).ok);
    await twice;
    t.same(await fixture.books(show), after, 'it happened once');
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
  t.equal(
    outcome(await fixture.store.extendHold(show, { reservation: ann.id, byMs: 1 }, { key: 'p', actor: HOST })),
    'sale_cancelled',
  );
  t.equal(outcome(await fixture.release(show, bob)), 'ok');
  t.ok((await decided(cancel)).ok);
  t.equal(await fixture.stateOf(show, ann.id), 'released');
  t.same(await fixture.books(show), { allocated: 4, available: 4, held: 0, sold: 0, withdrawn: 0 });
});

fixture.test('a refusal whose reply is lost changes nothing', async (t) => {
  const show = await fixture.openShow({ units: { S: 1 } });
  await fixture.hold(show, 'bob');
  const cut = proxy.next('lose the reply', KEY);
  t.equal(outcome(await fixture.reserve(show, 'ann', { key: KEY }, store)), 'redis_unavailable');
  await cut;
  t.equal(outcome(await decided(() => fixture.reserve(show, 'ann', { key: KEY }, store))), 'sold_out');
});

fixture.test(
  'a subscriber whose connection broke is notified to load again, and receives later messages',
  async (t) => {
    const show = await fixture.openShow();
    const received: string[] = [];
    let resyncs = 0;
    const { unsubscribe } = unwrap(
      await store.subscribe(show, {
        onMessage: (message) => received.push(message.kind),
        onResync: () => {
          resyncs++;
        },
      }),
    );
    proxy.down();
    for (let i = 0; i < 200 && store.trouble() === null; i++) await sleep(10);
    t.match(store.trouble(), /Redis/, 'the store reports the trouble');
    t.equal(outcome(await store.tick(show)), 'redis_unavailable');
    t.equal(outcome(await fixture.reserve(show, 'ann', {}, store)), 'redis_unavailable');
    unwrap(await fixture.reserve(show, 'missed'));
    proxy.up();
    for (let i = 0; i < 400 && (resyncs === 0 || store.trouble() !== null); i++) await sleep(10);
    t.equal(resyncs, 1);
    t.equal(store.trouble(), null);
    const loaded = unwrap(await store.load(show));
    t.equal(loaded.snapshot.sales[0]?.skus[0]?.left, 9, 'the snapshot contains what was missed');
    unwrap(await fixture.reserve(show, 'received'));
    for (let i = 0; i < 200 && received.length === 0; i++) await sleep(5);
    t.same(received, ['commit']);
    await unsubscribe();
  },
);
