/**
 * Prepares the packages that this repository has beside the engine: the SDK and the load tester.
 * Each gets a folder in dist/packages with the compiled files that its entry points reach. Its
 * dependencies are the libraries that these files import, in the versions of package.json.
 */
import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { clientApiPage, ENTRIES } from './client-api.mjs';

const IMPORT = /(?<![-.\w])(?:from|import)\s*\(?\s*(['"])([\w@.][^'"\s]*)\1/g;

/** Returns the files below `dist` that `entries` reach, and the libraries that these import. */
function reach(dist, entries) {
  const files = new Set();
  const libraries = new Set();
  const pending = entries.map((entry) => join(dist, entry));
  for (let file = pending.pop(); file; file = pending.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    for (const [, , specifier] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
      // Declarations import `./x.ts`, which means x.d.ts.
      if (specifier.startsWith('.')) pending.push(resolve(dirname(file), specifier.replace(/\.ts$/, '.d.ts')));
      else if (!specifier.startsWith('node:')) libraries.add(specifier.match(/^(?:@[^/]+\/)?[^/]+/)[0]);
    }
  }
  return { files: [...files].map((file) => relative(dist, file)), libraries: [...libraries].sort() };
}

function writePackage(root, dist, folder, { readme, files, manifest }) {
  const home = join(dist, 'packages', folder);
  for (const file of files) cpSync(join(dist, file), join(home, 'dist', file), { recursive: true });
  cpSync(join(root, readme), join(home, 'README.md'));
  cpSync(join(root, 'LICENSE'), join(home, 'LICENSE'));
  writeFileSync(join(home, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

const filesIn = (root, folder, accepts) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter(accepts);

export function writePackages(root, dist) {
  const { name, version, license, engines, dependencies, devDependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  );
  const common = { version, license, type: 'module', engines, files: ['dist'] };
  const versions = { ...devDependencies, ...dependencies };
  const versionsOf = (libraries) => {
    const missing = libraries.filter((library) => versions[library] === undefined);
    if (missing.length > 0) throw new Error(`package.json does not list ${missing.join(', ')}`);
    return Object.fromEntries(libraries.map((library) => [library, versions[library]]));
  };

  const sdk = reach(dist, ['src/client/index.js', 'src/client/index.d.ts']);
  if (sdk.libraries.length > 0) throw new Error(`the SDK needs ${sdk.libraries.join(', ')}`);
  // Entry points that not every app needs; some need a library, which the app installs.
  const more = ENTRIES.filter((name) => name !== 'index').map((name) => ({
    name,
    ...reach(dist, [`src/client/${name}.js`, `src/client/${name}.d.ts`]),
  }));
  const libraries = more.flatMap((entry) => entry.libraries);
  const exportOf = (name) => ({ types: `./dist/src/client/${name}.d.ts`, default: `./dist/src/client/${name}.js` });
  writePackage(root, dist, 'client', {
    readme: 'src/client/README.md',
    files: [...new Set([sdk, ...more].flatMap(({ files }) => files))],
    manifest: {
      name: `@${name}/client`,
      description: 'The SDK for viewers of a Stampede show, for browsers and Node.js.',
      // The engine alone needs a narrower range.
      ...{ ...common, engines: { node: '>=20' }, files: ['dist', 'API.md', 'SPEC.md'] },
      sideEffects: false,
      exports: {
        '.': exportOf('index'),
        ...Object.fromEntries(more.map(({ name }) => [`./${name}`, exportOf(name)])),
        './package.json': './package.json',
      },
      peerDependencies: versionsOf(libraries),
      peerDependenciesMeta: Object.fromEntries(libraries.map((library) => [library, { optional: true }])),
    },
  });
  writeFileSync(join(dist, 'packages/client/API.md'), clientApiPage(root));
  cpSync(join(root, 'src/protocol/SPEC.md'), join(dist, 'packages/client/SPEC.md'));

  const tester = reach(dist, ['bench/main.js', 'bench/generator/join.js']);
  // The servers that `compare` measures need libraries of the engine, which is a peer dependency,
  // and some that users install for this scenario only.
  const servers = reach(
    dist,
    filesIn(dist, 'bench/peers/servers', (file) => file.endsWith('.js')),
  );
  const optional = servers.libraries.filter(
    (library) => !tester.libraries.includes(library) && !Object.hasOwn(dependencies, library),
  );
  writePackage(root, dist, 'bench', {
    readme: 'bench/README.md',
    files: [
      ...new Set([...tester.files, ...servers.files, 'src/redis/lua']),
      ...filesIn(root, 'bench', (file) => !/\.(?:ts|md|png)$|results|demo\/media/.test(file)),
    ],
    manifest: {
      name: `@${name}/bench`,
      description: 'The load tester for Stampede: virtual viewers and buyers, and a verdict.',
      ...common,
      bin: { [`${name}-bench`]: 'dist/bench/main.js' },
      exports: { '.': './dist/bench/main.js' },
      dependencies: versionsOf(tester.libraries),
      peerDependencies: { [name]: version, ...versionsOf(optional) },
      peerDependenciesMeta: Object.fromEntries(optional.map((library) => [library, { optional: true }])),
    },
  });
}
