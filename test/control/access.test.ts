import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createTokens } from '../../src/auth/tokens.ts';
import { LIMITS } from '../../src/limits.ts';
import { startControl } from './harness.ts';

t.test('tokens are minted for a show that exists, for roles that exist', async (t) => {
  const { post, tokens } = await startControl(t);
  await post('/v1/shows', { id: 'gala', title: 'Gala' });
  const minted = await post('/v1/shows/gala/tokens', { user: 'u-1', name: 'Ada', role: 'moderator', ttlSeconds: 60 });
  t.equal(minted.status, 201, minted.text);
  t.match(tokens.verify(minted.body.token), {
    ok: true,
    value: { show: 'gala', user: 'u-1', name: 'Ada', role: 'moderator', exp: minted.body.expiresAt / 1000 },
  });
  const usual = await post('/v1/shows/gala/tokens', { user: 'u-1', name: 'Ada', role: 'buyer' });
  t.ok(Math.abs(usual.body.expiresAt - minted.body.expiresAt - (LIMITS.tokenTtlSecondsDefault - 60) * 1000) < 5_000);
  for (const wrong of [
    { user: 'u', name: 'Ada', role: 'root' },
    { user: '', name: 'Ada', role: 'buyer' },
    { user: 'u', name: 'A\u0000', role: 'buyer' },
    { user: 'u', name: 'Ada', role: 'buyer', ttlSeconds: 1 },
    { user: 'u', name: 'Ada', role: 'buyer', ttlSeconds: 1e9 },
    { user: 'u', role: 'buyer' },
  ]) {
    t.equal((await post('/v1/shows/gala/tokens', wrong)).body.code, 'invalid_request', JSON.stringify(wrong));
  }
  t.equal(
    (await post('/v1/shows/nowhere/tokens', { user: 'u', name: 'Ada', role: 'buyer' })).body.code,
    'show_not_found',
  );
});

t.test('an engine with public keys only says that it cannot mint', async (t) => {
  const { publicKey } = generateKeyPairSync('ed25519', {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const { post } = await startControl(t, { tokens: createTokens({ publicKeys: [publicKey], nowMs: Date.now }) });
  await post('/v1/shows', { id: 'gala', title: 'Gala' });
  const refused = await post('/v1/shows/gala/tokens', { user: 'u', name: 'Ada', role: 'buyer' });
  t.equal(refused.status, 403);
  t.equal(refused.body.code, 'forbidden');
});

t.test('what a page needs to watch is public; demo tokens exist only where asked for', async (t) => {
  const plain = await startControl(t, { options: { publicGatewayUrl: 'wss://live.example.com/' } });
  await plain.post('/v1/shows', { id: 'gala', title: 'Gala', guests: false });
  t.strictSame((await plain.ask('/v1/shows/gala/watch', { key: null })).body, {
    gatewayUrl: 'wss://live.example.com',
    show: { id: 'gala', title: 'Gala', state: 'planned' },
    guests: false,
    demoTokens: false,
  });
  t.equal((await plain.ask('/v1/shows/nowhere/watch', { key: null })).body.code, 'show_not_found');
  t.equal(
    (await plain.ask('/v1/shows/gala/demo-tokens', { method: 'POST', body: { name: 'Ada' }, key: null })).status,
    404,
  );

  const demo = await startControl(t, { options: { demoTokens: true, publicGatewayUrl: null, gatewayPort: 9090 } });
  await demo.post('/v1/shows', { id: 'gala', title: 'Gala' });
  const watch = await demo.ask('/v1/shows/gala/watch', { key: null, headers: { host: 'shop.local:8081' } });
  t.match(watch.body, { gatewayUrl: 'ws://shop.local:9090', guests: true, demoTokens: true });
  const token = await demo.ask('/v1/shows/gala/demo-tokens', { method: 'POST', body: { name: 'Ada' }, key: null });
  t.equal(token.status, 201, token.text);
  t.match(demo.tokens.verify(token.body.token), {
    ok: true,
    value: { show: 'gala', name: 'Ada', role: 'buyer', user: /^demo-/ },
  });
  t.equal((await demo.ask('/v1/shows/gala/demo-tokens', { method: 'POST', body: {}, key: null })).status, 400);
  await demo.post('/v1/shows/gala/end');
  t.equal(
    (await demo.ask('/v1/shows/gala/demo-tokens', { method: 'POST', body: { name: 'Ada' }, key: null })).body.code,
    'show_ended',
  );
});

t.test('the viewer page and its modules are served, and nothing beside them', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-web-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const files: Record<string, string> = {
    'pages/index.html': '<!doctype html><title>Live</title>',
    'pages/style.css': 'body{}',
    'pages/viewer.ts': 'source',
    'dist/web/viewer.js': "import '../client/index.js'",
    'dist/client/index.js': 'export {}',
    'dist/client/index.d.ts': 'export {}',
    'dist/protocol/codes.js': 'export {}',
    'dist/redis/store.js': 'inside',
    'dist/main.js': 'inside',
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  const { ask } = await startControl(t, {
    options: { web: { pages: join(folder, 'pages'), scripts: join(folder, 'dist') } },
  });
  for (const url of ['/', '/watch/gala']) {
    const page = await ask(url, { key: null });
    t.equal(page.status, 200, url);
    t.match(page.headers['content-type'], 'text/html');
    t.match(page.text, '<title>Live</title>');
    t.match(page.headers['content-security-policy'], "connect-src 'self' ws: wss:");
  }
  for (const [url, type] of [
    ['/sdk/web/viewer.js', /javascript/],
    ['/sdk/web/style.css', /css/],
    ['/sdk/client/index.js', /javascript/],
    ['/sdk/protocol/codes.js', /javascript/],
  ] as const) {
    const file = await ask(url, { key: null });
    t.equal(file.status, 200, url);
    t.match(file.headers['content-type'], type);
  }
  for (const url of [
    '/sdk/web/viewer.ts',
    '/sdk/client/index.d.ts',
    '/sdk/redis/store.js',
    '/sdk/client/../main.js',
    '/sdk/client/%2e%2e/main.js',
    '/sdk/web/',
    '/sdk/client/none.js',
  ]) {
    const file = await ask(url, { key: null });
    t.equal(file.status, 404, url);
    t.equal(file.body?.code, 'not_found', url);
  }
});

t.test('origins that may call are named', async (t) => {
  const { ask } = await startControl(t, { options: { corsOrigins: ['https://studio.example.com'] } });
  const preflight = (origin: string) =>
    ask('/v1/shows', {
      method: 'OPTIONS',
      key: null,
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,idempotency-key',
      },
    });
  const allowed = await preflight('https://studio.example.com');
  t.equal(allowed.status, 204);
  t.equal(allowed.headers['access-control-allow-origin'], 'https://studio.example.com');
  t.match(allowed.headers['access-control-allow-headers'], 'idempotency-key');
  t.equal((await preflight('https://evil.example.com')).headers['access-control-allow-origin'], undefined);
});
