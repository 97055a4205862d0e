/**
 * The line to Redis breaks at the worst moments: the outcome is unknown, the same key tells it, and
 * units count once (promises I4 and I8).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Result } from '../../src/protocol/codes.ts';
import { connectStore } from '../../src/redis/index.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { HOST, outcome, Stage, unwrap } from '../support/stage.ts';

const stage = await Stage.open('line:');
const proxy = await CuttingProxy.open(stage.redis.socketPath);
const store = await connectStore({ url: proxy.url, keyPrefix: 'line:' });
t.teardown(async () => {
  await store.close();
  await proxy.close();
});

/** Repeats a command as a client does, until the line is back. */
async function answered<T>(run: () => Promise<Result<T>>): Promise<Result<T>> {
  for (let i = 0; i < 200; i++) {
    const answer = await run();
    if (answer.ok || answer.error.code !== 'redis_unavailable') return answer;
    await sleep(20);
  }
  throw new Error('the line did not come back');
}

interface Case {
  name: string;
  /** What it needs beforehand; answers the command, with a key that holds the word "fragile". */
  prepare(show: string): Promise<() => Promise<Result<unknown>>>;
  /** The books of S in the sale when it was done once. */
  after: { allocated: number; available: number; held: number; sold: number; withdrawn: number };
}

const KEY = 'fragile';
const books = (allocated: number, available: number, held: number, sold = 0, withdrawn = 0) => ({
  allocated,
  available,
  held,
  sold,
  withdrawn,
});
const cases: Case[] = [
  {
    name: 'reserve',
    prepare: async (show) => () => stage.reserve(show, 'ann', { key: KEY }, store),
    after: books(2, 1, 1),
  },
  {
    name: 'confirm',
    prepare: async (show) => {
      const held = await stage.hold(show, 'ann');
      return () => stage.confirm(show, held, { key: KEY }, store);
    },
    after: books(2, 1, 0, 1),
  },
  {
    name: 'release',
    prepare: async (show) => {
      const held = await stage.hold(show, 'ann');
      return () => stage.release(show, held, { key: KEY }, store);
    },
    after: books(2, 2, 0),
  },
  {
    name: 'prolong',
    prepare: async (show) => {
      const held = await stage.hold(show, 'ann');
      return () => store.extendHold(show, { reservation: held.id, byMs: 1_000 }, { key: KEY, actor: HOST });
    },
    after: books(2, 1, 1),
  },
  {
    name: 'more units',
    prepare: async (show) => () =>
      store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: 5 }, { key: KEY, actor: HOST }),
    after: books(7, 7, 0),
  },
  {
    name: 'fewer units',
    prepare: async (show) => () =>
      store.moveSale(show, 'sale', { op: 'units', sku: 'S', delta: -1 }, { key: KEY, actor: HOST }),
    after: books(2, 1, 0, 0, 1),
  },
  {
    name: 'end',
    prepare: async (show) => () => store.moveSale(show, 'sale', { op: 'end' }, { key: KEY, actor: HOST }),
    after: books(2, 2, 0),
  },
  {
    name: 'create',
    prepare: async (show) => () => store.createSale(show, stage.spec({ id: 'second' }), { key: KEY, actor: HOST }),
    after: books(2, 2, 0),
  },
  {
    name: 'join the line',
    prepare: async (show) => {
      await stage.hold(show, 'bob', { qty: 2 });
      return () => store.waitlist(show, { op: 'join', user: 'ann', key: KEY, sale: 'sale', sku: 'S', qty: 1 });
    },
    after: books(2, 0, 2),
  },
];

