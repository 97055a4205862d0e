/** The video of a show: MP4, HLS, a tall one behind the page, and one that does not arrive. */
// slow: waits for videos that do not arrive
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
/** Names of which the same file is served in another way. */
const FILES: Readonly<Record<string, string>> = {
  'lost.m3u8': 'wide.m3u8',
  'hang.mp4': 'wide.mp4',
  'hang.m4s': 'wide-0.m4s',
};
const QUARTER = 0.25;
const SILENT_MS = 8_000;
const RETRY_MS = 15_000;

/** A playlist whose second part is `hang.m4s`. */
const STALLING = readFileSync(join(FOLDER, 'wide.m3u8'), 'utf8').replace(
  '#EXT-X-ENDLIST',
  '#EXT-X-DISCONTINUITY\n#EXTINF:2.0,\nhang.m4s\n#EXT-X-ENDLIST',
);

/** Serves files to pages of any origin. Names with `hang` get no response while it is silent. */
async function startVideoSite(t: Test) {
  const site = { url: '', isSilent: true };
  const server = createServer(({ url = '' }, response) => {
    if (url.includes('hang') && site.isSilent) return;
    if (url.endsWith('stalling.m3u8'))
      return void response.writeHead(200, { 'access-control-allow-origin': '*' }).end(STALLING);
    const file = join(FOLDER, FILES[basename(url)] ?? basename(url));
    if (url.includes('lost/') && extname(file) === '.m4s')
      return void response.writeHead(404, { 'access-control-allow-origin': '*' }).end();
    if (!existsSync(file)) return void response.writeHead(404, { 'access-control-allow-origin': '*' }).end();
    const type = TYPES[extname(file)] ?? 'video/iso.segment';
    response.writeHead(200, { 'content-type': type, 'access-control-allow-origin': '*' }).end(readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  site.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return site;
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
  const videoSite = await startVideoSite(t);
  const { url: site } = videoSite;
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

  await t.test('a server that never responds: a note, a named time, and then the video', async (t) => {
    await page.getByRole('button', { name: /^Turn sound/ }).waitFor();
    const wasMuted = (await page.locator('video').evaluate(propertiesOf)).muted;
    await engine.host('PATCH', '', { videoUrl: `${site}/hang.mp4` });
    const stage = page.getByRole('region', { name: 'Live video' });
    await stage.getByText('Loading the video …', { exact: true }).waitFor();
    await stage.getByText('No video is arriving. Chat and sale go on.').waitFor({ timeout: SILENT_MS + 4_000 });
    await stage.getByText(/Next try in (?:0:1\d|\d+ s)/).waitFor();
    await page.getByLabel('Your message').fill('Still here');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByRole('log').getByText('Still here').waitFor();
    t.equal((await page.locator('video').evaluate(propertiesOf)).muted, wasMuted, 'the sound is as it was');
    videoSite.isSilent = false;
    await until(async () => (await page.evaluate(isPlaying('http'))) === true, 'it is tried again', RETRY_MS + 8_000);
    await page.locator('.stage-note').waitFor({ state: 'detached' });
  });

  await t.test('a stream that stops in the middle: the same, and a press tries now', async () => {
    videoSite.isSilent = true;
    await engine.host('PATCH', '', { videoUrl: `${site}/stalling.m3u8` });
    await plays(page, 'blob:');
    const stage = page.getByRole('region', { name: 'Live video' });
    await stage.getByText('No video is arriving. Chat and sale go on.').waitFor({ timeout: SILENT_MS + 8_000 });
    videoSite.isSilent = false;
    await stage.getByRole('button', { name: 'Try now' }).click();
    await plays(page, 'blob:');
    await page.locator('.stage-note').waitFor({ state: 'detached' });
  });

  await t.test('no video where the page is embedded', async (t) => {
    const embedded = await visit(engine, browser, { user: 'Bo', query: '&embed=1' });
    t.equal(await embedded.page.locator('video').count(), 0);
  });
  t.same(errors, []);
});
