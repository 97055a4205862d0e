/** `npm pack` makes three packages. Each is installed into an empty folder and used. */
// slow: installs packages from the npm registry
import { execFile, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DEFLATE_MARK } from '../../src/protocol/limits.ts';
import { launchChromium, skip } from '../browser/chromium.ts';
import { ROOT } from '../support/root.ts';
import { serveFolder } from '../support/serve-folder.ts';
import { until } from '../support/until.ts';
import { writeApp } from './react-app.ts';

/** 8.4.0 is refused by some versions of npm. */
const VITE = 'vite@8.3.8';

const API_KEY = 'an-api-key-for-tests';
const { PATH = '', HOME = '' } = process.env;
const home = mkdtempSync(join(tmpdir(), 'stampede-packages-'));
t.teardown(() => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(cwd: string, command: string, ...args: string[]): Promise<Ran> {
  const options = { cwd, encoding: 'utf8', env: { PATH, HOME }, timeout: 240_000, maxBuffer: 2 ** 24 } as const;
  return new Promise((done) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
      done({ code, stdout, stderr });
    });
  });
}

/** Packs a copy of the repository, because packing replaces dist/, which other tests run from. */
async function pack(): Promise<Record<'engine' | 'client' | 'bench', string>> {
  const copy = join(home, 'repository');
  const out = join(home, 'tarballs');
  mkdirSync(out);
  for (const part of 'package.json README.md LICENSE tsconfig.json tsconfig.build.json scripts src bench'.split(' '))
    cpSync(join(ROOT, part), join(copy, part), { recursive: true, filter: (path) => !path.includes('bench/results') });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  const packed = await run(copy, 'npm', 'pack', '--pack-destination', out);
  if (packed.code !== 0) throw new Error(packed.stderr);
  const names = readdirSync(out).sort();
  t.match(names, [/^stampede-\d.*\.tgz$/, /^stampede-bench-.*\.tgz$/, /^stampede-client-.*\.tgz$/]);
  const [engine = '', bench = '', client = ''] = names.map((name) => join(out, name));
  return { engine, bench, client };
}

/** Installs into `folder`, which is made unless it exists. */
async function install(t: Test, folder: string, ...packages: string[]): Promise<string> {
  const path = join(home, folder);
  mkdirSync(path, { recursive: true });
  if (!readdirSync(path).includes('package.json')) writeFileSync(join(path, 'package.json'), '{"type":"module"}');
  const { code, stderr } = await run(
    path,
    'npm',
    'install',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    ...packages,
  );
  t.equal(code, 0, stderr);
  return path;
}

const contents = async (tarball: string): Promise<string[]> =>
  (await run(home, 'tar', '-tf', tarball)).stdout.trim().split('\n');
const librariesIn = (folder: string): string[] => readdirSync(join(home, folder, 'node_modules'));

const tarballs = await pack();

t.test('each package has a README and a license, no tests and no source maps', async (t) => {
  for (const tarball of Object.values(tarballs)) {
    const files = await contents(tarball);
    t.ok(files.includes('package/README.md') && files.includes('package/LICENSE'), tarball);
    const unwanted = files.filter((file) => /\/test\/|\.map$|\.test\.|\/results\/|\.png$/.test(file));
    t.same(unwanted, [], tarball);
  }
  for (const page of ['API.md', 'SPEC.md'])
    t.ok((await contents(tarballs.client)).includes(`package/${page}`), `the SDK has its ${page}`);
  t.same(
    (await contents(tarballs.engine)).filter((file) => file.startsWith('package/dist/bench')),
    [],
  );
});

