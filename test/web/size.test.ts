/** What a visitor downloads before the video. */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { ROOT } from '../support/root.ts';

const KIB = 1024;

t.test('each page has at most 60 KiB of gzipped script before video, and 12 KiB of style', async (t) => {
  const { bundlePages } = (await import(join(ROOT, 'scripts/pages.mjs'))) as {
    bundlePages: (source: string, target: string) => Promise<Metafile>;
  };
  const target = t.testdir();
  const { outputs } = await bundlePages(join(ROOT, 'src/web'), target);
  const gzipped = (file: string): number => gzipSync(readFileSync(join(target, basename(file))), { level: 9 }).length;
  const pages = Object.entries(outputs).filter(([, { entryPoint }]) => entryPoint?.endsWith('main.tsx'));
  t.ok(pages.length > 0);
  for (const [page] of pages) {
    const files = new Set([page]);
    for (const file of files)
      for (const { path, kind } of outputs[file]?.imports ?? []) if (kind === 'import-statement') files.add(path);
    const script = [...files].reduce((sum, file) => sum + gzipped(file), 0);
    t.ok(script <= 60 * KIB, `${basename(page)}: ${script} bytes`);
    const style = gzipped(page.replace(/\.js$/, '.css'));
    t.ok(style <= 12 * KIB, `its style: ${style} bytes`);
  }
});

interface Metafile {
  readonly outputs: Readonly<
    Record<string, { entryPoint?: string; imports: ReadonlyArray<{ path: string; kind: string }> }>
  >;
}
