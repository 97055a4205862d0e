/**
 * Takes pictures of the viewer page in all its states: `scripts/screenshots FOLDER [STATE ...]`.
 * People look at them; no test compares them.
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import type { Test } from 'tap';
import { startShopSite } from '../../bench/demo/shop-site.ts';
import { startLiveEngine } from '../support/live-engine.ts';
import { launchChromium, pageScripts } from './chromium.ts';
import { STATES, type State, shopPage } from './shows.ts';
import { control, type Engine } from './visitors.ts';

const SIZES = { phone: [390, 844], tablet: [768, 1024], 'tablet-wide': [1024, 768], desktop: [1440, 900] } as const;
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

/** Opens the page, or a page of a shop that has it in a frame. */
async function open(page: Page, url: string, shop: string | undefined): Promise<void> {
  if (shop === undefined) return void (await page.goto(url));
  await page.goto(shop);
  await page.evaluate((html) => {
    document.documentElement.innerHTML = html;
  }, shopPage(url));
}

async function take(engine: Engine, browser: Browser, state: State, file: string, size: Size, theme: Theme) {
  const [width, height] = SIZES[size];
  const show = await state.make(engine);
  const context = await browser.newContext({ viewport: { width, height }, ...THEMES[theme] });
  const page = await context.newPage();
  page.setDefaultTimeout(8_000);
  const user = `Visitor ${size} ${theme} ${state.name}`;
  const isReal = show !== 'nowhere' && state.asGuest !== true;
  const { token = '' } = isReal ? await engine.office.mint(show, user, 'Ana', 'buyer', state.ttlSeconds) : {};
  const path = state.path ?? `watch/${show}?${token && `token=${token}`}${state.query ?? ''}`;
  await open(page, `${engine.controlUrl}/${path}`, state.framedBy?.(engine));
  await page.waitForTimeout(SETTLE_MS);
  for (const name of state.press ?? []) {
    const pressed = control(page, name);
    if (await pressed.isVisible()) await pressed.click({ force: true });
    await page.waitForTimeout(SETTLE_MS);
  }
  if (state.ttlSeconds !== undefined) await page.getByRole('alert').waitFor({ timeout: 2_000 * state.ttlSeconds });
  await page.waitForTimeout(state.settleMs ?? 0);
  await page.screenshot({ path: file });
  await context.close();
}

const [folder = 'screenshots', ...names] = process.argv.slice(2);
const target = resolve(folder);
mkdirSync(target, { recursive: true });
try {
  const site = await startShopSite();
  teardowns.push(() => site.close());
  const options = { scripts: pageScripts(), frameAncestors: [site.url] };
  const engine = { ...(await startLiveEngine(run, options)), siteUrl: site.url };
  const browser = await launchChromium(run);
  const made = new Map<string, Promise<string>>();
  const sizes = names.filter((name): name is Size => Object.hasOwn(SIZES, name));
  const themes = names.filter((name): name is Theme => Object.hasOwn(THEMES, name));
  const wanted = names.filter((name) => !Object.hasOwn(SIZES, name) && !Object.hasOwn(THEMES, name));
  for (const state of STATES) {
    if (wanted.length > 0 && !wanted.includes(state.name)) continue;
    // Some states are of the show that another one makes.
    const isOwner = state.make.length > 0;
    const id = isOwner ? state.name : await state.make(engine);
    const owner = isOwner ? state : STATES.find(({ name }) => name === id);
    if (owner !== undefined && !made.has(id)) made.set(id, owner.make(engine));
    const show = made.get(id) ?? Promise.resolve(id);
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