t.test('the engine serves, the SDK connects to it, and the load tester loads it', async (t) => {
  const forApp = ['@msgpack/msgpack', 'fflate', 'react', 'react-dom', '@types/react', '@types/react-dom', VITE];
  const [engine = '', sdk = '', app = ''] = await Promise.all([
    install(t, 'engine', tarballs.engine),
    install(t, 'sdk', tarballs.client),
    install(t, 'app', tarballs.client, ...forApp),
  ]);
  for (const library of ['autocannon', 'd3-scale', 'hdr-histogram-js', 'log-update', 'tap'])
    t.notOk(librariesIn('engine').includes(library), `the engine does not install ${library}`);
  const program = join(engine, 'node_modules/.bin/stampede');
  t.match(await run(engine, program, 'bench', 'chat'), { code: 1, stderr: /npm install @stampede\/bench/ });

  const child = spawn(program, ['serve', '--gateway-port', '0', '--control-port', '0'], {
    cwd: engine,
    env: { PATH, HOME, API_KEYS: `test:${API_KEY}` },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  t.teardown(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const { gateway, control } = await new Promise<{ gateway: string; control: string }>((resolve, reject) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
      const line = text.split('\n').find((entry) => entry.includes('"msg":"ready"'));
      if (line !== undefined) resolve(JSON.parse(line) as { gateway: string; control: string });
    });
    void ended.then((code) => reject(new Error(`the engine ended with ${code}`)));
  });
  t.equal((await fetch(`${control}/healthz`)).status, 200);
  t.equal((await fetch(`${gateway.replace('ws', 'http')}/healthz`)).status, 200);

  const post = async (path: string, body: unknown, method = 'POST'): Promise<{ token: string }> => {
    const headers = { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' };
    const response = await fetch(`${control}${path}`, { method, headers, body: JSON.stringify(body) });
    t.ok(response.ok, `${path}: ${response.status}`);
    return (await response.json()) as { token: string };
  };
  await post('/v1/shows', { id: 'friday', title: 'Friday', brands: [{ id: 'b', name: 'Brand' }] });
  await post('/v1/shows/friday/start', {});
  const { token } = await post('/v1/shows/friday/tokens', { user: 'u-1', name: 'Ada', role: 'buyer' });

  const withBench = install(t, 'engine', tarballs.bench);
  t.same(
    librariesIn('sdk').filter((name) => !name.startsWith('.')),
    ['@stampede'],
    'it needs no other package',
  );
  const manifest = JSON.parse(readFileSync(join(sdk, 'node_modules/@stampede/client/package.json'), 'utf8')) as {
    engines: object;
    peerDependencies: object;
    peerDependenciesMeta: Record<string, { optional: boolean }>;
  };
  t.same(manifest.engines, { node: '>=20' }, 'no upper bound');
  const peers = ['@msgpack/msgpack', 'fflate', 'react'];
  t.same(Object.keys(manifest.peerDependencies).sort(), peers);
  t.ok(peers.every((name) => manifest.peerDependenciesMeta[name]?.optional));
  writeFileSync(
    join(sdk, 'use.mjs'),
    `import { connect } from '@stampede/client';
     import { WebSocket } from ${JSON.stringify(join(ROOT, 'node_modules/ws/wrapper.mjs'))};
     const [url, token] = process.argv.slice(2);
     const client = connect({ url, show: 'friday', token, WebSocket });
     client.on('welcome', () => { console.log('connected'); client.close(); });`,
  );
  t.match(await run(sdk, process.execPath, 'use.mjs', gateway, token), { code: 0, stdout: /connected/ });
  writeFileSync(
    join(sdk, 'use.ts'),
    `import { connect, type StampedeClient } from '@stampede/client';
     const client: StampedeClient = connect({ url: 'ws://localhost', show: 'friday' });
     client.on('chat', ({ messages }) => messages.map(({ text }) => text.length));`,
  );
  const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--types', '', 'use.ts'];
  const compiled = await run(sdk, join(ROOT, 'node_modules/.bin/tsc'), ...flags);
  t.equal(compiled.code, 0, `the types of the SDK are complete\n${compiled.stdout}`);

  await post('/v1/shows/friday/products/tee', { brand: 'b', title: 'Tee', skus: [{ sku: 'TEE' }] }, 'PUT');
  await post('/v1/shows/friday/sales', {
    ...{ id: 'drop', title: 'Drop', currency: 'EUR', perBuyer: 1, holdMs: 60_000, opensInMs: 0, durationMs: 600_000 },
    skus: [{ sku: 'TEE', product: 'tee', price: 1990, quantity: 5 }],
  });
  await t.test('an app made with Vite and React compiles, and buys in a browser', async (t) => {
    writeApp(app);
    const compiled = await run(app, join(ROOT, 'node_modules/.bin/tsc'), '-p', '.');
    t.equal(compiled.code, 0, `its types are complete\n${compiled.stdout}`);
    const built = await run(app, join(app, 'node_modules/.bin/vite'), 'build');
    t.equal(built.code, 0, built.stderr);
    await t.test('in Chromium', { skip }, async (t) => {
      const url = await serveFolder(t, join(app, 'dist'));
      const page = await (await launchChromium(t)).newPage();
      page.setDefaultTimeout(20_000);
      const errors: string[] = [];
      page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
      page.on('pageerror', (error) => errors.push(error.message));
      let sockets = 0;
      let compressed = 0;
      page.on('websocket', (socket) => {
        sockets += 1;
        socket.on('framereceived', ({ payload }) => (compressed += Number(payload[0] === DEFLATE_MARK)));
      });
      await page.goto(`${url}/?${new URLSearchParams({ url: gateway, token })}`);
      await page.locator('#name', { hasText: 'Ada' }).waitFor();
      t.equal(await page.locator('#price').textContent(), '€19.90');
      const closes = await page.locator('#closes').textContent();
      await page.locator('#closes', { hasNotText: String(closes) }).waitFor();
      await page.getByRole('button', { name: 'Buy' }).click();
      await page.locator('#outcome', { hasText: 'held' }).waitFor();
      await page.locator('#left', { hasText: '4' }).waitFor();
      await page.getByRole('button', { name: 'Buy' }).click();
      await page.locator('#outcome', { hasText: 'limit_exceeded' }).waitFor();
      t.equal(sockets, 1, 'two components share a connection');
      await post('/v1/shows/friday/announcements', { text: 'Two per person. '.repeat(12) });
      await until(() => compressed > 0, 'a broadcast arrives compressed');
      t.same(errors, []);
    });
  });

  await withBench;
  t.match(await run(engine, program, 'bench', '--help'), { code: 0, stdout: /reserve-sockets/ });
  const load = 'bench chat --viewers 5 --rate 5 --seconds 2 --out out'.split(' ');
  const loaded = await run(engine, program, ...load);
  t.ok([0, 1, 3].includes(loaded.code ?? -1), `exit code ${loaded.code}\n${loaded.stderr}`);
  t.match(readdirSync(join(engine, 'out')).join(' '), /\.json\b/, 'it writes its result');
});