for (const { name, prepare, after } of cases) {
  stage.scene(`${name}: the reply is lost`, async (t) => {
    const show = await stage.openShow({ units: { S: 2 }, perBuyer: 2 });
    const command = await prepare(show);
    const cut = proxy.next('lose the reply', KEY);
    const first = await command();
    await cut;
    t.equal(outcome(first), 'redis_unavailable', 'the outcome is unknown');
    const repeated = await answered(command);
    t.ok(repeated.ok, `the same key: ${outcome(repeated)}`);
    if (repeated.ok && 'replayed' in (repeated.value as object))
      t.equal(outcome(repeated), 'replayed', 'it is the recorded answer');
    t.same(await answered(command), repeated);
    t.same(await stage.books(show), after, 'it happened once');
  });

  stage.scene(`${name}: the request is lost`, async (t) => {
    const show = await stage.openShow({ units: { S: 2 }, perBuyer: 2 });
    const command = await prepare(show);
    const cut = proxy.next('lose the request', KEY);
    t.equal(outcome(await command()), 'redis_unavailable');
    await cut;
    t.equal(outcome(await answered(command)), 'ok', 'it had not happened');
    t.same(await stage.books(show), after, 'it happened once');
  });

  stage.scene(`${name}: delivered twice`, async (t) => {
    const show = await stage.openShow({ units: { S: 2 }, perBuyer: 2 });
    const command = await prepare(show);
    const twice = proxy.next('deliver twice', KEY);
    t.ok((await command()).ok);
    await twice;
    t.same(await stage.books(show), after, 'it happened once');
  });
}

stage.scene(
  'a cancel that breaks half-way: nothing can be bought any more, and its repetition finishes it',
  async (t) => {
    const show = await stage.openShow({ units: { S: 4 } });
    const [ann, bob] = [await stage.hold(show, 'ann'), await stage.hold(show, 'bob')];
    const cancel = () => store.moveSale(show, 'sale', { op: 'cancel' }, { key: 'cancel', actor: HOST });
    const cut = proxy.next('lose the request', 'zscan');
    t.equal(outcome(await cancel()), 'redis_unavailable', 'the sale is cancelled, its holds are not released yet');
    await cut;
    t.equal(unwrap(await stage.store.getSale(show, 'sale')).state, 'cancelled');
    t.equal(await stage.stateOf(show, ann.id), 'held');
    t.equal(outcome(await stage.confirm(show, ann)), 'sale_cancelled');
    t.equal(
      outcome(await stage.store.extendHold(show, { reservation: ann.id, byMs: 1 }, { key: 'p', actor: HOST })),
      'sale_cancelled',
    );
    t.equal(outcome(await stage.release(show, bob)), 'ok');
    t.ok((await answered(cancel)).ok);
    t.equal(await stage.stateOf(show, ann.id), 'released');
    t.same(await stage.books(show), { allocated: 4, available: 4, held: 0, sold: 0, withdrawn: 0 });
  },
);

stage.scene('a refusal whose answer is lost leaves nothing behind', async (t) => {
  const show = await stage.openShow({ units: { S: 1 } });
  await stage.hold(show, 'bob');
  const cut = proxy.next('lose the reply', KEY);
  t.equal(outcome(await stage.reserve(show, 'ann', { key: KEY }, store)), 'redis_unavailable');
  await cut;
  t.equal(outcome(await answered(() => stage.reserve(show, 'ann', { key: KEY }, store))), 'sold_out');
});

stage.scene('a listener whose line broke is told to load again, and hears on', async (t) => {
  const show = await stage.openShow();
  const heard: string[] = [];
  let resyncs = 0;
  const { unsubscribe } = unwrap(
    await store.subscribe(show, {
      onMessage: (message) => heard.push(message.kind),
      onResync: () => {
        resyncs++;
      },
    }),
  );
  proxy.cutAll({ down: true });
  for (let i = 0; i < 200 && store.trouble() === null; i++) await sleep(10);
  t.match(store.trouble(), /Redis/, 'the store says what is wrong');
  t.equal(outcome(await store.tick(show)), 'redis_unavailable');
  t.equal(outcome(await stage.reserve(show, 'ann', {}, store)), 'redis_unavailable');
  unwrap(await stage.reserve(show, 'missed'));
  proxy.up();
  for (let i = 0; i < 400 && (resyncs === 0 || store.trouble() !== null); i++) await sleep(10);
  t.equal(resyncs, 1);
  t.equal(store.trouble(), null);
  const loaded = unwrap(await store.load(show));
  t.equal(loaded.snapshot.sales[0]?.skus[0]?.left, 9, 'the snapshot holds what was missed');
  unwrap(await stage.reserve(show, 'heard'));
  for (let i = 0; i < 200 && heard.length === 0; i++) await sleep(5);
  t.same(heard, ['commit']);
  await unsubscribe();
});
