/**
 * The examples for nginx and Caddy before an engine: TLS, a path prefix, WebSockets, the addresses
 * of clients, and the viewer page in Chromium.
 */
import { once } from 'node:events';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { type APIRequestContext, type Browser, request } from 'playwright-core';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { freePort } from '../../bench/launch/free-port.ts';
import { LIMITS } from '../../src/limits.ts';
import { launchChromium, pageScripts, skip as skipBrowser } from '../browser/chromium.ts';
import { SHARED_SECRETS, serve, temporaryFolder } from '../cli/program.ts';
import { api } from '../cli/viewer.ts';
import { read } from './compose.ts';
import { PROXIES } from './proxy.ts';

t.jobs = 3;
let launched: Promise<Browser> | null = null;
const browser = (): Promise<Browser> => {
  launched ??= launchChromium(t);
  return launched;
};
const PER_ADDRESS = 3;
const KEY = { Authorization: `Bearer ${SHARED_SECRETS.API_KEYS.split(':')[1]}` };
/** Loopback addresses of clients. The proxies connect from 127.0.0.1. */
const [HOME, CAFE] = ['127.0.0.2', '127.0.0.3'];

/** Starts an engine with a live show, as the examples describe it. */
async function startEngine(t: Test, port: number) {
  pageScripts();
  const engine = await serve(t, ['--data-dir', join(temporaryFolder(t), 'data')], {
    ...SHARED_SECRETS,
    PUBLIC_GATEWAY_URL: `wss://127.0.0.1:${port}/live/ws`,
    TRUSTED_PROXIES: '127.0.0.1',
    CONNECTIONS_PER_ADDRESS: String(PER_ADDRESS),
    DEMO_TOKENS: 'true',
  });
  await api(engine.ready.control, KEY.Authorization.slice(7)).liveShow('friday');
  return { ...engine, gatewayPort: engine.ready.gatewayPort ?? 0, controlPort: engine.ready.controlPort ?? 0 };
}

/** Resolves with the first message, or with null if the upgrade was refused. */
async function joinFrom(t: Test, port: number, from: string, pretended = 'none') {
  const socket = new WebSocket(`wss://127.0.0.1:${port}/live/ws/v1/shows/friday`, ['stampede.v1.json'], {
    rejectUnauthorized: false,
    localAddress: from,
    headers: { 'X-Forwarded-For': pretended },
  });
  t.teardown(() => socket.terminate());
  socket.on('error', () => {});
  const closed = new Promise<number>((resolve) => socket.once('close', resolve));
  const first = await Promise.race([
    new Promise<string>((resolve) => socket.once('message', (data) => resolve(String(data)))),
    closed.then(() => null),
  ]);
  return { first, socket, closed };
}

/** Requests the URL of a show by HTTP/2 without an upgrade. Resolves with the status. */
async function requestByHttp2(t: Test, port: number): Promise<number> {
  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  t.teardown(() => session.destroy());
  const stream = session.request({ ':path': '/live/ws/v1/shows/friday' });
  const [headers] = (await once(stream, 'response')) as [Record<string, number>];
  return headers[':status'] ?? 0;
}

async function checkHttp(t: Test, http: APIRequestContext): Promise<void> {
  const list = await http.get('/live');
  t.match(list.url(), /\/live\/$/, 'the prefix leads to the list of shows');
  t.match(await list.text(), /<title>Live shopping/);
  const page = await http.get('/live/?show=friday');
  t.match(page.url(), /\/live\/watch\/\?show=friday$/, 'a show in the query leads to its page');
  t.match(await page.text(), /<title>Stampede live show/);
  t.equal((await http.get('/live/docs')).status(), 200);
  for (const path of ['metrics', 'readyz', 'healthz', 'ws/metrics', 'ws/healthz', 'ws/'])
    t.equal((await http.get(`/live/${path}`)).status(), 404, `${path} is not public`);

  const created = await http.post('/live/v1/shows', { headers: KEY, data: { id: 'later', title: 'Later' } });
  t.equal(created.status(), 201);
  const location = new URL(created.headers().location ?? '', created.url());
  t.match(await (await http.get(location.href, { headers: KEY })).json(), { id: 'later' }, location.href);
  const large = { title: 'x'.repeat(LIMITS.httpBodyBytesMax) };
  t.equal((await http.patch('/live/v1/shows/later', { headers: KEY, data: large })).status(), 413);
  const whole = await http.post('/live/v1/shows', { headers: KEY, data: large });
  t.match(await whole.json(), { code: 'invalid_request' }, 'a whole show may be large, its title not');
  const data = `Handle,Title,Description\nx,,${'x'.repeat(LIMITS.httpBodyBytesMax / 2)}\n`.repeat(3);
  const csv = { headers: { ...KEY, 'content-type': 'text/csv' }, data };
  const imported = await http.post('/live/v1/shows/later/products/import?dryRun=true', csv);
  t.match(await imported.json(), { dryRun: true, rows: 5, saved: 0 });
}

