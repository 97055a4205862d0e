/** What a buyer and a guest see of a sale that is paused, of variants, and of a way to sign in. */
// slow: opens many pages of a real browser
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';
import { button, collectErrors, type Engine, isConnected, newPage, visit } from './visitors.ts';

const tee = (size: string, quantity: number) => ({ sku: `TEE-${size}`, product: 'tee', price: 1990, quantity });
const terms = { currency: 'EUR', perBuyer: 2, holdMs: 60_000, opensInMs: 0, durationMs: 90_000 };
const sale = { id: 'drop', title: 'Drop', ...terms };

t.test('a paused sale says that its end stays, and what is held can be paid', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  await engine.host('PATCH', '', { checkoutUrl: 'http://localhost:9/pay?hold={reservation}', visibility: 'public' });
  const made = await engine.office.createSale(SHOW, { ...sale, skus: [tee('M', 3), tee('L', 3)] }, 'k-drop');
  const browser = await launchChromium(t);
  const { page, errors } = await visit(engine, browser, { user: 'Ana', device: 'phone' });
  await button(page, /^Buy: Plain Tee/).click();
  await page.getByRole('link', { name: /^Pay now: Plain Tee/ }).waitFor();
  await engine.office.pauseSale(SHOW, 'drop');
  const line = page.locator('.featured .sale-line');
  await line.getByText('Paused, still ends in', { exact: true }).waitFor();
  t.match(await line.locator('.countdown').textContent(), /^1:[0-3]\d$/);
  await page.locator('[aria-live=assertive]', { hasText: 'Buying is paused: Drop.' }).waitFor({ state: 'attached' });
  t.equal((await engine.office.getSale(SHOW, 'drop')).closesAt, made.closesAt, 'a pause does not move the end');
  await page.getByRole('radio', { name: /^L/ }).check({ force: true });
  const paused = button(page, /^Buying is paused: Plain Tee/);
  t.equal(await paused.getAttribute('aria-disabled'), 'true');
  await paused.dispatchEvent('click');
  await page.locator('.toast', { hasText: 'What is held for you can still be paid.' }).waitFor();
  t.equal(await page.getByRole('link', { name: /^Pay now: Plain Tee/ }).count(), 1);
  const list = await newPage(browser, 'phone');
  await list.goto(engine.controlUrl);
  await list.getByText(/^Paused, still ends in (?:1:)?\d?\d:?\d\d$/).waitFor();
  const id = (await page.locator('.hold').getAttribute('data-reservation')) ?? '';
  await engine.office.confirm(SHOW, id, { orderRef: 'ORD-1', amount: 1990 }, 'pay');
  await page.locator('.toast', { hasText: 'Order confirmed: Plain Tee' }).waitFor();
  await engine.host('POST', '/sales/drop/resume');
  await line.getByText('Ends in', { exact: true }).waitFor();
  t.same(errors, []);
});

/** What a chip looks like, as the browser computes it. */
const lookOf = (page: Page, name: RegExp) =>
  page.getByRole('radio', { name }).evaluate((input) => {
    const style = getComputedStyle(input.parentElement as Element);
    const { color, backgroundColor, borderTopStyle, backgroundImage } = style;
    return { color, backgroundColor, borderTopStyle, isCrossed: backgroundImage !== 'none' };
  });

t.test('each state of a variant looks different, and a sold-out one can be chosen', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  const skus = [
    { sku: 'TEE-M', title: 'M' },
    { sku: 'TEE-L', title: 'L' },
    { sku: 'TEE-S', title: 'S' },
  ];
  await engine.office.putProduct(SHOW, { id: 'tee', brand: 'nord', title: 'Plain Tee', skus });
  await engine.office.createSale(SHOW, { ...sale, skus: [tee('M', 30), tee('L', 1), tee('S', 3)] }, 'k-drop');
  const first = await engine.join('first');
  await first.reserve({ sale: 'drop', lines: [{ sku: 'TEE-L', qty: 1 }] });
  const browser = await launchChromium(t);
  const { page, errors } = await visit(engine, browser, { user: 'Ana', device: 'phone' });
  const chosen = await lookOf(page, /^M$/);
  const few = await lookOf(page, /^S 3 left$/);
  const soldOut = await lookOf(page, /^L Sold out$/);
  await page.getByRole('radio', { name: /^L/ }).check({ force: true });
  const both = await lookOf(page, /^L Sold out$/);
  t.same(
    [chosen, few, soldOut, both].map(({ isCrossed }) => isCrossed),
    [false, false, true, true],
  );
  t.same(
    [chosen, few, soldOut, both].map(({ borderTopStyle }) => borderTopStyle),
    [...['solid', 'solid', 'dashed', 'solid']],
  );
  t.not(both.backgroundColor, chosen.backgroundColor, 'it is not filled like one that can be bought');
  t.not(both.color, soldOut.color);
  t.equal(both.color, few.color, 'its text has the full contrast');
  await button(page, /^Join the waitlist: Plain Tee \(L\)/).click();
  await page.getByText('You are number 1 on the waitlist', { exact: true }).waitFor();
  t.same(errors, []);
});

