import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import type { Test } from 'tap';
import { COMPILED, ROOT } from '../support/root.ts';

const PATHS = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** STAMPEDE_CHROMIUM overrides the paths; empty means none. */
const configured = process.env.STAMPEDE_CHROMIUM;
const places = configured === undefined ? PATHS : [configured];
const executablePath = places.find((place) => place !== '' && existsSync(place)) ?? '';

/** The reason to skip tests that need a browser, or false. */
export const skip = executablePath === '' ? 'no Chromium found: install it or set STAMPEDE_CHROMIUM' : false;

export async function launchChromium(t: Test): Promise<Browser> {
  const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'];
  const browser = await chromium.launch({ executablePath, args });
  t.teardown(() => browser.close());
  return browser;
}

/**
 * Returns the folder of the compiled modules, with the pages. Tests that run from sources build it,
 * unless STAMPEDE_BUILT is 1.
 */
export function pageScripts(): string {
  if (!COMPILED && process.env.STAMPEDE_BUILT !== '1') {
    // Through `env`, because the test runner adds loaders that the compiler does not support.
    const args = ['-u', 'NODE_OPTIONS', process.execPath, 'scripts/build.mjs'];
    const built = spawnSync('env', args, { cwd: ROOT, encoding: 'utf8' });
    if (built.status !== 0) throw new Error(`the build failed:\n${built.stdout}${built.stderr}`);
  }
  return join(ROOT, 'dist/src');
}
