/**
 * Makes the pictures and the clip of the demo again: `node scripts/demo-media.mjs`. Needs Chromium
 * (STAMPEDE_CHROMIUM, or /usr/bin/chromium) and ffmpeg with libx264.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { productImages, STAGE, stageImage } from './demo-art.mjs';

const folder = join(dirname(fileURLToPath(import.meta.url)), '../bench/demo/media');
const { width, height, seconds, framesPerSecond } = STAGE;

mkdirSync(folder, { recursive: true });
for (const { name, text } of productImages()) writeFileSync(join(folder, name), text);

const browser = await chromium.launch({
  executablePath: process.env.STAMPEDE_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
});
const page = await browser.newPage({ viewport: { width, height } });
await page.setContent('<style>body{margin:0}</style><div></div>');
const draw = async (time, options) => {
  await page.evaluate((svg) => {
    document.querySelector('div').innerHTML = svg;
  }, stageImage(time));
  return page.screenshot(options);
};
writeFileSync(join(folder, 'poster.jpg'), await draw(0, { type: 'jpeg', quality: 72 }));

const codec = ['-c:v', 'libx264', '-preset', 'slow', '-crf', '27', '-pix_fmt', 'yuv420p', '-movflags', '+faststart'];
const input = ['-f', 'image2pipe', '-framerate', String(framesPerSecond), '-i', '-'];
const encoder = spawn('ffmpeg', ['-v', 'error', '-y', ...input, ...codec, join(folder, 'stage.mp4')], {
  stdio: ['pipe', 'inherit', 'inherit'],
});
const frames = seconds * framesPerSecond;
for (let frame = 0; frame < frames; frame += 1)
  if (!encoder.stdin.write(await draw(frame / frames, { type: 'jpeg', quality: 94 })))
    await once(encoder.stdin, 'drain');
encoder.stdin.end();
await once(encoder, 'close');
// As from a phone that is held upright.
const crop = ['-vf', 'crop=304:540:240:0', ...codec, join(folder, 'tall.mp4')];
spawnSync('ffmpeg', ['-v', 'error', '-y', '-i', join(folder, 'stage.mp4'), ...crop], { stdio: 'inherit' });
await browser.close();
