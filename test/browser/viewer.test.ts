/** The viewer page in Chromium against an engine: join, chat, wait, buy, hold, order. */
import type { Page } from 'playwright-core';
import t from 'tap';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';
import { button } from './visitors.ts';

const UNDO_MS = 5_000;
/** Only screen readers have it. */
const ATTACHED = { state: 'attached' } as const;

t.test('two viewers take part in a sale', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  const browser = await launchChromium(t);
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, locale: 'en-US' });
  const errors: string[] = [];
  const open = async (name: string): Promise<Page> => {
    const page = await context.newPage();
    page.setDefaultTimeout(8_000);
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`${engine.controlUrl}/watch/${SHOW}`);
    await page.getByLabel('Your name in the chat').fill(name);
    await page.getByRole('button', { name: 'Join', exact: true }).click();
    await page.getByLabel('Your message').waitFor();
    await page.getByText('Connected', { exact: true }).waitFor();
    return page;
  };
  const ana = await open('Ana');
  // A tab keeps its token, so another tab is another viewer.
  const bo = await open('Bo');

  await t.test('chat is shown to others as text, never as markup', async (t) => {
    await ana.getByLabel('Your message').fill('hi <img src=x onerror=alert(1)> 👋');
    await ana.getByRole('button', { name: 'Send', exact: true }).click();
    await bo.getByRole('log').getByText('hi <img src=x onerror=alert(1)> 👋').waitFor();
    t.equal(await bo.getByRole('log').locator('img').count(), 0);
    await ana.locator('.message.own', { hasText: 'onerror' }).waitFor();
    t.equal(await bo.locator('.message.own').count(), 0, 'own messages are tinted');
    await button(bo, /^Send a heart/).click();
    await button(ana, /^Send a heart. So far: 1$/).waitFor();
    await ana.getByText('2 viewers').waitFor();
  });

  await engine.office.pin(SHOW, 'tee');
  const tee = { sku: 'TEE-M', product: 'tee', price: 1990, quantity: 1 };
  const cap = { sku: 'CAP', product: 'cap', price: 900, quantity: 5 };
  const times = { holdMs: 40_000, opensInMs: 8_000, durationMs: 60_000 };
  const sale = { id: 'flash', title: 'Evening drop', currency: 'EUR', perBuyer: 1, ...times, skus: [tee, cap] };
  await engine.office.createSale(SHOW, sale, 'k-flash');

  await t.test('before the opening the button shows the countdown and does nothing', async (t) => {
    const soon = button(ana, /^Opens in: Plain Tee/);
    await ana.locator('.featured').getByText('Opens in', { exact: true }).waitFor();
    t.match(await soon.textContent(), /Opens in \d\.\d s$/);
    t.equal(await soon.getAttribute('aria-disabled'), 'true');
    // The button keeps the focus, and a press shows the reason.
    await soon.dispatchEvent('click');
    await ana.locator('.toast', { hasText: 'Opens in' }).waitFor();
    t.match(await ana.locator('.featured .countdown').textContent(), /^\d\.\d s$/, 'tenths in the last ten seconds');
    t.match(await ana.locator('.featured').textContent(), /Shown now.*Plain Tee.*€19\.90.*1 left/);
  });

  await t.test('after the opening a unit is held once, and other viewers may join the waitlist', async (t) => {
    // It opens 8 s after it was made.
    await ana.locator('.featured').getByText('Ends in', { exact: true }).waitFor({ timeout: 15_000 });
    await button(ana, /^Buy: Plain Tee/).click();
    const timeOfHold = ana.locator('.hold[data-state="held"] .hold-time .figures');
    const time = async (): Promise<number> =>
      Number.parseFloat((await timeOfHold.textContent())?.replace('0:', '') ?? '');
    const before = await time();
    await ana.waitForTimeout(1_200);
    t.ok((await time()) < before, 'the time runs down');
    t.ok(before <= 40);
    t.match(await button(ana, /^On hold: Plain Tee/).textContent(), /On hold · 0:3\d$/);
    t.equal(await button(ana, /^Limit reached: Sun Cap/).textContent(), 'Limit reached');
    const cy = await engine.join('cy');
    await cy.joinWaitlist({ sale: 'flash', sku: 'TEE-M' });
    await button(bo, /^Join the waitlist: Plain Tee/).click();
    await bo.getByText('You are number 2 on the waitlist', { exact: true }).waitFor();
    await cy.leaveWaitlist({ sale: 'flash', sku: 'TEE-M' });
    await bo.locator('.waiting', { hasText: 'You are number 1 on the waitlist' }).waitFor();
    await bo.getByRole('status').filter({ hasText: 'You are number 1 on' }).waitFor({ state: 'attached' });
    t.equal(await button(bo, /^Buy: Sun Cap/).textContent(), 'Buy');
  });

  await t.test('a released unit goes to the waitlist, and its buyer sees the order', async (t) => {
    const hers = ana.locator('.hold[data-state="held"]');
    await button(ana, /^Release: Plain Tee/).focus();
    await ana.keyboard.press('Enter');
    await ana.getByRole('status').filter({ hasText: 'Plain Tee (M) will be released in 5 s.' }).waitFor(ATTACHED);
    const undo = button(ana, /^Undo the release: Plain Tee/);
    t.match(await undo.textContent(), /^Undo · [45]$/);
    t.equal(await ana.locator('.hold-time').count(), 0, 'beside it is no other time');
    t.equal(await undo.evaluate((node) => node === node.ownerDocument.activeElement), true, 'it keeps the focus');
    await ana.keyboard.press('Enter');
    await ana.getByRole('status').filter({ hasText: 'Plain Tee (M) stays held for you.' }).waitFor(ATTACHED);
    await ana.waitForTimeout(UNDO_MS + 500);
    t.equal(await hers.count(), 1, 'nothing was sent');
    await button(ana, /^Release: Plain Tee/).click();
    await undo.waitFor();
    t.equal(await hers.count(), 1);
    await ana.locator('.toast', { hasText: 'Released' }).waitFor();
    const hold = bo.locator('.hold[data-state="held"]', { hasText: 'Your turn' });
    const id = (await hold.getAttribute('data-reservation')) ?? '';
    await engine.office.confirm(SHOW, id, { orderRef: 'ORD-42', amount: 1990 }, 'pay');
    await button(bo, /^Yours: Plain Tee/).waitFor();
    await bo.locator('.toast', { hasText: 'Order confirmed' }).waitFor();
    await button(ana, /^Your holds and orders/).click();
    await ana.locator('.hold[data-state="released"]').waitFor();
    await ana.keyboard.press('Escape');
    t.equal(await ana.getByRole('dialog').count(), 0, 'Escape closes a sheet');
  });

  await t.test('a reload keeps the viewer, with order and chat', async () => {
    await bo.reload();
    await button(bo, /^Your holds and orders/).click();
    await bo.locator('.hold[data-state="confirmed"]', { hasText: 'ORD-42' }).waitFor();
    await bo.keyboard.press('Escape');
    await bo.getByRole('log').getByText('onerror').waitFor();
  });

  await t.test('a refunded order is shown as such, also after a reload, and the unit can be bought', async (t) => {
    await button(bo, /^Your holds and orders/).click();
    const order = bo.locator('.hold[data-state="confirmed"]', { hasText: 'ORD-42' });
    const id = (await order.getAttribute('data-reservation')) ?? '';
    await engine.office.refund(SHOW, id, 'refund');
    await bo.locator('.toast', { hasText: 'Refunded: Plain Tee' }).waitFor();
    const refunded = bo.locator('.hold[data-state="refunded"]', { hasText: 'ORD-42' });
    t.match(await refunded.textContent(), /Refunded/);
    await bo.reload();
    await button(bo, /^Buy: Plain Tee/).waitFor();
    await button(bo, /^Your holds and orders/).click();
    await refunded.waitFor();
    await bo.keyboard.press('Escape');
  });

  t.same(errors, [], 'no error, also none of the content security policy');
});

