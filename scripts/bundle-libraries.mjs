/**
 * Bundles libraries of many files for the tests: compiled tests, and the engines that they start,
 * find them in dist/node_modules. They load in a quarter of the time (typebox in 16 ms instead of
 * 450), and a run of all tests starts hundreds of processes. Published packages have no such
 * folder.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

/** What is imported of each. */
const LIBRARIES = { tap: ['.'], typebox: ['.', './compile', './value'], ioredis: ['.'], bullmq: ['.'] };
/** CommonJS files in a module need it. */
const REQUIRE = "import { createRequire as from } from 'node:module'; const require = from(import.meta.url);";

const fileOf = (path) => `${path.slice(2) || 'index'}.js`;

/** Makes an entry point of each import, and leaves out what is another library, or optional. */
const entries = (root) => ({
  name: 'entries',
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^entry:/ }, ({ path }) => ({ path: path.slice('entry:'.length), namespace: 'entry' }));
    onLoad({ filter: /./, namespace: 'entry' }, async ({ path }) => {
      const names = Object.keys(await import(path)).filter((name) => name !== 'module.exports');
      return { contents: `export { ${names.join(', ')} } from '${path}';`, resolveDir: root };
    });
    onResolve({ filter: /^(ioredis|pg)$/ }, ({ path, namespace }) =>
      namespace === 'entry' ? null : { path, external: true },
    );
  },
});

/** Writes the bundles into `folder`, a `node_modules` in dist. */
export async function bundleLibraries(root, folder) {
  const points = Object.entries(LIBRARIES).flatMap(([name, paths]) =>
    paths.map((path) => ({ in: `entry:${join(name, path)}`, out: join(name, fileOf(path).slice(0, -3)) })),
  );
  await build({
    ...{ entryPoints: points, outdir: folder, plugins: [entries(root)], banner: { js: REQUIRE }, logLevel: 'error' },
    ...{ bundle: true, splitting: true, platform: 'node', target: 'node20', format: 'esm' },
  });
  for (const [name, paths] of Object.entries(LIBRARIES)) {
    const exports = Object.fromEntries(paths.map((path) => [path, `./${fileOf(path)}`]));
    writeFileSync(join(folder, name, 'package.json'), JSON.stringify({ name, type: 'module', exports }));
  }
}
