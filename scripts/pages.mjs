/**
 * Bundles the web pages: for each page its document, one style sheet and one script. What a page
 * loads later (another language, HLS video) is a separate file.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/** `root`: from the address of the page to the root of the control API. */
const PAGES = [
  { name: 'viewer', title: 'Stampede live show', root: '../' },
  { name: 'shop', title: 'Live shopping', root: '' },
];

export async function bundlePages(source, target, { sourceMaps = false } = {}) {
  mkdirSync(target, { recursive: true });
  const result = await build({
    entryPoints: PAGES.flatMap(({ name }) => [
      { in: join(source, name, 'main.tsx'), out: name },
      { in: join(source, name, 'page.css'), out: name },
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
  const document = readFileSync(join(source, 'shared/page.html'), 'utf8');
  for (const page of PAGES)
    writeFileSync(
      join(target, `${page.name}.html`),
      document.replace(/\{(name|title|root)\}/g, (_, key) => page[key]),
    );
  return result.metafile;
}
