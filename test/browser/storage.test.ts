/** A tab whose storage is full or denied, or has content that the page cannot read. */
import t from 'tap';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';
import { button, collectErrors, isConnected, newPage } from './visitors.ts';

const DENIED = `{ get() { throw new DOMException('denied', 'SecurityError'); } }`;
const STORAGES = {
  full: `Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };`,
  denied: `Object.defineProperty(window, 'sessionStorage', ${DENIED});`,
  unreadable: `sessionStorage.setItem('stampede.holds.${SHOW}', '{"holds":');`,
  foreign: `sessionStorage.setItem('stampede.holds.${SHOW}', '{"holds":null}');`,
};

t.test('without a usable storage a buyer is still signed in after a reload', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts(), demoTokens: false });
  const browser = await launchChromium(t);
  for (const [name, script] of Object.entries(STORAGES))
    await t.test(name, async (t) => {
      const page = await newPage(browser, 'phone');
      const errors = collectErrors(page);
      await page.addInitScript(script);
      await page.goto(`${engine.controlUrl}/watch/${SHOW}?token=${await engine.token('Ana')}`);
      await isConnected(page);
      await page.reload();
      await isConnected(page);
      await page.getByLabel('Your message').waitFor();
      t.equal(page.url().includes('token='), name === 'full' || name === 'denied', 'the address has it if it must');
      t.equal(await button(page, /^Join/).count(), 0);
      t.same(errors, []);
      await page.context().close();
    });
});
