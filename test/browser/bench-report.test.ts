/** The bench report in a real Chromium: no errors, no requests, on phone, desktop and paper. */
import { pathToFileURL } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { writeResult } from '../../bench/report/index.ts';
import type { BenchResult } from '../../bench/report/result.ts';
import { exampleResult } from '../bench/example-result.ts';
import { hostileResult } from '../bench/hostile-result.ts';
import { launchChromium, skip } from './chromium.ts';

/** Opens a report. `errors` collects console errors, page errors and requests for other files. */
async function openReport(
  t: Test,
  browser: Browser,
  result: BenchResult,
  { width = 1280, colorScheme = 'light' }: { width?: number; colorScheme?: 'light' | 'dark' } = {},
): Promise<{ page: Page; errors: string[] }> {
  const { html } = writeResult(result, t.testdir());
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
  t.teardown(() => page.close());
  page.setDefaultTimeout(8_000);
  const errors: string[] = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(error.message));
  const url = pathToFileURL(html).href;
  page.on('request', (request) => request.url() !== url && errors.push(`requested ${request.url()}`));
  await page.goto(url);
  return { page, errors };
}

/** Returns the layout of every line of every plot. */
const drawn = (page: Page) =>
  page.locator('.plot path.line[data-name]').evaluateAll((paths) =>
    paths.map((path) => {
      const line = path.getBoundingClientRect();
      const canvas = (path.closest('svg') as SVGElement).getBoundingClientRect();
      const isWithin = line.left >= canvas.left - 1 && line.right <= canvas.right + 1;
      const inside = isWithin && line.top >= canvas.top - 1 && line.bottom <= canvas.bottom + 1;
      const share = line.width / canvas.width;
      return { name: path.getAttribute('data-name'), height: line.height, share, inside };
    }),
  );

const overflow = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

t.test('the report', { skip }, async (t) => {
  const browser = await launchChromium(t);

  for (const look of [{ width: 1280 }, { width: 390, colorScheme: 'dark' }] as const) {
    await t.test(`at ${look.width} px`, async (t) => {
      const result = exampleResult();
      const { page, errors } = await openReport(t, browser, result, look);
      t.equal(await overflow(page), 0, 'the page fits its width');
      const lines = await drawn(page);
      t.equal(lines.length, result.series.length + result.latencies.length);
      for (const { name, share, inside, height } of lines) {
        t.ok(share > 0.6 && height > 0, `${name} is drawn`);
        t.ok(inside, `${name} stays inside`);
      }
      t.ok(Math.max(...lines.map(({ height }) => height)) > 100, 'some lines use the height');
      t.same(errors, []);
    });
  }

  await t.test('values are read with the keyboard and the pointer', async (t) => {
    const { page } = await openReport(t, browser, exampleResult());
    const plot = page.locator('#latency-1');
    await plot.locator('svg.canvas').focus();
    for (let press = 0; press < 50; press++) await page.keyboard.press('ArrowRight');
    await plot.getByText(/^2:00: chat p99 [\d.]+ ms, reservation p99 [\d.]+ ms, chat p50 [\d.]+ ms$/).waitFor();
    await page.keyboard.press('Escape');
    t.equal(await plot.locator('.readout').textContent(), '');
    const waits = page.locator('#distribution-1');
    await waits.locator('svg.canvas').hover();
    await waits.getByText(/^9[\d.]+ %: chat, sent to seen [\d.]+ ms/).waitFor();
  });

  await t.test('every plot has a text alternative and a table', async (t) => {
    const { page } = await openReport(t, browser, exampleResult());
    for (const plot of await page.locator('.plot').all()) {
      const title = (await plot.locator('h3').textContent()) ?? '';
      t.equal(await plot.getByRole('img', { name: title }).count(), 1, `${title} has a name and a text alternative`);
      t.ok((await plot.locator('table').count()) > 0, `${title} has its numbers below`);
    }
    t.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
  });

  await t.test('the printed report is light, and no plot or table is cut', async (t) => {
    const failing = exampleResult({ kind: 'failing' });
    const { page } = await openReport(t, browser, failing, { colorScheme: 'dark', width: 688 });
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    t.equal(await page.evaluate(() => getComputedStyle(document.body).color), 'rgb(22, 25, 31)');
    t.equal(await overflow(page), 0);
    t.equal(await page.locator('nav').isVisible(), false);
    const plots = page.locator('.plot');
    const breaks = await plots.evaluateAll((all) => all.map((plot) => getComputedStyle(plot).breakInside));
    t.same([...new Set(breaks)], ['avoid']);
    const cut = (boxes: Element[]) => boxes.filter(({ clientWidth: w, scrollWidth: s }) => w > 0 && s > w);
    t.equal((await plots.locator('.scroll').evaluateAll(cut)).length, 0, 'no table is cut');
    t.ok((await page.pdf({ format: 'A4', printBackground: true })).length > 10_000);
  });

  await t.test('a hostile result is shown as text', async (t) => {
    const { page, errors } = await openReport(t, browser, hostileResult(), { width: 390 });
    t.match(await page.title(), /^FAIL: "'><\/script>/);
    t.equal(await page.locator('img').count(), 0);
    t.equal(await page.locator('script').count(), 1);
    t.equal(await page.locator('[onerror], [onmouseover]').count(), 0);
    t.equal(await overflow(page), 0, 'long words break');
    await page.locator('.canvas').first().hover();
    t.match(await page.locator('.readout').first().textContent(), /<script>/);
    t.same(errors, []);
  });
});
