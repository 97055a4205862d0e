/**
 * Books that drifted come back to the ledger by compensating entries; a show that changed hands
 * pauses, is verified, and goes on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { type ConnectedStore, connectStore } from '../../src/redis/index.ts';
import { pack, type SaleRecord, type StockRecord, unpack } from '../../src/redis/records.ts';

const redis = await startRedis({ appendfsync: 'always' });
const store = await connectStore({ url: redis.url, keyPrefix: 'r:' });
t.teardown(async () => {
  await store.close();
  await redis.stop();
});

async function openShow(id: string, at: ConnectedStore = store): Promise<void> {
  await at.createShow({ id, title: 'Books', brands: [{ id: 'b', name: 'B' }] }, 'host');
  await at.putProduct(id, { id: 'p', brand: 'b', title: 'P', skus: [{ sku: 'S' }] }, 'host');
  const sale = {
    id: 'sale',
    title: 'Flash',
    currency: 'EUR',
    opensInMs: 0,
    durationMs: 600_000,
    perBuyer: 1,
    skus: [{ sku: 'S', product: 'p', price: 100, quantity: 10 }],
  };
  const made = await at.createSale(id, sale, { key: 'k', actor: 'host' });
  if (!made.ok) throw new Error(made.error.message);
}
const press = (user: string) => ({ user, key: 'k', sale: 'sale', lines: [{ sku: 'S', qty: 1 }] });

t.test('nothing to repair: nothing is written', async (t) => {
  await openShow('clean');
  await store.reserve('clean', [press('a')]);
  const before = await store.verify('clean');
  t.match(await store.reconcile('clean', 'host'), { ok: true, value: { repaired: [], untrusted: [], violations: [] } });
  t.same(await store.verify('clean'), before);
});

t.test('drifted books come back to the ledger, by an entry that says so', async (t) => {
  await openShow('drift');
  await store.reserve('drift', [press('a'), press('b')]);
  const client = redis.client();
  const stock = unpack<StockRecord>((await client.hgetBuffer('r:{drift}:stock', 'sale/S')) as Buffer);
  stock[1] += 3;
  await client.hset('r:{drift}:stock', 'sale/S', pack(stock));
  const found = await store.verify('drift');
  t.match(found, { ok: true, value: { violations: [/I1/, /differ from the ledger/] } }, 'verify names the SKU');

  t.match(await store.reconcile('drift', 'host'), {
    ok: true,
    value: { repaired: ['sale/S'], untrusted: [], violations: [] },
  });
  t.match(await store.getSale('drift', 'sale'), {
    ok: true,
    value: { state: 'open', skus: [{ available: 8, held: 2, allocated: 10 }] },
  });
  const entries = (await client.xrevrangeBuffer('r:{drift}:ledger', '+', '-', 'COUNT', 1)) as Array<[Buffer, Buffer[]]>;
  t.equal(unpack<unknown[]>(entries[0]?.[1][1] as Buffer)[0], 'adjust');
  t.match((await store.reserve('drift', [press('c')]))[0], { ok: true }, 'and the sale goes on');
  t.match(await store.verify('drift'), { ok: true, value: { violations: [] } });
});

t.test('a sale whose ledger contradicts itself is paused and left to a person', async (t) => {
  await openShow('torn');
  const [held] = await store.reserve('torn', [press('a')]);
  if (!held?.ok) throw new Error('not held');
  // Somebody writes the end of a reservation that was never held.
  const line = ['S', 1, 9, 1, 0, 0, 9, 0, 1, 0];
  await redis
    .client()
    .xadd('r:{torn}:ledger', '*', 'e', pack(['confirm', 'sale', 'nobody', 'x', 'host', 'k', 'o', [line]]));
  t.match(await store.reconcile('torn', 'host'), { ok: true, value: { untrusted: ['sale'] } });
  t.match(await store.getSale('torn', 'sale'), { ok: true, value: { state: 'paused' } });
  t.match((await store.reserve('torn', [press('b')]))[0], { ok: false, error: { code: 'sale_paused' } });
});

t.test('another server took over: open sales pause visibly, the books are verified, they go on', async (t) => {
  await openShow('moved');
  await store.reserve('moved', [press('a')]);
  const before = await store.load('moved');
  await redis.crashAndRestart();
  for (let i = 0; i < 200 && store.trouble() !== null; i++) await sleep(20);
  const first = (await store.reserve('moved', [press('b')]))[0];
  t.ok(first?.ok || first?.error.code === 'sale_paused', 'no hold before the books are verified');
  for (
    let i = 0;
    i < 200 && !(await store.getSale('moved', 'sale').then((sale) => sale.ok && sale.value.state === 'open'));
    i++
  )
    await sleep(10);
  t.match((await store.reserve('moved', [press('b')]))[0], { ok: true });
  t.match(
    (await store.reserve('moved', [press('a')]))[0],
    { ok: true, value: { replayed: true } },
    'appendfsync always: nothing was lost',
  );

  const after = await store.load('moved');
  if (!before.ok || !after.ok) throw new Error('not loaded');
  t.not(after.value.snapshot.epoch, before.value.snapshot.epoch, 'a new epoch');
  const events = await store.eventsAfter('moved', after.value.snapshot.epoch, before.value.snapshot.offset);
  t.same(events.ok && events.value?.map(({ type }) => type), ['sale.paused', 'sale.resumed', 'show.recovered']);
  t.match(events.ok && events.value?.[2], { data: { violations: 0 } });
  t.match(await store.verify('moved'), { ok: true, value: { violations: [] } });
  const record = unpack<SaleRecord & { recovering?: boolean }>(
    (await redis.client().hgetBuffer('r:{moved}:sales', 'sale')) as Buffer,
  );
  t.equal(record.recovering, undefined);
});
