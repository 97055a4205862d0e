/** The video of a show: MP4, HLS, a tall one behind the page, and an address that does not work. */
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, extname, join } from 'node:path';
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { startLiveEngine } from '../support/live-engine.ts';
import { ROOT } from '../support/root.ts';
import { until } from '../support/until.ts';
import { launchChromium, pageScripts, skip } from './chromium.ts';
import { visit } from './visitors.ts';

const TYPES: Readonly<Record<string, string>> = { '.mp4': 'video/mp4', '.m3u8': 'application/vnd.apple.mpegurl' };
const FOLDER = join(ROOT, 'test/fixtures/video');
const QUARTER = 0.25;

/** Serves the files to pages of any origin. */
async function startVideoSite(t: Test): Promise<string> {
  const server = createServer(({ url = '' }, response) => {
    const file = join(FOLDER, basename(url).replace('lost.m3u8', 'wide.m3u8'));
    if (url.includes('lost/') && extname(file) === '.m4s')
      return void response.writeHead(404, { 'access-control-allow-origin': '*' }).end();
    if (!existsSync(file)) return void response.writeHead(404, { 'access-control-allow-origin': '*' }).end();
    const type = TYPES[extname(file)] ?? 'video/iso.segment';
    response.writeHead(200, { 'content-type': type, 'access-control-allow-origin': '*' }).end(readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Is it playing? `source`: how its address begins. */
const isPlaying = (source: string): string => `(({ src, currentTime, paused } = {}) =>
  src?.startsWith('${source}') && currentTime > 0.2 && !paused)(document.querySelector('video') ?? undefined)`;
const plays = (page: Page, source = 'http'): Promise<void> =>
  until(async () => (await page.evaluate(isPlaying(source))) === true, 'the video plays');

const propertiesOf = (node: Element) => {
  const { muted, poster, loop } = node as Element & { muted: boolean; poster: string; loop: boolean };
  return { muted, poster, loop };
};

t.test('videos play muted by themselves, and what does not play says so in a line', { skip }, async (t) => {
  const site = await startVideoSite(t);
  const engine = await startLiveEngine(t, { scripts: pageScripts() });
  const browser = await launchChromium(t);
  await engine.host('PATCH', '', { videoUrl: `${site}/wide.mp4`, posterUrl: `${site}/poster.jpg` });
  const { page, errors } = await visit(engine, browser, { user: 'Ana', device: 'phone' });
  const scripts: string[] = [];
  page.on('request', (request) => request.resourceType() === 'script' && scripts.push(request.url()));

  await t.test('an MP4 file, with poster, and sound at a press', async (t) => {
    await plays(page);
    const { muted, poster, loop } = await page.locator('video').evaluate(propertiesOf);
    t.same({ muted, poster, loop }, { muted: true, poster: `${site}/poster.jpg`, loop: true });
    await page.getByRole('button', { name: 'Turn sound on' }).click();
    await page.getByRole('button', { name: 'Turn sound off' }).waitFor();
    t.equal((await page.locator('video').evaluate(propertiesOf)).muted, false);
    t.same(scripts, [], 'no library for it');
  });

  await t.test('an HLS playlist, with a library that is loaded only now', async (t) => {
    await engine.host('PATCH', '', { videoUrl: `${site}/wide.m3u8` });
    await plays(page, 'blob:');
    t.equal(scripts.length, 1);
  });

  await t.test('a tall video fills a phone, with chat and product over its lower part', async (t) => {
    await engine.host('PATCH', '', { videoUrl: `${site}/tall.mp4` });
    await page.locator('.page.behind').waitFor();
    await plays(page);
    const box = await page.locator('.stage').boundingBox();
    t.same(box, { x: 0, y: 0, width: 390, height: 844 });
    const log = await page.getByRole('log').boundingBox();
    t.ok(log !== null && log.y > 844 / 3, 'the upper part is free');
    t.ok(await page.getByLabel('Your message').isVisible());
  });

  await t.test('a wrong address is a note that leaves the page its place, and can be tried again', async (t) => {
    await engine.host('PATCH', '', { videoUrl: `${site}/missing.m3u8` });
    const note = page.locator('.head .banner');
    await note.getByText('The video cannot be played. Chat and sale go on.').waitFor();
    const height = (await note.boundingBox())?.height ?? 844;
    t.ok(height < 844 * QUARTER * QUARTER, `${height} px`);
    t.equal(await page.locator('video').count(), 0);
    await note.getByRole('button', { name: 'Try again' }).click();
    await note.waitFor();
    await engine.host('PATCH', '', { videoUrl: `${site}/lost/lost.m3u8` });
    await page.locator('video').waitFor({ state: 'attached' });
    await note.waitFor();
    await engine.host('PATCH', '', { videoUrl: `${site}/wide.mp4` });
    await plays(page);
    t.equal(await note.count(), 0);
  });

  await t.test('no video where the page is embedded', async (t) => {
    const embedded = await visit(engine, browser, { user: 'Bo', query: '&embed=1' });
    t.equal(await embedded.page.locator('video').count(), 0);
  });
  t.same(errors, []);
});