t.test('a guest on a phone, an unknown show, and one that has ended', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  const browser = await launchChromium(t);
  const phone = await browser.newPage({ viewport: { width: 390, height: 780 }, locale: 'en-US' });
  phone.setDefaultTimeout(8_000);
  await phone.goto(`${engine.controlUrl}/watch/${SHOW}`);
  await phone.getByRole('button', { name: 'Only watch' }).click();
  await phone.getByText('Connected', { exact: true }).waitFor();
  t.equal(await phone.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, 'the page fits the phone');
  t.equal(await phone.getByRole('log').isVisible(), true);
  t.equal(await phone.getByLabel('Your message').count(), 0, 'a guest only watches');
  t.equal(await phone.getByRole('region', { name: 'Shop' }).count(), 0);
  await button(phone, /^Shop, 2 products/).click();
  await phone.getByRole('dialog', { name: 'Shop' }).getByText('Plain Tee').waitFor();

  const response = await phone.goto(`${engine.controlUrl}/watch/nowhere`);
  t.equal(response?.status(), 404);
  await phone.getByRole('alert').filter({ hasText: 'This show does not exist' }).waitFor();
  await button(phone, /^All shows$/).click();
  await phone.getByRole('heading', { name: 'Live shopping' }).waitFor();

  await engine.office.endShow(SHOW);
  await phone.goto(`${engine.controlUrl}/watch/${SHOW}`);
  await phone.getByText('Thank you for watching.', { exact: true }).waitFor();
  await phone.getByText('The show has ended.', { exact: true }).waitFor();
  t.equal(await phone.getByRole('dialog').count(), 0, 'it asks for no name');
  t.equal(await button(phone, /^Send a heart/).isDisabled(), true);
});