async function checkPages(t: Test, browser: Browser, origin: string, withDocs: boolean): Promise<void> {
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  page.setDefaultTimeout(25_000);
  const errors: string[] = [];
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(`${origin}/live/watch/friday`);
  const protocol = 'performance.getEntriesByType("navigation")[0].nextHopProtocol';
  t.equal(await page.evaluate(protocol), 'h2', 'HTTP/2');
  await page.getByLabel('Your name in the chat').fill('Ana');
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await page.getByText('Connected', { exact: true }).waitFor();
  await page.getByLabel('Your message').fill('hello');
  await page.getByRole('button', { name: 'Send', exact: true }).click();
  await page.getByRole('log').getByText('hello').waitFor();

  await page.goto(`${origin}/live`);
  await page.getByRole('textbox', { name: 'Show' }).fill('friday');
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await page.getByText('Connected', { exact: true }).waitFor();
  t.equal(page.url(), `${origin}/live/watch/friday`);

  t.same(errors, []);
  if (!withDocs) return;
  await page.goto(`${origin}/live/docs`);
  await page.getByRole('heading', { name: 'Stampede control API' }).waitFor();
  const [server] = await page.locator('.servers option').allTextContents();
  t.match(server, /\.\.\/|\/live/);
  await page.getByText('/v1/shows/{show}/watch', { exact: true }).click();
  await page.getByRole('button', { name: 'Try it out' }).click();
  await page.getByPlaceholder('show').fill('friday');
  await page.getByRole('button', { name: 'Execute' }).click();
  await page.getByText('"A show"').first().waitFor();
  t.same(errors, []);
}

for (const { name, skip, start } of PROXIES)
  t.test(`${name} serves pages, control API and gateway below a path prefix over TLS`, { skip }, async (t) => {
    const port = await freePort();
    const engine = await startEngine(t, port);
    await start(t, port, engine);
    const http = await request.newContext({ baseURL: `https://127.0.0.1:${port}`, ignoreHTTPSErrors: true });
    t.teardown(() => http.dispose());

    t.equal(await requestByHttp2(t, port), 426, 'the URL of a show is for WebSockets, also by HTTP/2');
    await t.test('redirects and addresses are relative, and operational paths are not public', (t) =>
      checkHttp(t, http),
    );
    await t.test('the pages work in Chromium', { skip: skipBrowser }, async (t) =>
      checkPages(t, await browser(), `https://127.0.0.1:${port}`, name === 'nginx'),
    );
    await t.test('the gateway counts the addresses of clients, which they cannot choose', async (t) => {
      for (let i = 0; i < PER_ADDRESS; i += 1) t.match((await joinFrom(t, port, HOME)).first, /"welcome"/);
      t.notMatch((await joinFrom(t, port, HOME, '198.51.100.7')).first ?? '', /"welcome"/);
      t.match((await joinFrom(t, port, CAFE)).first, /"welcome"/);
    });
    await t.test('viewers of a stopping engine get its bye', async (t) => {
      const viewer = await joinFrom(t, port, '127.0.0.4');
      t.match(viewer.first, /"welcome"/);
      const bye = new Promise((resolve) => viewer.socket.on('message', (data) => resolve(String(data))));
      engine.signal('SIGTERM');
      t.match(await bye, new RegExp(`"bye".*wss://127.0.0.1:${port}/live/ws`));
      t.equal(await viewer.closed, 4000);
    });
  });

t.test(
  'nginx ends an idle connection only after its timeout, which outlives pings',
  { skip: PROXIES[0]!.skip },
  async (t) => {
    const [, seconds] = read('scripts/deploy/nginx/stampede.conf').match(/proxy_read_timeout (\d+)s;/) ?? [];
    t.ok(Number(seconds) > LIMITS.idleTimeoutSeconds);
    const [port, hastyPort] = [await freePort(), await freePort()];
    const engine = await startEngine(t, port);
    await PROXIES[0]!.start(t, port, engine);
    await PROXIES[0]!.start(t, hastyPort, engine, [['proxy_read_timeout 75s', 'proxy_read_timeout 1s']]);
    const [patient, hasty] = await Promise.all([joinFrom(t, port, HOME), joinFrom(t, hastyPort, CAFE)]);
    await hasty.closed;
    t.equal(patient.socket.readyState, WebSocket.OPEN, 'this directive decides');
  },
);