/** The login of a shop of another origin. */
async function startShop(t: Test, engine: Engine) {
  const shop = { isLoggedIn: false, isAway: false, delayMs: 0, asked: 0, url: '' };
  const server = createServer(({ url, headers }, response) => {
    if (url !== '/token')
      return void response.writeHead(200, { 'content-type': 'text/html' }).end('<title>Shop</title>');
    const cors = {
      ...{ 'access-control-allow-origin': headers.origin ?? '', 'access-control-allow-credentials': 'true' },
    };
    shop.asked += 1;
    if (!shop.isLoggedIn) return void response.writeHead(shop.isAway ? 503 : 401, cors).end();
    setTimeout(() => engine.token('Ana').then((token) => response.writeHead(200, cors).end(token)), shop.delayMs);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  shop.url = `http://localhost:${(server.address() as AddressInfo).port}`;
  return shop;
}

async function guestOf(browser: Browser, address: string) {
  const page = await newPage(browser, 'phone');
  const errors = collectErrors(page, /status of (?:401|503)/);
  await page.goto(address);
  await isConnected(page);
  return { page, errors };
}

t.test('what only buyers may do leads a guest to where they sign in', { skip }, async (t) => {
  const scripts = pageScripts();
  const withNames = await startLiveEngine(t, { scripts });
  const engine = await startLiveEngine(t, { scripts, demoTokens: false });
  for (const { office } of [withNames, engine])
    await office.createSale(SHOW, { ...sale, skus: [tee('M', 30)] }, 'k-drop');
  const shop = await startShop(t, engine);
  const browser = await launchChromium(t);

  await t.test('with a name, where the page can make tokens', async (t) => {
    const { page, errors } = await guestOf(browser, `${withNames.controlUrl}/watch/${SHOW}`);
    await button(page, /^Only watch$/).click();
    t.equal(await page.locator('.filled').count(), 1, 'one primary action');
    await button(page, /^Join to buy: Plain Tee/).click();
    await page.getByLabel('Your name in the chat').fill('Bo');
    await button(page, /^Join$/).click();
    await button(page, /^Buy: Plain Tee/).waitFor();
    t.same(errors, []);
  });

  await t.test('at the shop of tokenUrl, which is asked again', async (t) => {
    const tokenUrl = encodeURIComponent(`${shop.url}/token`);
    const { page, errors } = await guestOf(browser, `${engine.controlUrl}/watch/${SHOW}?tokenUrl=${tokenUrl}`);
    await button(page, /^Join to buy: Plain Tee/).click();
    const sheet = page.getByRole('dialog', { name: 'Join the show' });
    const host = shop.url.replace('http://', '');
    await sheet.getByText(`To chat and buy, sign in at ${host}, then continue here.`).waitFor();
    t.equal(await sheet.getByRole('link', { name: `Open ${host}` }).getAttribute('href'), shop.url);
    await sheet.getByRole('button', { name: 'I have signed in' }).click();
    await sheet.getByRole('alert').filter({ hasText: 'The shop does not know you yet.' }).waitFor();
    const signedIn = sheet.getByRole('button', { name: 'I have signed in' });
    shop.isAway = true;
    await signedIn.click();
    await sheet.getByRole('alert').filter({ hasText: 'The shop cannot confirm now who you are.' }).waitFor();
    Object.assign(shop, { isLoggedIn: true, delayMs: 600, asked: 0 });
    await signedIn.click();
    await sheet.locator('[aria-disabled=true]', { hasText: 'I have signed in' }).dispatchEvent('click');
    await button(page, /^Buy: Plain Tee/).waitFor();
    t.equal(shop.asked, 1, 'a press while it waits does nothing');
    t.same(errors, []);
  });

  await t.test('without either the page says what is needed', async (t) => {
    const { page, errors } = await guestOf(browser, `${engine.controlUrl}/watch/${SHOW}`);
    await button(page, /^Buyers only: Plain Tee/).dispatchEvent('click');
    await page.locator('.toast', { hasText: 'To chat and buy, open your personal link.' }).waitFor();
    t.same(errors, []);
  });

  await t.test('a viewer whose token does not allow to buy reads that', async (t) => {
    const token = await withNames.token('Vi', 'viewer');
    const { page, errors } = await visit(withNames, browser, { user: 'Vi', token, device: 'phone' });
    await button(page, /^Buyers only: Plain Tee/).dispatchEvent('click');
    await page.locator('.toast', { hasText: 'Your link is for watching and chatting.' }).waitFor();
    t.same(errors, []);
  });
});
