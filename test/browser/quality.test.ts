/** What a tool can check of the pages: accessibility in all themes, security policy, frames. */
// slow: counts long frames of a real browser
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';
import { STATES } from './shows.ts';
import { collectErrors, type Engine } from './visitors.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const THEMES: ReadonlyArray<{ colorScheme: 'light' | 'dark'; contrast: 'no-preference' | 'more' }> = [
  { colorScheme: 'light', contrast: 'no-preference' },
  { colorScheme: 'dark', contrast: 'no-preference' },
  { colorScheme: 'light', contrast: 'more' },
  { colorScheme: 'dark', contrast: 'more' },
];
/** Each has parts that the others do not have. */
const CHECKED = ['sale', 'shop', 'orders', 'sold-out', 'empty', 'arabic', 'guest', 'unknown'];
const MESSAGES_PER_SECOND = 100;
const CHATTERS = 50;
const CHAT_SECONDS = 3;
/** Of about 180 frames. What else runs on the machine causes some too. */
const LONG_TASKS_MAX = 5;

async function findings(page: Page): Promise<string[]> {
  await page.evaluate(axe);
  return page.evaluate(`axe.run(document).then(({ violations }) => violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, any }) => id + ': ' + html.slice(0, 160) + ' ' + (any[0]?.message ?? ''))))`);
}

async function checkThemes(t: Test, page: Page, name: string, themes = THEMES.slice(0, 2)): Promise<void> {
  for (const theme of themes) {
    await page.emulateMedia({ ...theme, reducedMotion: 'reduce' });
    await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
    t.same(await findings(page), [], `${name}, ${theme.colorScheme}, contrast ${theme.contrast}`);
  }
}

t.test(
  'axe-core finds nothing in any state and theme, and no page violates its security policy',
  { skip },
  async (t) => {
    const engine = await startLiveEngine(t, { scripts: pageScripts() });
    const browser = await launchChromium(t);
    const shows = new Map<string, string>();
    for (const state of STATES.filter(({ name }) => CHECKED.includes(name))) {
      const show = shows.get(state.name) ?? (await state.make(engine));
      shows.set(state.name, show);
      const context = await browser.newContext({ viewport: { width: 390, height: 844 }, locale: 'en-US' });
      const page = await context.newPage();
      page.setDefaultTimeout(8_000);
      const errors = collectErrors(page);
      const isBuyer = state.name !== 'unknown' && state.asGuest !== true;
      const token = isBuyer ? `token=${await engine.office.mintToken(show, `axe ${state.name}`, 'Ana', 'buyer')}` : '';
      await page.goto(`${engine.controlUrl}/watch/${show}?${token}${state.query ?? ''}`);
      await page.locator('.featured, .empty').first().waitFor();
      for (const name of state.press ?? []) await page.getByRole('button', { name }).first().click();
      await checkThemes(t, page, state.name, ['sale', 'shop'].includes(state.name) ? [...THEMES] : undefined);
      if (state.name === 'sale') {
        await page.setViewportSize({ width: 1280, height: 800 });
        await page.getByRole('region', { name: 'Shop' }).waitFor();
        await checkThemes(t, page, 'sale on a wide screen');
      }
      t.same(errors, [], state.name);
      await context.close();
    }
    await checkList(t, engine, await browser.newPage({ viewport: { width: 390, height: 844 }, locale: 'en-US' }));
  },
);

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

t.test('100 chat messages per second cause no long frames, and the document stays small', { skip }, async (t) => {
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  const show = await chattyShow(engine);
  const browser = await launchChromium(t);
  const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
  page.setDefaultTimeout(8_000);
  await page.goto(
    `${engine.controlUrl}/watch/${show}?token=${await engine.office.mintToken(show, 'Ana', 'Ana', 'buyer')}`,
  );
  await page.getByText('Connected', { exact: true }).waitFor();
  const chatters = await Promise.all(
    Array.from({ length: CHATTERS }, async (_, i) =>
      engine.join(`c${i}`, { show, token: await engine.office.mintToken(show, `c${i}`, `Chatter ${i}`, 'buyer') }),
    ),
  );
  await page.evaluate(`globalThis.long = [];
    new PerformanceObserver((list) => long.push(...list.getEntries().map(({ duration }) => duration)))
      .observe({ type: 'longtask' });`);
  const total = MESSAGES_PER_SECOND * CHAT_SECONDS;
  for (let sent = 0; sent < total; sent += 1) {
    void chatters[sent % CHATTERS]?.chat(`Message ${sent} with some words, so that it has about the usual length`);
    if (sent % 10 === 9) await page.waitForTimeout(10_000 / MESSAGES_PER_SECOND);
  }
  await page.getByText(`Message ${total - 1} with`).waitFor();
  const long = (await page.evaluate('long')) as number[];
  t.ok(long.length <= LONG_TASKS_MAX, `tasks of more than 50 ms: ${long.join(', ')}`);
  t.ok((await page.getByRole('log').locator('.message').count()) <= 120);

  await t.test('who reads older messages is not moved, and can go to the new ones', async (t) => {
    const log = page.getByRole('log');
    await log.evaluate((node) => node.scrollTo(0, 200));
    await page.waitForTimeout(100);
    const topMessage = await log.evaluate((node) => node.scrollTop);
    await chatters[0]?.chat('Something new');
    await page.getByRole('button', { name: '1 new message', exact: true }).waitFor();
    t.equal(await log.evaluate((node) => node.scrollTop), topMessage);
    await page.getByRole('button', { name: '1 new message', exact: true }).click();
    await page.getByText('Something new').waitFor();
    t.equal(await page.getByRole('button', { name: /new message/ }).count(), 0);
  });
});

async function chattyShow({ office }: Engine): Promise<string> {
  const { id } = await office.createShow({ id: 'chatty', title: 'Chatty', guests: true, chatShownPerSecond: 0 });
  await office.startShow(id);
  return id;
}
