/** A whole sale as two viewers see it: zero, a hold that expires, the waitlist, a paid offer. */
// slow: a hold lasts 15 s
import type { Page } from 'playwright-core';
import t from 'tap';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';
import { button, visit } from './visitors.ts';

const TOGETHER_MS = 100;
/** The shortest that a sale may have. */
const HOLD_MS = 15_000;

/** Resolves with the time at which the page lets its viewer buy. All pages have one clock. */
const zeroOn = (page: Page): Promise<number> =>
  page.evaluate(`new Promise((seen) => {
    const observer = new MutationObserver(() => {
      if (document.querySelector('.featured [data-action="buy"]') === null) return;
      observer.disconnect();
      seen(Date.now());
    });
    observer.observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  })`);

t.test('a sale from its countdown to the order', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  const checkoutUrl = 'http://localhost:9/pay?hold={reservation}&amount={amount}&in={currency}';
  await engine.host('PATCH', '', { checkoutUrl });
  const browser = await launchChromium(t);
  const [{ page: ana, errors: ofAna }, { page: bo, errors: ofBo }] = await Promise.all([
    visit(engine, browser, { user: 'Ana', device: 'phone' }),
    visit(engine, browser, { user: 'Bo' }),
  ]);

  await t.test('both viewers see zero within 100 ms of each other', async (t) => {
    const skus = [{ sku: 'TEE-M', product: 'tee', price: 1990, quantity: 1 }];
    const terms = { currency: 'EUR', perBuyer: 1, holdMs: HOLD_MS, opensInMs: 3_000, durationMs: 60_000 };
    const zeros = Promise.all([zeroOn(ana), zeroOn(bo)]);
    const sale = await engine.office.createSale(SHOW, { id: 'drop', title: 'Drop', ...terms, skus }, 'k-drop');
    for (const page of [ana, bo]) await button(page, /^Opens in: Plain Tee/).waitFor();
    const [first, second] = await zeros;
    t.ok(Math.abs(first - second) <= TOGETHER_MS, `${Math.abs(first - second)} ms apart`);
    const early = (sale.opensAt ?? 0) - Math.min(first, second);
    t.ok(early <= TOGETHER_MS / 2, `not before it opens: ${-early} ms after it`);
    t.ok(-early < 4 * TOGETHER_MS, 'and soon after it');
  });

  await t.test('one buys the last unit and pays or not, the other one waits for it', async (t) => {
    await button(ana, /^Buy: Plain Tee/).click();
    const pay = ana.getByRole('link', { name: /^Pay now: Plain Tee/ });
    const id = await ana.locator('.hold').getAttribute('data-reservation');
    t.equal(await pay.getAttribute('href'), `http://localhost:9/pay?hold=${id}&amount=1990&in=EUR`);
    t.match(await pay.textContent(), /Pay now · 0:1\d$/);
    await button(bo, /^Join the waitlist: Plain Tee/).click();
    await bo.getByText('You are number 1 on the waitlist', { exact: true }).waitFor();
  });

  await t.test('an expired hold ends on the page, and the next buyer gets the offer', async (t) => {
    const after = { timeout: HOLD_MS + 3_000 };
    await ana.locator('.toast', { hasText: 'Your hold has expired: Plain Tee' }).waitFor(after);
    await bo.locator('.toast', { hasText: 'Your turn: Plain Tee' }).waitFor();
    t.equal(await ana.locator('.hold').count(), 0);
    await button(ana, /^Join the waitlist: Plain Tee/).waitFor();
    await bo.locator('.hold', { hasText: 'Your turn' }).waitFor();
    await button(ana, /^Your holds and orders/).click();
    await ana.getByRole('dialog').getByText('The hold has expired', { exact: true }).waitFor();
    t.equal(await ana.locator('.filled').count(), 0, 'no action is left in it');
  });

  await t.test('the offer is paid: an order for one, sold out for the other', async (t) => {
    const id = (await bo.locator('.hold').getAttribute('data-reservation')) ?? '';
    await button(bo, /^Your holds and orders/).click();
    const inList = bo.getByRole('dialog').getByRole('link', { name: /^Pay now/ });
    t.match(await inList.getAttribute('href'), new RegExp(`hold=${id}&amount=1990&in=EUR$`));
    t.equal(await inList.getAttribute('target'), '_blank', 'the show stays open');
    await engine.office.confirm(SHOW, id, { orderRef: 'ORD-7', amount: 1990 }, 'pay');
    await bo.locator('.toast', { hasText: 'Order confirmed: Plain Tee' }).waitFor();
    await bo.getByRole('dialog').getByText('Order ORD-7').waitFor();
    await bo.keyboard.press('Escape');
    t.equal(await button(bo, /^Yours: Plain Tee/).textContent(), 'Yours');
    t.match(await engine.office.verify(SHOW), { violations: { length: 0 } }, 'the books are right');
  });

  t.same([...ofAna, ...ofBo], [], 'no error, also none of the content security policy');
});
