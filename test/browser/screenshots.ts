/**
 * Takes pictures of the viewer page in all its states: `scripts/screenshots FOLDER [STATE ...]`.
 * People look at them; no test compares them.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Browser } from 'playwright-core';
import type { Test } from 'tap';
import { startShopSite } from '../../bench/demo/shop-site.ts';
import { startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts } from './chromium.ts';
import { STATES, type State } from './shows.ts';
import type { Engine } from './visitors.ts';

const SIZES = { phone: [390, 844], tablet: [820, 1180], desktop: [1440, 900] } as const;
type Size = keyof typeof SIZES;
const THEMES = {
  light: { colorScheme: 'light' },
  dark: { colorScheme: 'dark' },
  contrast: { colorScheme: 'light', contrast: 'more' },
  'contrast-dark': { colorScheme: 'dark', contrast: 'more' },
  forced: { colorScheme: 'dark', forcedColors: 'active' },
} as const;
type Theme = keyof typeof THEMES;
/** The others only where they are named. */
const USUAL_THEMES: readonly Theme[] = ['light', 'dark'];
const SETTLE_MS = 700;

const teardowns: Array<() => unknown> = [];
/** All that the helpers of tests need here. */
const run = { teardown: (work: () => unknown) => teardowns.unshift(work) } as unknown as Test;

async function take(engine: Engine, browser: Browser, state: State, file: string, size: Size, theme: Theme) {
  const [width, height] = SIZES[size];
  const show = await state.make(engine);
  const context = await browser.newContext({ viewport: { width, height }, ...THEMES[theme] });
  const page = await context.newPage();
  page.setDefaultTimeout(8_000);
  const user = `Visitor ${size} ${theme} ${state.name}`;
  const isReal = show !== 'nowhere' && state.asGuest !== true;
  const token = isReal ? `token=${await engine.office.mintToken(show, user, 'Ana', 'buyer')}` : '';
  const path = state.path ?? `watch/${show}?${token}${state.query ?? ''}`;
  await page.goto(`${engine.controlUrl}/${path}`);
  await page.waitForTimeout(SETTLE_MS);
  for (const name of state.press ?? []) {
    const control = page
      .getByRole('button', { name })
      .or(page.getByRole('radio', { name, exact: true }))
      .first();
    if (await control.isVisible()) await control.click({ force: true });
    await page.waitForTimeout(SETTLE_MS);
  }
  await page.screenshot({ path: file });
  await context.close();
}

const [folder = 'screenshots', ...names] = process.argv.slice(2);
const target = resolve(folder);
mkdirSync(target, { recursive: true });
try {
  const site = await startShopSite();
  teardowns.push(() => site.close());
  const engine = { ...(await startLiveEngine(run, { scripts: pageScripts() })), siteUrl: site.url };
  const browser = await launchChromium(run);
  const made = new Map<string, Promise<string>>();
  const sizes = names.filter((name): name is Size => Object.hasOwn(SIZES, name));
  const themes = names.filter((name): name is Theme => Object.hasOwn(THEMES, name));
  const wanted = names.filter((name) => !Object.hasOwn(SIZES, name) && !Object.hasOwn(THEMES, name));
  for (const state of STATES) {
    if (wanted.length > 0 && !wanted.includes(state.name)) continue;
    // Some states are of the show that another one made.
    const owner = state.make.length === 0 ? STATES[0]! : state;
    if (!made.has(owner.name)) made.set(owner.name, owner.make(engine));
    await made.get(owner.name);
    const show = state.make.length === 0 ? state.make(engine) : made.get(owner.name)!;
    for (const size of sizes.length > 0 ? sizes : (Object.keys(SIZES) as Size[]))
      for (const theme of themes.length > 0 ? themes : USUAL_THEMES) {
        const file = join(target, `${state.name}-${size}-${theme}.png`);
        await take(engine, browser, { ...state, make: () => show }, file, size, theme);
        process.stdout.write(`${file}\n`);
      }
  }
} finally {
  for (const work of teardowns) await work();
}
