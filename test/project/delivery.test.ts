/** The image, workflow and documents name files, variables and commands that exist. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { SETTINGS } from '../../src/config/index.ts';
import { ROOT } from '../support/root.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const manifest = JSON.parse(read('package.json')) as {
  bin: Record<string, string>;
  exports: { '.': { default: string; types: string } };
  engines: { node: string };
};
const variables = new Set(Object.values(SETTINGS).map(({ variable }) => variable));

/** The instructions of the Dockerfile: continuation lines joined, no comments. */
const instructions = read('Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .filter((line) => line.trim() !== '');

t.test('every path the image copies exists and passes .dockerignore', async (t) => {
  const kept = [...read('.dockerignore').matchAll(/^!(.+)$/gm)].map(([, path]) => path ?? '');
  const copied = instructions.filter((line) => /^COPY (?!--from)/.test(line));
  const copies = copied.flatMap((line) => line.split(/\s+/).slice(1, -1));
  t.ok(copies.length >= 6);
  t.notOk(copies.includes('bench'), 'the image contains the engine only');
  for (const path of copies) {
    t.ok(existsSync(join(ROOT, path)), `${path} exists`);
    const isKept = kept.some((entry) => path === entry || path.startsWith(`${entry}/`));
    t.ok(isKept, `${path} is in the build context`);
  }
});

t.test('the image runs the built program, not as root, with a health check', async (t) => {
  const stages = instructions.filter((line) => line.startsWith('FROM'));
  t.match(stages, [/^FROM node:20-slim AS build$/, /^FROM node:20-slim$/]);
  const last = instructions.slice(instructions.findLastIndex((line) => line.startsWith('FROM')));
  t.ok(last.includes('USER node'));
  t.ok(last.some((line) => line.startsWith('HEALTHCHECK')));
  t.ok(last.includes(`ENTRYPOINT ["node", "--max-semi-space-size=64", "${manifest.bin.stampede}"]`));
  for (const [, name = ''] of last.join('\n').matchAll(/\b([A-Z_]+)=/g))
    t.ok(name === 'NODE_ENV' || variables.has(name), `${name} is a setting`);
});

t.test('continuous integration runs scripts/test on the supported versions of Node.js', async (t) => {
  const workflow = read('.github/workflows/ci.yml');
  t.match(workflow, /node: \[20, 22\]/);
  t.match(workflow, /run: \.\/\.ci\/run/);
  t.match(read('.ci/run'), /\.\/scripts\/test/);
  for (const script of ['.ci/run', 'scripts/demo', 'scripts/test', 'scripts/release'])
    t.ok((statSync(join(ROOT, script)).mode & 0o111) === 0o111, `${script} is executable`);
  const [, major = '', minor = ''] = manifest.engines.node.match(/^>=(\d+)\.(\d+) <23$/) ?? [];
  t.match(read('scripts/setup.sh'), new RegExp(`>= ${major}0${minor} `), 'the setup requires the same version');
  t.match(read('scripts/setup.sh'), `${major}.${minor} or newer`);
});

t.test('package.json exports files that are built', async (t) => {
  const built = [...Object.values(manifest.bin), manifest.exports['.'].default];
  for (const path of built)
    t.ok(existsSync(join(ROOT, path.replace(/^(\.\/)?dist\//, '').replace(/\.js$/, '.ts'))), path);
});

t.test('src/config/README.md lists every setting as the help does, and no other', async (t) => {
  const rows = read('src/config/README.md').match(/^\| `.*$/gm) ?? [];
  const wanted = Object.values(SETTINGS).map(({ variable, flag, help, range, fallbackText }) => {
    const names = flag === null ? `\`${variable}\`` : `\`${variable}\` \`--${flag}\``;
    return `| ${names} | ${help} | ${range} | ${fallbackText} |`;
  });
  t.same(rows, wanted);
});

t.test('the version is that of the lock file, and later than the previous release or equal to it', async (t) => {
  const [{ version }, lock] = [JSON.parse(read('package.json')), JSON.parse(read('package-lock.json'))];
  t.match(version, /^\d+\.\d+\.\d+(?:-dev)?$/);
  t.same([lock.version, lock.packages[''].version], [version, version]);
  const [tarball = ''] = readdirSync(join(ROOT, 'test/fixtures/releases')).filter((name) => name.endsWith('.tgz'));
  const previous = tarball.slice('stampede-'.length, -'.tgz'.length);
  const number = (text: string): number => text.split(/[.-]/, 3).reduce((sum, part) => sum * 1_000 + Number(part), 0);
  t.ok(number(version) > number(previous) || version === previous, `${version} follows ${previous}`);
});

t.test('the lock file lists the optional packages of all platforms, as npm ci requires', async (t) => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const missing: string[] = [];
  for (const [at, { optionalDependencies = {} }] of Object.entries(packages)) {
    for (const name of Object.keys(optionalDependencies)) {
      const parts = at.split('/node_modules/');
      const places = parts.map((_, depth) => [...parts.slice(0, parts.length - depth), name].join('/node_modules/'));
      if (![...places, `node_modules/${name}`].some((place) => Object.hasOwn(packages, place)))
        missing.push(`${at} -> ${name}`);
    }
  }
  t.same(missing, []);
});

const PAGES = ['README.md', 'CONTRIBUTING.md', 'src/README.md', 'src/config/README.md', 'scripts/deploy/README.md'];

t.test('every file that the documents name exists', async (t) => {
  for (const page of PAGES) {
    const text = read(page).replace(/^```[\s\S]*?^```$/gm, '');
    for (const [, link, image] of text.matchAll(/\]\((?!https?:|#)([^)#]+)\)|src="([^"]+)"/g))
      t.ok(existsSync(join(ROOT, dirname(page), link ?? image ?? '')), `${page} links to ${link ?? image}`);
    const paths = [...text.matchAll(/`((?:[\w.-]+\/)+[\w.-]*)`/g)].map(([, path]) => path ?? '');
    const folders = [dirname(page), '.', 'src/redis', 'src/control', 'test'];
    for (const path of paths.filter((name) => !/NAME|RESOURCE|^DATA_DIR|^dist\/|^data\//.test(name))) {
      const exists = folders.some((folder) => existsSync(join(ROOT, folder, path)));
      t.ok(exists, `${page} names ${path}`);
    }
  }
});

t.test('every heading of src/README.md that a comment names exists', async (t) => {
  const headings = new Set([...read('src/README.md').matchAll(/^##+ (.+)$/gm)].map(([, heading]) => heading));
  const files = ['src', 'bench', 'scripts', 'test'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  );
  for (const file of files.filter((name) => /\.(?:ts|mjs|lua|sh)$/.test(name)))
    for (const [, heading] of read(file).matchAll(/"([^"\n]+)"[\s*/-]+in[\s*/-]+src\/README\.md/g))
      t.ok(headings.has(heading), `${file} names "${heading}"`);
});
