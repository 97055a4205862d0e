/** Releases that can be undone: what a buyer may do meanwhile, and what the end of a page does. */
// slow: a token lives for 10 s
import t from 'tap';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';
import { button, visit } from './visitors.ts';

const TTL_S = 10;
/** The rest of the token is then shorter than the time to undo. */
const LATE_MS = 5_500;

t.test('a release that can be undone', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  await engine.host('PATCH', '', { checkoutUrl: 'http://localhost:9/pay?hold={reservation}' });
  const cap = { sku: 'CAP', product: 'cap', price: 900, quantity: 9 };
  const terms = { currency: 'EUR', perBuyer: 1, holdMs: 90_000, opensInMs: 0, durationMs: 120_000 };
  await engine.office.createSale(SHOW, { id: 'drop', title: 'Drop', ...terms, skus: [cap] }, 'k-drop');
  const held = async () => (await engine.office.getSale(SHOW, 'drop')).skus[0]?.held;
  const browser = await launchChromium(t);
  const { page, errors } = await visit(engine, browser, { user: 'Ana', device: 'phone' });
  const focused = page.locator(':focus');
  const pay = page.getByRole('link', { name: /^Pay now: Sun Cap/ });

  await t.test('the focus goes to "Pay now" after "Buy", and there is no link to pay meanwhile', async (t) => {
    await button(page, /^Buy: Sun Cap/).press('Enter');
    await pay.waitFor();
    t.match(await focused.textContent(), /Pay now/);
    await button(page, /^Release: Sun Cap/).press('Enter');
    const inactive = button(page, /^Is being released: Sun Cap/);
    await inactive.dispatchEvent('click');
    await page.locator('.toast', { hasText: 'To pay, undo the release first.' }).waitFor();
    t.equal(await pay.count(), 0);
    t.equal(await held(), 1);
    await button(page, /^Undo the release/).focus();
  });

  await t.test('after it the focus goes to "Buy", and only the result is said', async (t) => {
    await page.locator('.toast', { hasText: 'Released: Sun Cap' }).waitFor();
    t.notMatch((await page.getByRole('status').allTextContents()).join(), /will be released/);
    t.match(await focused.getAttribute('aria-label'), /^Buy: Sun Cap/);
  });

  await t.test('is sent when the page is left', async (t) => {
    await button(page, /^Buy: Sun Cap/).click();
    await button(page, /^Release: Sun Cap/).click();
    t.equal(await held(), 1);
    await page.reload();
    await button(page, /^Buy: Sun Cap/).waitFor();
    t.equal(await held(), 0);
  });

  await t.test('is not sent when the sign-in ends, and the page says so', async (t) => {
    const token = engine.tokens.mint({ show: SHOW, user: 'Di', name: 'Di', role: 'buyer' }, TTL_S);
    const di = await visit(engine, browser, { user: 'Di', token, device: 'phone' });
    const opened = Date.now();
    await button(di.page, /^Buy: Sun Cap/).click();
    await di.page.waitForTimeout(Math.max(0, opened + LATE_MS - Date.now()));
    await button(di.page, /^Release: Sun Cap/).click();
    await di.page.getByRole('alert').filter({ hasText: 'Your link has expired' }).waitFor();
    await di.page.locator('.toast', { hasText: 'Sun Cap (One size) stays held for you.' }).waitFor();
    await di.page.getByRole('link', { name: /^Pay now: Sun Cap/ }).waitFor();
    t.notMatch(await di.page.locator('body').textContent(), /token_expired/);
    t.equal(await held(), 1);
    t.same(di.errors, []);
  });
  t.same(errors, []);
});