t.test('many sales and products: each is shown, and the first can be bought without scrolling', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  const { office } = engine;
  // The same code in two products, and a code that every object has.
  for (let n = 0; n < 19; n += 1)
    await office.putProduct(SHOW, {
      id: `p${n}`,
      brand: 'nord',
      title: `Product ${n} ${'Donaudampfschiff'.repeat(4)}`,
      skus: [{ sku: n === 2 ? 'constructor' : 'SAME' }],
    });
  const common = { currency: 'EUR', perBuyer: 2, holdMs: 60_000, opensInMs: 0, durationMs: 90_000 };
  for (let n = 0; n < 3; n += 1) {
    const skus = [{ sku: n === 2 ? 'constructor' : 'SAME', product: `p${n}`, price: 100, quantity: n === 0 ? 21 : 2 }];
    await office.createSale(SHOW, { ...common, id: `s${n}`, title: `Sale ${n}`, skus }, `k${n}`);
  }
  const browser = await launchChromium(t);
  const phone = await browser.newPage({ viewport: { width: 390, height: 844 }, locale: 'en-US' });
  phone.setDefaultTimeout(8_000);
  const errors: string[] = [];
  phone.on('pageerror', (error) => errors.push(error.message));
  await phone.goto(`${engine.controlUrl}/watch/${SHOW}?token=${await engine.token('Cleo')}`);
  const first = button(phone, /^Buy: Product/);
  const box = await first.boundingBox();
  t.ok(box !== null && box.y + box.height < 844, `the first button to buy is at ${box?.y}`);
  t.equal(await phone.locator('.filled').count(), 1, 'one primary action');
  t.equal(await phone.getByRole('group', { name: 'Sales' }).getByRole('button').count(), 4, 'all, and each open sale');

  await button(phone, /^Shop/).click();
  const shop = phone.getByRole('dialog', { name: 'Shop' });
  const buttons = shop.getByRole('button', { name: /^Buy: / });
  await buttons.first().waitFor();
  t.equal(await buttons.count(), 3, 'the same code in two sales is two rows');
  t.equal(await shop.getByText('2 left', { exact: true }).count(), 2, 'units are shown from 20 down');
  for (const name of ['Product 0', 'Product 1', 'Product 2'])
    await shop.getByRole('button', { name: new RegExp(`^Buy: ${name}`) }).click();
  for (const name of ['Product 0', 'Product 1', 'Product 2'])
    await shop.getByRole('button', { name: new RegExp(`^On hold: ${name}`) }).waitFor();
  await shop.getByRole('searchbox').fill('product 17');
  await shop.getByText(/^Product 17/).waitFor();
  t.equal(await shop.getByRole('article').count(), 1);
  t.equal(await phone.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, 'long words wrap');
  const tooWide =
    '[...document.querySelectorAll(".card")].filter((card) => card.scrollWidth > card.clientWidth).length';
  t.equal(await phone.evaluate(tooWide), 0);
  await phone.keyboard.press('Escape');
  await engine.office.announce(SHOW, 'Two per person');
  for (const [width, height] of [
    [320, 568],
    [844, 390],
  ] as const) {
    await phone.setViewportSize({ width, height });
    for (const part of [phone.getByLabel('Your message'), phone.locator('.holds-bar')]) {
      await part.waitFor();
      const { y, height: its } = (await part.boundingBox()) ?? { y: 0, height: Infinity };
      t.ok(y >= 0 && y + its <= height, `at ${width} x ${height}: from ${y} to ${y + its}`);
    }
    await button(phone, /^On hold: Product/)
      .first()
      .scrollIntoViewIfNeeded();
    t.equal(await phone.evaluate('document.documentElement.scrollWidth <= innerWidth'), true);
  }
  t.same(errors, []);
});
