/** Tokens that expire during a visit: each way in which a page gets the next one. */
// slow: tokens live for 10 s
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { ROOT } from '../support/root.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';
import { button, collectErrors, isConnected, newPage } from './visitors.ts';

/** The shortest that may be minted. */
const TTL_S = 10;
/** All have expired by then. */
const AFTER_MS = 12_000;
/** What a shop sends before it works: to Lee at first, to Kim in the place of her second token. */
const LATE: Readonly<Record<string, readonly [status: number, text: string]>> = {
  ...{ Lee1: [500, 'no'], Lee2: [200, '<!doctype html><title>Log in</title>'], Lee3: [200, 'null'] },
  ...{ Kim2: [500, 'no'], Kim3: [200, 'Unauthorized'] },
};
const HOLD_MS = 120_000;
const KEPT = /^This stays held for you until the time is up/;
/** The script of the page around a frame, as README.md shows it. */
const [SAMPLE = ''] = readFileSync(join(ROOT, 'src/web/README.md'), 'utf8').match(/<script>[\s\S]*?<\/script>/) ?? [];
const EXPIRED = 'Your link has expired';

/** A shop of another origin: `/token` mints for its visitor, `/page` shows the show in a frame. */
async function startShop(t: Test) {
  const shop = { minted: new Map<string, number>(), mint: (_user: string): string => '', engineUrl: '' };
  const server = createServer(({ url = '/', headers }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://shop');
    const user = searchParams.get('user');
    if (user === null) return void response.writeHead(404).end();
    const token = shop.mint(user);
    const cors = {
      ...{ 'access-control-allow-origin': headers.origin ?? '', 'access-control-allow-credentials': 'true' },
    };
    shop.minted.set(user, (shop.minted.get(user) ?? 0) + 1);
    const late = LATE[`${user}${shop.minted.get(user)}`];
    if (late !== undefined) return void response.writeHead(late[0], cors).end(late[1]);
    if (pathname === '/token')
      return void response
        .writeHead(user === 'Eve' && shop.minted.get('Eve') !== 1 ? 403 : 200, {
          ...cors,
        })
        .end(`${token}\n`);
    const sample = SAMPLE.replace('https://live.example', shop.engineUrl).replaceAll(
      '/live-token',
      `/token?user=${user}`,
    );
    const frame = `<iframe title="show" width="380" height="700"
      src="${shop.engineUrl}/watch/${SHOW}?embed=1&token=${searchParams.get('given') ?? token}"></iframe>`;
    const script = pathname === '/page' ? sample : '';
    response.writeHead(200, { 'content-type': 'text/html' }).end(`<!doctype html>${script}${frame}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { shop, shopUrl: `http://localhost:${(server.address() as AddressInfo).port}` };
}

/** The page shows the hold, its time and its link, and says what needs a sign-in. */
async function isStillPayable(t: Test, page: Pick<Page, 'getByRole' | 'getByText'>, hold: string): Promise<void> {
  await page.getByText(KEPT).first().waitFor();
  const pay = page.getByRole('link', { name: 'Pay now: Sun Cap' });
  t.equal(await pay.getAttribute('href'), `http://localhost:9/pay?hold=${hold}`);
  t.match(await pay.textContent(), /Pay now · [01]:\d\d$/);
}

/** Counts the connections of a page and its frames. */
function countSockets(page: Page): () => number {
  let count = 0;
  page.on('websocket', () => (count += 1));
  return () => count;
}

t.test('a token that expires during the visit is renewed, or the page says what to do', { skip }, async (t) => {
  const { shop, shopUrl } = await startShop(t);
  const engine = await startLiveEngine(t, { scripts: pageScripts(), frameAncestors: [shopUrl] });
  shop.engineUrl = engine.controlUrl;
  const mint = (user: string): string => engine.tokens.mint({ show: SHOW, user, name: user, role: 'buyer' }, TTL_S);
  shop.mint = mint;
  const browser = await launchChromium(t);
  const watchUrl = `${engine.controlUrl}/watch/${SHOW}`;
  const open = async (address: string, device: 'phone' | 'desktop') => {
    const page = await newPage(browser, device);
    const found = {
      page,
      errors: collectErrors(page, /WebSocket|status of (?:40[34]|500)|^\/token/),
      sockets: countSockets(page),
    };
    await page.goto(address, { waitUntil: 'commit' });
    return found;
  };
  const tokenUrl = (user: string): string => encodeURIComponent(`${shopUrl}/token?user=${user}`);
  // One after the other, so that a token does not expire while its page loads.
  const framed = await open(`${shopUrl}/page?user=Fay`, 'desktop');
  const inFrame = framed.page.frameLocator('iframe');
  await isConnected(inFrame);
  const late = await open(`${shopUrl}/page?user=Kim`, 'desktop');
  const lateFrame = late.page.frameLocator('iframe');
  await isConnected(lateFrame);
  for (const given of ['TOKEN', '']) {
    const { page } = await open(`${shopUrl}/page?user=Gil&given=${given}`, 'desktop');
    await page.frameLocator('iframe').getByLabel('Your message').waitFor();
    await page.context().close();
  }
  const ana = await open(`${watchUrl}?tokenUrl=${tokenUrl('Ana')}`, 'phone');
  await isConnected(ana.page);
  const eve = await open(`${watchUrl}?tokenUrl=${tokenUrl('Eve')}`, 'phone');
  const silent = await open(`${shopUrl}/silent?user=Sue`, 'desktop');
  const lee = await open(`${watchUrl}?tokenUrl=${tokenUrl('Lee')}`, 'phone');
  await lee.page.locator('.banner', { hasText: 'The shop has not confirmed who you are yet.' }).waitFor();
  t.equal(await lee.page.getByRole('dialog').count(), 0, 'it is not asked for a name');
  await lee.page.getByLabel('Your message').waitFor();
  t.equal(await lee.page.locator('.banner').count(), 0);
  const wrong = await open(`${watchUrl}?token=%3Chtml%3E`, 'phone');
  await wrong.page.getByRole('alert').filter({ hasText: 'This link does not open the show' }).waitFor();
  t.notMatch(await wrong.page.locator('body').textContent(), /html|WebSocket/);
  await wrong.page.context().close();
  await engine.host('PATCH', '', { checkoutUrl: 'http://localhost:9/pay?hold={reservation}' });
  const cap = { sku: 'CAP', product: 'cap', price: 900, quantity: 5 };
  const terms = { currency: 'EUR', perBuyer: 1, holdMs: HOLD_MS, opensInMs: 0, durationMs: 120_000 };
  await engine.office.createSale(SHOW, { id: 'drop', title: 'Drop', ...terms, skus: [cap] }, 'k-drop');
  const bo = await open(`${watchUrl}?token=${mint('Bo')}`, 'desktop');
  await button(bo.page, /^Buy: Sun Cap/).click();
  const hold = (await bo.page.locator('.hold').getAttribute('data-reservation')) ?? '';
  await bo.page.waitForTimeout(AFTER_MS);

  await t.test('in a frame the page of the shop sends the next one', async (t) => {
    await isConnected(inFrame);
    t.equal(framed.sockets(), 1, 'the connection went on');
    t.ok((shop.minted.get('Fay') ?? 0) >= 2);
    await inFrame.getByLabel('Your message').fill('Still here');
    await inFrame.getByRole('button', { name: 'Send', exact: true }).click();
    await ana.page.getByRole('log').getByText('Still here').waitFor();
  });

  await t.test('a page of a shop that fails for a while is asked again', async (t) => {
    await isConnected(lateFrame);
    await lateFrame.getByLabel('Your message').waitFor();
    t.ok((shop.minted.get('Kim') ?? 0) >= 4);
  });

  await t.test('the page fetches it from tokenUrl, the first one too', async (t) => {
    await isConnected(ana.page);
    t.equal(ana.sockets(), 1, 'the connection went on');
    await ana.page.reload();
    await isConnected(ana.page);
    await ana.page.getByLabel('Your message').waitFor();
  });

  await t.test('a shop that failed at first, or sent a page or a word, is asked again', async (t) => {
    await isConnected(lee.page);
    await lee.page.getByLabel('Your message').waitFor();
    t.equal(lee.sockets(), 2, 'as a guest, then as the buyer, whose token was renewed');
  });

  await t.test('a shop that has none, a parent that does not reply, and a link alone', async (t) => {
    for (const page of [eve.page, silent.page.frameLocator('iframe'), bo.page]) {
      await page.getByRole('alert').filter({ hasText: EXPIRED }).waitFor();
      t.equal(await page.getByRole('button', { name: 'Join again' }).count(), 1);
    }
    await isStillPayable(t, bo.page, hold);
    shop.minted.delete('Eve');
    await eve.page.getByRole('button', { name: 'Join again' }).click();
    await isConnected(eve.page);
  });
  await t.test('what is held can be paid until its time is up, after a reload and as a guest too', async (t) => {
    const { page } = bo;
    await page.reload();
    await page.getByRole('alert').filter({ hasText: EXPIRED }).waitFor();
    await isStillPayable(t, page, hold);
    await page.getByRole('button', { name: 'Join again' }).click();
    const sheet = page.getByRole('dialog', { name: 'Join the show' });
    await isStillPayable(t, sheet, hold);
    await sheet.getByRole('button', { name: 'Only watch' }).click();
    await isStillPayable(t, page, hold);
    await page.goto(`${watchUrl}?token=${mint('Bo')}`);
    await button(page, /^Release: Sun Cap/).waitFor();
    t.equal(await page.getByText(KEPT).count(), 0, 'signed in again: the hold is an ordinary one');
  });
  t.same(
    [framed, late, silent, ana, eve, lee, bo].flatMap(({ errors }) => errors),
    [],
  );
});
