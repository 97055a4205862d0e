/** Debian's Chromium for the browser tests, and the page's modules compiled for it. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import type { Test } from 'tap';
import { COMPILED, ROOT } from '../support/root.ts';

const USUAL_PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** Where a browser is; null when there is none (or when STAMPEDE_CHROMIUM is set to nothing). */
export function findChromium(): string | null {
  const told = process.env.STAMPEDE_CHROMIUM;
  const places = told === undefined ? USUAL_PLACES : [told];
  return places.find((place) => place !== '' && existsSync(place)) ?? null;
}

export async function launchChromium(t: Test, executablePath: string): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
  t.teardown(() => browser.close());
  return browser;
}

/**
 * Compiles the viewer page and what it imports; answers the folder with `client`, `protocol` and
 * `web` in it.
 */
export function compilePage(t: Test): string {
  if (COMPILED) return join(ROOT, 'dist/src');
  const folder = mkdtempSync(join(tmpdir(), 'stampede-page-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const config = join(folder, 'tsconfig.json');
  writeFileSync(
    config,
    JSON.stringify({
      extends: join(ROOT, 'tsconfig.build.json'),
      compilerOptions: {
        rootDir: join(ROOT, 'src'),
        outDir: join(folder, 'out'),
        declaration: false,
        typeRoots: [join(ROOT, 'node_modules/@types')],
      },
      include: [join(ROOT, 'src/web/*.ts')],
    }),
  );
  // The test runner puts its loaders into NODE_OPTIONS, and the compiler's entry does not survive
  // them.
  const compiled = spawnSync(
    'env',
    ['-u', 'NODE_OPTIONS', process.execPath, join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', config],
    {
      encoding: 'utf8',
    },
  );
  if (compiled.status !== 0) throw new Error(`the page does not compile:\n${compiled.stdout}${compiled.stderr}`);
  return join(folder, 'out');
}
