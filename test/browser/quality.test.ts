/** What a tool can check of the pages: accessibility in all themes, and the security policy. */
// slow: checks many pages of a real browser
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { startShopSite } from '../../bench/demo/shop-site.ts';
import { startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';
import { STATES, type State } from './shows.ts';
import { collectErrors, control, type Engine } from './visitors.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PLAIN = { contrast: 'no-preference', forcedColors: 'none' } as const;
const THEMES = {
  light: { ...PLAIN, colorScheme: 'light' },
  dark: { ...PLAIN, colorScheme: 'dark' },
  'light, more contrast': { ...PLAIN, colorScheme: 'light', contrast: 'more' },
  'dark, more contrast': { ...PLAIN, colorScheme: 'dark', contrast: 'more' },
  'forced colors': { ...PLAIN, colorScheme: 'dark', forcedColors: 'active' },
} as const;
type Theme = keyof typeof THEMES;
const ALL = Object.keys(THEMES) as Theme[];
const FEW: readonly Theme[] = ['light', 'dark'];
/** The other states have the same parts in the same colors. */
const IN_ALL_THEMES = ['sale', 'shop', 'ended', 'variants'];
/** Each has parts that the others do not have. */
const CHECKED = [
  ...['sale', 'shop', 'filmed', 'paying', 'orders', 'planned', 'sold-out', 'empty', 'long', 'arabic'],
  ...['guest', 'ended', 'unknown', 'paused', 'variants', 'expired', 'silent', 'watching'],
];
/** Also on a wide screen, where all sections of products are on the page. */
const WIDE = ['sale', 'paying'];
/** A part that is cut off starts where its text starts, in pages of both directions. */
const CUT_AT_START = `[...document.querySelectorAll('.clip, .two-lines, .message .name')]
  .filter((box) => /\\p{L}/u.test(box.textContent) && !box.closest('.sr'))
  .filter((box) => {
    const first = /\\p{L}/u.exec(box.textContent)[0];
    return getComputedStyle(box).direction !== (/[\\u0590-\\u08ff]/.test(first) ? 'rtl' : 'ltr');
  }).map((box) => box.outerHTML)`;

/** Only contrast depends on the theme. */
async function findings(page: Page, rules: 'all' | 'contrast'): Promise<string[]> {
  const fast = { resultTypes: ['violations'], selectors: false, preload: false };
  const options = rules === 'all' ? fast : { ...fast, runOnly: ['color-contrast'] };
  return page.evaluate(`axe.run(document, ${JSON.stringify(options)})
    .then(({ violations }) => violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, any }) => id + ': ' + html.slice(0, 160) + ' ' + (any[0]?.message ?? ''))))`);
}

async function checkThemes(t: Test, page: Page, name: string, themes = FEW): Promise<void> {
  await page.evaluate(axe);
  for (const [index, theme] of themes.entries()) {
    await page.emulateMedia({ ...THEMES[theme], reducedMotion: 'reduce' });
    await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
    t.same(await findings(page, index === 0 ? 'all' : 'contrast'), [], `${name}, ${theme}`);
  }
}

t.test(
  'axe-core finds nothing in any state and theme, and no page violates its security policy',
  { skip },
  async (t) => {
    const site = await startShopSite();
    t.teardown(() => site.close());
    const engine = { ...(await startLiveEngine(t, { scripts: pageScripts() })), siteUrl: site.url };
    const browser = await launchChromium(t);
    let made: Promise<unknown> = Promise.resolve();
    const check = async (state: State): Promise<void> => {
      // One after the other: some are shown in the show of an earlier one.
      const making = made.then(() => state.make(engine));
      made = making;
      const show = await making;
      const context = await browser.newContext({ viewport: { width: 390, height: 844 }, locale: 'en-US' });
      const page = await context.newPage();
      page.setDefaultTimeout(8_000);
      const errors = collectErrors(page);
      const isBuyer = state.name !== 'unknown' && state.asGuest !== true;
      const minted = isBuyer && (await engine.office.mint(show, `axe ${state.name}`, 'Ana', 'buyer', state.ttlSeconds));
      const token = minted ? `token=${minted.token}` : '';
      await page.goto(`${engine.controlUrl}/watch/${show}?${token}${state.query ?? ''}`);
      await page.locator('.featured, .empty').first().waitFor();
      for (const name of state.press ?? []) await control(page, name).click({ force: true });
      if (state.ttlSeconds !== undefined) await page.getByRole('alert').waitFor({ timeout: 2_000 * state.ttlSeconds });
      await page.waitForTimeout(state.settleMs ?? 0);
      await checkThemes(t, page, state.name, IN_ALL_THEMES.includes(state.name) ? ALL : FEW);
      if (WIDE.includes(state.name)) {
        await page.setViewportSize({ width: 1280, height: 800 });
        await page.getByRole('region', { name: 'Shop' }).waitFor();
        await checkThemes(t, page, `${state.name} on a wide screen`);
      }
      if (state.name === 'paying') await checkMotion(t, page);
      if (state.name === 'long') {
        await page.goto(`${page.url()}?lang=ar`);
        await page.locator('.featured').waitFor();
      }
      t.same(await page.evaluate(CUT_AT_START), [], `texts in ${state.name} that are cut at the wrong end`);
      t.same(errors, [], state.name);
      await context.close();
    };
    const states = STATES.filter(({ name }) => CHECKED.includes(name));
    const checkNext = async (): Promise<void> => {
      for (let state = states.shift(); state !== undefined; state = states.shift()) await check(state);
    };
    // Some wait for a token to expire or a video to be late. Meanwhile others are checked.
    await Promise.all([checkNext(), checkNext()]);
    await checkDocuments(t, engine, browser);
    await checkList(t, engine, await browser.newPage({ viewport: { width: 390, height: 844 }, locale: 'en-US' }));
  },
);

/** Nothing moves for viewers who asked for that. */
async function checkMotion(t: Test, page: Page): Promise<void> {
  await page.getByRole('button', { name: /^Send a heart/ }).click();
  await page.getByRole('button', { name: /^Your holds and orders: 1 on hold/ }).click();
  t.same(await page.evaluate('document.getAnimations().map(({ animationName }) => animationName)'), []);
  t.equal(await page.locator('.floats > *').count(), 0);
}

/** The pages for developers. Swagger UI adds parts when operations and the form of keys open. */
async function checkDocuments(t: Test, { controlUrl }: Engine, browser: Browser): Promise<void> {
  const page = await browser.newPage({ locale: 'en-US' });
  const errors = collectErrors(page, /status of 401/);
  await page.goto(`${controlUrl}/asyncapi`);
  await checkThemes(t, page, 'asyncapi');
  await page.goto(`${controlUrl}/docs/`);
  await page.getByText('/v1/public/shows').first().waitFor();
  await checkThemes(t, page, 'docs', ['light', 'dark']);
  await page.setViewportSize({ width: 390, height: 844 });
  for (const [method, path] of [
    ['get', '/v1/public/shows'],
    ['post', '/v1/shows'],
    ['get', '/v1/shows/{show}'],
  ])
    await page.locator(`.opblock-${method}:has([data-path="${path}"]) .opblock-summary-control`).click();
  await page.locator('.try-out__btn').first().click();
  await page.locator('.btn.execute').first().click();
  await page.locator('.live-responses-table .download-contents').first().waitFor();
  await checkThemes(t, page, 'docs with open operations and a response', ['light']);
  await page.locator('.btn.authorize').first().click();
  await page.getByRole('button', { name: 'Close' }).first().waitFor();
  await checkThemes(t, page, 'docs with the form of keys', ['light']);
  t.same(errors, []);
  await page.close();
}

/** The list of public shows, which leads to the show. */
async function checkList(t: Test, engine: Engine, page: Page): Promise<void> {
  const startsAt = Date.now() + 3_600_000;
  await engine.office.createShow({ id: 'later', title: 'Later', startsAt, visibility: 'public' });
  page.setDefaultTimeout(8_000);
  const errors = collectErrors(page);
  await page.goto(engine.controlUrl);
  const upcoming = page.getByRole('region', { name: 'Coming up' });
  await upcoming.getByText(/^Starts in (?:1:00:0\d|59:\d\d)$/).waitFor();
  await checkThemes(t, page, 'list of shows');
  await page
    .getByRole('region', { name: 'Live now' })
    .getByRole('link', { name: /Winter evening/ })
    .click();
  await page.locator('.featured').waitFor();
  t.match(page.url(), /\/watch\/sale$/);
  t.same(errors, []);
}
