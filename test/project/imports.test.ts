/** Structure of the source tree: imports run one way, a library has one folder, files are short. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, extname, join, relative, resolve, sep } from 'node:path';
import t from 'tap';
import { ROOT } from '../support/root.ts';
import { HOME_OF, LINES_MAX, MAY_IMPORT } from './import-table.ts';

function filesBelow(folder: string, ...extensions: string[]): string[] {
  const start = join(ROOT, folder);
  if (!existsSync(start)) return [];
  return readdirSync(start, { recursive: true, encoding: 'utf8' })
    .map((name) => join(start, name))
    .filter((file) => extensions.includes(extname(file)));
}

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');

function importsOf(file: string): string[] {
  const text = withoutComments(readFileSync(file, 'utf8'));
  const found = [
    ...text.matchAll(/(?:^|[\s;])(?:import|export)\s[^'"`;]*?from\s*['"]([^'"]+)['"]/g),
    ...text.matchAll(/(?:^|[\s;(])import\s*\(?\s*['"]([^'"]+)['"]/g),
  ];
  return found.flatMap(([, specifier]) => (specifier === undefined ? [] : [specifier]));
}

/** `src/redis/x.ts` -> `redis`, `src/main.ts` -> `main.ts`. */
const folderOf = (file: string): string => relative(join(ROOT, 'src'), file).split(sep)[0] ?? '';
const packageOf = (specifier: string): string => specifier.split('/')[0] ?? specifier;
const named = (file: string): string => relative(ROOT, file);

const sources = filesBelow('src', '.ts', '.tsx');

t.test('the import table lists every folder of src', async (t) => {
  const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of folders) t.ok(Object.hasOwn(MAY_IMPORT, name), name);
});

t.test('imports point down only', async (t) => {
  const wrong: string[] = [];
  for (const file of sources) {
    const from = folderOf(file);
    if (from === 'main.ts') continue;
    for (const specifier of importsOf(file).filter((entry) => entry.startsWith('.'))) {
      const target = resolve(dirname(file), specifier);
      const to = folderOf(target);
      const allowed = to === from || MAY_IMPORT[from]?.includes(to);
      if (!target.startsWith(join(ROOT, 'src')) || !allowed) wrong.push(`${named(file)} imports ${specifier}`);
      else if (!existsSync(target)) wrong.push(`${named(file)} imports ${specifier}, which does not exist`);
    }
  }
  t.same(wrong, []);
});

t.test('a library is imported by its home folder only', async (t) => {
  const wrong: string[] = [];
  for (const file of sources) {
    for (const specifier of importsOf(file)) {
      const home = HOME_OF[packageOf(specifier)];
      if (home !== undefined && home !== folderOf(file))
        wrong.push(`${named(file)} imports ${specifier}: only src/${home} may`);
    }
  }
  t.same(wrong, []);
});

/** `@fastify/cors/x` -> `@fastify/cors`, `typebox/value` -> `typebox`. */
const libraryOf = (specifier: string): string => /^(?:@[^/]+\/)?[^/]+/.exec(specifier)?.[0] ?? specifier;

t.test('the dependencies are the libraries that src imports, and Node.js modules have the prefix node:', async (t) => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  // Not parts of the engine's package, or bundled with the pages.
  const engine = sources.filter(
    (file) => folderOf(file) !== 'web' && !/^src\/client\/(?:deflate|msgpack|react)\.ts$/.test(named(file)),
  );
  const external = engine.flatMap((file) =>
    importsOf(file)
      .filter((specifier) => !/^(?:\.|node:)/.test(specifier))
      .map((specifier) => ({ file: named(file), library: libraryOf(specifier) })),
  );
  const isListed = (library: string): boolean => Object.hasOwn(dependencies, library);
  const wrong = external.filter(({ library }) => builtinModules.includes(library) || !isListed(library));
  t.same(wrong, []);
  const imported = new Set(external.map(({ library }) => library));
  const unused = Object.keys(dependencies).filter((library) => !imported.has(library));
  t.same(unused, [], 'a library that only bench or test imports is a devDependency');
});

t.test('tests find files by test/support/root.ts, because they run compiled', async (t) => {
  const relativePath = /import\.meta\.dirname, '\.\.|new URL\(['"`]\.\.\//;
  const files = filesBelow('test', '.ts').filter((file) => !file.endsWith('root.ts'));
  t.same(files.filter((file) => relativePath.test(readFileSync(file, 'utf8'))).map(named), []);
});

t.test('client, protocol and web run in browsers: they import no module of Node.js', async (t) => {
  const browser = sources.filter((file) => ['client', 'protocol', 'web'].includes(folderOf(file)));
  t.same(browser.filter((file) => importsOf(file).some((specifier) => specifier.startsWith('node:'))).map(named), []);
});

t.test('only src/config reads the environment', async (t) => {
  const readers = sources.filter((file) =>
    /\bprocess\s*(?:\.\s*env\b|\[\s*['"]env['"])|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b/.test(
      withoutComments(readFileSync(file, 'utf8')),
    ),
  );
  t.same(readers.filter((file) => folderOf(file) !== 'config').map(named), []);
});

t.test(`no file is longer than ${LINES_MAX} lines`, async (t) => {
  const others = ['test', 'bench', 'scripts'].flatMap((folder) => filesBelow(folder, '.ts', '.mjs'));
  const files = [...sources, ...filesBelow('src', '.lua', '.js', '.mjs', '.html'), ...others];
  const long = files.filter((file) => readFileSync(file, 'utf8').split('\n').length - 1 > LINES_MAX);
  t.same(long.map(named), []);
});

t.test('src contains no open tasks and no disabled checks', async (t) => {
  const banned = /\b(?:TODO|FIXME|XXX|HACK)\b|@ts-ignore|@ts-nocheck|@ts-expect-error|biome-ignore|eslint-disable/;
  const files = [...sources, ...filesBelow('src', '.lua', '.html', '.css', '.js')];
  t.same(files.filter((file) => banned.test(readFileSync(file, 'utf8'))).map(named), []);
});
