/** The viewer page in Chromium against an engine: join, chat, wait, buy, hold, order. */
import type { Page } from 'playwright-core';
import t from 'tap';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';

t.test('two viewers take part in a sale', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  const browser = await launchChromium(t);
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const errors: string[] = [];
  const open = async (name: string): Promise<Page> => {
    const page = await context.newPage();
    page.setDefaultTimeout(8_000);
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    page.on('pageerror', (error) => errors.push(error.message));
    await page.goto(`${engine.controlUrl}/watch/${SHOW}`);
    await page.getByLabel('Your name in the chat').fill(name);
    await page.getByRole('button', { name: 'Join', exact: true }).click();
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
    t.equal(await bo.locator('#chat-log img').count(), 0);
    await bo.getByRole('button', { name: /Send a heart/ }).click();
    await ana.locator('#hearts', { hasText: '1' }).waitFor();
    await ana.locator('#viewers', { hasText: '2' }).waitFor();
  });

  await engine.office.pin(SHOW, 'tee');
  const tee = { sku: 'TEE-M', product: 'tee', price: 1990, quantity: 1 };
  const cap = { sku: 'CAP', product: 'cap', price: 900, quantity: 5 };
  const times = { holdMs: 15_000, opensInMs: 8_000, durationMs: 60_000 };
  const sale = { id: 'flash', title: 'Evening drop', currency: 'EUR', perBuyer: 1, ...times, skus: [tee, cap] };
  await engine.office.createSale(SHOW, sale, 'k-flash');

  await t.test('before the opening the button shows the countdown and does nothing', async (t) => {
    const button = ana.locator('button[data-sku="TEE-M"]');
    await ana.getByText('Opens in', { exact: true }).waitFor();
    t.match(await button.textContent(), /^Opens in \d\.\d$/);
    t.equal(await button.getAttribute('aria-disabled'), 'true');
    // The button keeps the focus, and a click shows the reason.
    await button.dispatchEvent('click');
    await ana.locator('#toast', { hasText: 'Opens in' }).waitFor();
    t.match(await ana.locator('#countdown').textContent(), /^\d\.\d$/, 'tenths in the last ten seconds');
    t.equal(await ana.locator('#pinned-title').textContent(), 'Plain Tee');
  });

  await t.test('after the opening a unit is held once, and other viewers may join the waitlist', async (t) => {
    await ana.getByText('Open now, closes in').waitFor();
    await ana.locator('button[data-sku="TEE-M"]').click();
    const timeOfHold = ana.locator('.hold[data-state="held"] .hold-time');
    const time = async (): Promise<number> => Number((await timeOfHold.textContent())?.replace('0:', ''));
    const before = await time();
    await ana.waitForTimeout(1_200);
    t.ok((await time()) < before, 'the time runs down');
    t.ok(before <= 15);
    t.equal(await ana.locator('button[data-sku="TEE-M"]').textContent(), 'Held for you');
    t.equal(await ana.locator('button[data-sku="CAP"]').textContent(), 'Limit reached');
    await bo.locator('button[data-sku="TEE-M"]', { hasText: 'Join waitlist' }).click();
    await bo.locator('button[data-sku="TEE-M"]', { hasText: 'Waitlist: 1' }).waitFor();
    t.equal(await bo.locator('button[data-sku="CAP"]').textContent(), 'Buy');
  });

  await t.test('a released unit goes to the waitlist, and its buyer sees the order', async (t) => {
    await ana.getByRole('button', { name: 'Release' }).click();
    await ana.locator('.hold[data-state="released"]').waitFor();
    const hold = bo.locator('.hold[data-state="held"]', { hasText: 'Your turn' });
    const id = (await hold.getAttribute('data-reservation')) ?? '';
    await engine.office.confirm(SHOW, id, { orderRef: 'ORD-42', amount: 1990 }, 'pay');
    await bo.locator('.hold[data-state="confirmed"]', { hasText: 'ORD-42' }).waitFor();
    t.equal(await bo.locator('button[data-sku="TEE-M"]').textContent(), 'You have it');
    await bo.locator('#toast', { hasText: 'Order confirmed' }).waitFor();
  });

  await t.test('a reload keeps the viewer, with order and chat', async () => {
    await bo.reload();
    await bo.locator('.hold[data-state="confirmed"]', { hasText: 'ORD-42' }).waitFor();
    await bo.getByRole('log').getByText('onerror').waitFor();
  });

  t.same(errors, [], 'no error, also none of the content security policy');
});

t.test('a guest on a phone, and an unknown show', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  const browser = await launchChromium(t);
  const phone = await browser.newPage({ viewport: { width: 390, height: 780 } });
  phone.setDefaultTimeout(8_000);
  await phone.goto(`${engine.controlUrl}/watch/${SHOW}`);
  await phone.getByRole('button', { name: 'Only watch' }).click();
  await phone.getByText('Connected', { exact: true }).waitFor();
  t.equal(await phone.evaluate('document.documentElement.scrollWidth <= innerWidth'), true, 'the page fits the phone');
  t.equal(await phone.locator('#chat').isVisible(), false);
  await phone.locator('#tab-chat').click();
  t.equal(await phone.locator('#chat').isVisible(), true);
  t.equal(await phone.getByLabel('Your message').isDisabled(), true, 'a guest only watches');

  await phone.goto(`${engine.controlUrl}/watch/nowhere`);
  await phone.getByRole('alert').filter({ hasText: /show/i }).waitFor();
});
