/** The shop of the demo: its pictures, its clip, and the checkout to which "Pay now" leads. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PRODUCTS } from '../../bench/demo/catalogue.ts';
import { checkoutOf, pictureOf, startShopSite } from '../../bench/demo/shop-site.ts';
import { checkoutAddress } from '../../src/client/index.ts';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { ROOT } from '../support/root.ts';

const MEDIA_BYTES_MAX = 1.5 * 1024 * 1024;

t.test('each product has a picture, and players may ask for a part of the clip', async (t) => {
  const site = await startShopSite();
  t.teardown(() => site.close());
  const files = [...PRODUCTS.map(({ id }) => `${id}.svg`), 'poster.jpg', 'stage.mp4'];
  for (const { id } of PRODUCTS) {
    const { status, headers } = await fetch(pictureOf(site.url, id));
    t.match({ status, type: headers.get('content-type') }, { status: 200, type: 'image/svg+xml' }, id);
  }
  const part = await fetch(`${site.url}/media/stage.mp4`, { headers: { range: 'bytes=100-199' } });
  t.equal(part.status, 206);
  t.match(part.headers.get('content-range'), /^bytes 100-199\/\d+$/);
  t.equal((await part.arrayBuffer()).byteLength, 100);
  for (const path of ['media/none.svg', 'media/..%2Fmain.ts', 'pay?hold=x', 'favicon.ico'])
    t.equal((await fetch(`${site.url}/${path}`)).status, 404, path);
  const bytes = files.map((name) => join(ROOT, 'bench/demo/media', name)).map((file) => statSync(file).size);
  t.ok(bytes.reduce((sum, size) => sum + size) < MEDIA_BYTES_MAX);
  t.ok(existsSync(join(ROOT, 'scripts/demo-media.mjs')), 'and a script that makes them');
});

t.test('the checkout shows the price of a hold, and a press pays it once', async (t) => {
  const site = await startShopSite();
  t.teardown(() => site.close());
  const { office, join: joinAs } = await startLiveEngine(t);
  site.checkout = {
    getReservation: (id) => office.getReservation(SHOW, id),
    pay: async ({ id, amount }) => {
      await office.confirm(SHOW, id, { orderRef: 'ORDER-1', amount }, `page-${id}`);
      return null;
    },
  };
  const skus = [{ sku: 'CAP', product: 'cap', price: 1250, quantity: 2 }];
  const terms = { currency: 'EUR', perBuyer: 2, holdMs: 60_000, opensInMs: 0, durationMs: 60_000 };
  await office.createSale(SHOW, { id: 'drop', title: 'Drop', ...terms, skus }, 'k');
  const buyer = await joinAs('Ana');
  const hold = async (qty: number) => {
    const outcome = await buyer.reserve({ sale: 'drop', lines: [{ sku: 'CAP', qty }] });
    if (!outcome.ok) throw new Error(outcome.error.code);
    return outcome.value.reservation;
  };
  const bought = await hold(1);
  const address = checkoutAddress(checkoutOf(site.url), SHOW, bought);
  t.match(await (await fetch(address)).text(), /<h1>€12\.50<\/h1>.*1 × CAP.*Pay €12\.50/s);
  t.match(await (await fetch(address, { method: 'POST' })).text(), /Paid/);
  t.match(await (await fetch(address, { method: 'POST' })).text(), /Paid/, 'again');
  t.match(await office.getReservation(SHOW, bought.id), { state: 'confirmed', orderRef: 'ORDER-1' });
  const left = await hold(1);
  await buyer.release(left.id);
  t.match(await (await fetch(checkoutAddress(checkoutOf(site.url), SHOW, left))).text(), /This hold is over/);
  t.match(await (await fetch(`${site.url}/pay?hold=%3Cscript%3E`)).text(), /This hold is over/);
});
