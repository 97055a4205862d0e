/**
 * Bundles the web pages: for each page its document, one style sheet and one script. What a page
 * loads later (another language, HLS video) is a separate file.
 */
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

const PAGES = ['viewer', 'shop', 'studio'];

export async function bundlePages(source, target, { sourceMaps = false } = {}) {
  const pages = PAGES.filter((page) => existsSync(join(source, page, 'index.html')));
  mkdirSync(target, { recursive: true });
  const result = await build({
    entryPoints: pages.flatMap((page) => [
      { in: join(source, page, 'main.tsx'), out: page },
      { in: join(source, page, 'page.css'), out: page },
    ]),
    outdir: target,
    chunkNames: 'part-[hash]',
    assetNames: '[name]',
    bundle: true,
    splitting: true,
    minify: true,
    sourcemap: sourceMaps,
    format: 'esm',
    platform: 'browser',
    target: ['es2022', 'chrome123', 'safari17.5', 'firefox121'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    loader: { '.woff2': 'file' },
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  });
  for (const page of pages) copyFileSync(join(source, page, 'index.html'), join(target, `${page}.html`));
  return result.metafile;
}
