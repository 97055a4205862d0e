/** Viewers in Chromium: a phone or a desktop each, and what their console shows as an error. */
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { SHOW, type startLiveEngine } from '../support/live-engine.ts';

export type Engine = Awaited<ReturnType<typeof startLiveEngine>>;

const DEVICES = {
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
  desktop: { viewport: { width: 1280, height: 800 } },
} as const satisfies Record<string, BrowserContextOptions>;

export interface Visit {
  readonly user: string;
  readonly device?: keyof typeof DEVICES;
  readonly show?: string;
  /** Default: a new one of this user. */
  readonly token?: string;
  /** What the address has after the token, such as `&embed=1`. */
  readonly query?: string;
}

/** Opens the page of a show as a buyer and waits until it is connected. */
export async function visit(
  engine: Engine,
  browser: Browser,
  { user, device = 'desktop', show = SHOW, token, query = '' }: Visit,
) {
  const page = await newPage(browser, device);
  const errors = collectErrors(page);
  const ofUser = token ?? (await engine.office.mintToken(show, user, user, 'buyer'));
  await page.goto(`${engine.controlUrl}/watch/${show}?token=${ofUser}${query}`);
  await isConnected(page);
  return { page, errors };
}

export async function newPage(browser: Browser, device: keyof typeof DEVICES): Promise<Page> {
  const context = await browser.newContext({ ...DEVICES[device], locale: 'en-US' });
  const page = await context.newPage();
  page.setDefaultTimeout(8_000);
  return page;
}

export const isConnected = (page: Pick<Page, 'getByText'>): Promise<void> =>
  page.getByText('Connected', { exact: true }).waitFor();

/** The button of a product: `name` as screen readers hear it. */
export const button = (page: Page, name: RegExp) => page.getByRole('button', { name });

/** A control by its name, as screen readers hear it. */
export const control = (page: Page, name: string | RegExp) =>
  page
    .getByRole('button', { name })
    .or(page.getByRole('radio', { name, exact: true }))
    .first();

/** Collects what a console shows as an error, with violations of the security policy. */
export function collectErrors(page: Page, ignored = /status of 404/): string[] {
  const errors: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' && !ignored.test(message.text())) errors.push(message.text());
  });
  page.on('pageerror', (error) => errors.push(error.message));
  return errors;
}
