/** The viewer page, its modules, and the pages of other origins that may call the API. */
import { join } from 'node:path';
import t from 'tap';
import { startControl } from '../harness.ts';

t.test('only the viewer page, its bundle and the modules of the SDK are served', async (t) => {
  const folder = t.testdir({
    pages: {
      'shop.html': '<title>Shows</title>',
      'viewer.html': '<!doctype html><title>Live</title>',
      'viewer.css': 'body{}',
      'viewer.js': 'run()',
    },
    dist: {
      web: { 'viewer.ts': 'source' },
      client: { 'index.js': 'export {}', 'index.d.ts': 'export {}' },
      protocol: { 'codes.js': 'export {}' },
      redis: { 'store.js': 'private' },
      'main.js': 'private',
    },
  });
  const web = { pages: join(folder, 'pages'), scripts: join(folder, 'dist') };
  const { request } = await startControl(t, { options: { web } });
  await request('/v1/shows', { method: 'POST', body: { id: 'gala', title: 'Gala' } });
  for (const [url, status] of [
    ['/watch/', 200],
    ['/watch/gala', 200],
    ['/watch/nowhere', 404],
    ['/watch/..x', 404],
    ['/watch/a%2Fb', 404],
    ['/watch/%E0?lang=de', 404],
    [`/watch/${'x'.repeat(300)}`, 404],
  ] as const) {
    const page = await request(url, { key: null });
    t.match(page, { status, text: '<title>Live</title>', headers: { 'content-type': 'text/html' } }, url);
    const sites = 'https: http://localhost:* http://127.0.0.1:*';
    const policy = String(page.headers['content-security-policy']).split(';');
    for (const rule of [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data: https: http:",
      `media-src 'self' blob: ${sites}`,
      `connect-src 'self' ws: wss: ${sites}`,
    ])
      t.ok(policy.includes(rule), `${rule} of ${policy}`);
  }
  t.match(await request('/', { key: null }), { status: 200, text: '<title>Shows</title>' });
  const root = await request('/?show=gala', { key: null });
  t.match(root, { status: 302, headers: { location: 'watch/?show=gala' } }, 'relative, for a path prefix');
  for (const [url, location] of [
    ['/watch', 'watch/'],
    ['/watch/gala/?embed=1', '../gala?embed=1'],
    ['/watch/gala/more/', '../../gala%2Fmore%2F'],
  ] as const)
    t.match(await request(url, { key: null }), { status: 302, headers: { location } }, url);
  for (const url of ['web/viewer.js', 'web/viewer.css', 'client/index.js', 'protocol/codes.js']) {
    const type = url.endsWith('.css') ? /css/ : /javascript/;
    t.match(await request(`/sdk/${url}`, { key: null }), { status: 200, headers: { 'content-type': type } }, url);
  }
  const hidden = ['web/viewer.ts', 'client/index.d.ts', 'redis/store.js', 'client/../main.js', 'client/%2e%2e/main.js'];
  for (const url of [...hidden, 'web/', 'client/none.js'])
    t.match(await request(`/sdk/${url}`, { key: null }), { status: 404, body: { code: 'not_found' } }, url);
});

t.test('CORS_ORIGINS may call the API, other origins may not', async (t) => {
  const { request } = await startControl(t, { options: { corsOrigins: ['https://studio.example.com'] } });
  const asked = {
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,idempotency-key',
  };
  const preflight = (origin: string) =>
    request('/v1/shows', { method: 'OPTIONS', key: null, headers: { origin, ...asked } });
  const allowed = await preflight('https://studio.example.com');
  t.equal(allowed.headers['access-control-allow-origin'], 'https://studio.example.com');
  t.match(allowed, { status: 204, headers: { 'access-control-allow-headers': 'idempotency-key' } });
  t.equal((await preflight('https://evil.example.com')).headers['access-control-allow-origin'], undefined);
});

t.test('FRAME_ANCESTORS may show the pages in a frame', async (t) => {
  const frameAncestors = ['https://*.shop.example', 'capacitor://localhost'];
  const { request } = await startControl(t, { options: { frameAncestors, corsOrigins: null } });
  const { headers } = await request('/healthz', { key: null, headers: { origin: 'https://any.example' } });
  t.match(headers['content-security-policy'], /frame-ancestors 'self' https:\/\/\*\.shop\.example capacitor:/);
  t.notOk(headers['x-frame-options']);
  t.equal(headers['access-control-allow-origin'], '*', 'CORS_ORIGINS=*');
});
