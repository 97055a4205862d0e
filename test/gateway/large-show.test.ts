/** Shows whose products and sales do not fit into a welcome. */
import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import { connect } from '../../src/client/index.ts';
import { LIMITS } from '../../src/limits.ts';
import type { Page } from '../../src/protocol/messages.ts';
import { times, unwrap } from '../support/store-fixture.ts';
import type { Client, Message } from './client.ts';
import { test, until, type World } from './harness.ts';

const PRODUCTS = 20;
const SALES = 6;
const command = () => ({ key: randomUUID(), actor: 'test' });
const sku = (product: number, i: number): string => `p${product}-${i}`.padEnd(60, 'x');
const product = (i: number) => ({
  ...{ id: `p${i}`, brand: 'acme', title: `Product ${i}` },
  // A price makes a product no sale.
  ...(i % 2 === 0 ? {} : { price: 4_900, compareAtPrice: 5_900, currency: 'EUR' }),
  skus: times(100, (s) => ({ sku: sku(i, s), title: `Size ${s} `.padEnd(180, 'words ').trim() })),
});

/** Twenty products of 26 KB, six sales of 30 KB; p7 is pinned and the sale of p12 and p13 open. */
async function fill({ store, show }: World): Promise<void> {
  for (let i = 0; i < PRODUCTS; i += 1) unwrap(await store.putProduct(show, product(i), 'test'));
  for (let i = 0; i < SALES; i += 1) {
    const skus = times(200, (n) => {
      const of = 2 * i + (n < 100 ? 2 : 3);
      return { sku: sku(of, n % 100), product: `p${of}`, price: 100, quantity: 5 };
    });
    const terms = { id: `sale${i}`, title: 'Sale', currency: 'EUR', perBuyer: 1, holdMs: 60_000, skus };
    unwrap(await store.createSale(show, terms, command()));
  }
  unwrap(await store.moveSale(show, 'sale5', { op: 'open', durationMs: 60_000 }, command()));
  unwrap(await store.pinProduct(show, 'p7', 'test'));
}

async function pagesOf(client: Client, after: string | undefined): Promise<Page[]> {
  const pages: Page[] = [];
  for (let more = after; more !== undefined; ) {
    const reply = await client.request({ t: 'page', after: more });
    const page = reply.data as unknown as Page;
    pages.push(page);
    more = page.more;
  }
  return pages;
}

const sizeOf = (message: unknown): number => Buffer.byteLength(JSON.stringify(message));
const idsOf = (values: readonly { id: string }[]): string[] => [...new Set(values.map(({ id }) => id))].sort();

test('a welcome is bounded: what is pinned and on sale first, pages after it (I9, W-2.4, W-2.5)', async (t, world) => {
  await fill(world);
  for (const encoding of ['json', 'msgpack'] as const) {
    const guest = await world.join({ token: null, encoding });
    const welcome = await guest.type('welcome');
    const { snapshot } = welcome;
    t.ok(sizeOf(welcome) < 2 * LIMITS.catalogBytesMax, `${sizeOf(welcome)} bytes`);
    t.equal(snapshot.products[0]?.id, 'p7', 'the pinned product');
    t.equal(snapshot.sales[0]?.id, 'sale5', 'the open sale');
    const pages = await pagesOf(guest, snapshot.more);
    for (const page of pages) t.ok(sizeOf(page) < 1.5 * LIMITS.catalogBytesMax);
    t.ok(pages.length > 8, `${pages.length} pages`);
    t.same(idsOf(pages.flatMap(({ products }) => products)), [...times(PRODUCTS, (i) => `p${i}`), 'shirt'].sort());
    t.same(
      idsOf(pages.flatMap(({ sales }) => sales)),
      times(SALES, (i) => `sale${i}`),
    );
    t.match(await guest.request({ t: 'page', after: 'q' }), { code: 'invalid_message', details: { field: 'after' } });
  }
});

test('pages go on elsewhere; resumes begin again where the state is large (W-2.7, R-3, R-8.2)', async (t, world) => {
  await fill(world);
  const first = await world.join({ user: 'ann' });
  const { snapshot, epoch, offset } = await first.type('welcome');
  const [page] = await pagesOf(first, snapshot.more);
  const other = await world.addNode();
  const back = await world.join({ user: 'ann', node: other, query: `?epoch=${epoch}&offset=${offset}` });
  const again: Message = await back.type('welcome');
  t.ok(again.snapshot.more, 'a snapshot');
  t.notOk(again.resumed);
  const rest = await pagesOf(back, page?.more);
  t.equal(idsOf([page as Page, ...rest].flatMap(({ products }) => products)).length, PRODUCTS + 1);
  const loop = await Promise.all(times(30, () => back.request({ t: 'page', after: 's/' })));
  t.ok(
    loop.some(({ code, retryAfterMs }) => code === 'rate_limited' && retryAfterMs > 0),
    'a loop is refused',
  );
});

test('the SDK gets all pages, and what changes meanwhile (W-2.6)', async (t, world) => {
  await fill(world);
  const client = connect({ url: world.node.url, show: world.show, WebSocket });
  t.teardown(() => client.close());
  await new Promise((resolve) => client.once('snapshot', resolve));
  t.notOk(client.model.isComplete);
  t.ok(client.model.products.size < PRODUCTS);
  unwrap(await world.store.putProduct(world.show, { ...product(19), title: 'Changed' }, 'test'));
  unwrap(await world.store.removeProduct(world.show, 'p18', 'test'));
  await until(() => client.model.isComplete && !client.model.products.has('p18'), 'all pages');
  t.equal(client.model.products.size, PRODUCTS);
  t.equal(client.model.products.get('p19')?.title, 'Changed');
  t.same(
    [...client.model.sales.keys()].sort(),
    times(SALES, (i) => `sale${i}`),
  );
});
