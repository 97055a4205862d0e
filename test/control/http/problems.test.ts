import { type AddressInfo, connect } from 'node:net';
import t from 'tap';
import { LIMITS } from '../../../src/limits.ts';
import { ERRORS, type ErrorCode } from '../../../src/protocol/codes.ts';
import { API_KEY, OTHER_API_KEY, planShow, type RequestOptions, startControl } from '../harness.ts';

type Refusal = [name: string, code: ErrorCode, request: string, options?: RequestOptions];

const GALA = '/v1/shows/gala';
const deepArray = '['.repeat(100_000);
const deepObject = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`;
const idempotencyKey = (key: string): RequestOptions => ({ headers: { 'idempotency-key': key } });
const BAD_KEY = idempotencyKey('a b');
const LONG_KEY = idempotencyKey('k'.repeat(LIMITS.keyCharsMax + 1));
const NOT_UTF8 = Buffer.from('7b227469746c65223a22fffe227d', 'hex');
const ofType = (type: string): RequestOptions => ({ body: 'title=x', headers: { 'content-type': type } });

const REFUSALS: readonly Refusal[] = [
  ['a body that is not JSON', 'invalid_request', 'POST /v1/shows', { body: '{"title":' }],
  ['a body that is an array', 'invalid_request', 'POST /v1/shows', { body: '[1,2]' }],
  ['a body that is null', 'invalid_request', 'POST /v1/shows', { body: 'null' }],
  ['a missing body', 'invalid_request', 'POST /v1/shows', { headers: { 'content-type': 'application/json' } }],
  ['a deeply nested body', 'invalid_request', 'POST /v1/shows', { body: deepArray }],
  ['a prototype in a body', 'invalid_request', 'POST /v1/shows', { body: '{"title":"x","__proto__":{"admin":true}}' }],
  ['a body of text', 'unsupported_media_type', 'POST /v1/shows', ofType('text/plain')],
  ['a form', 'unsupported_media_type', 'POST /v1/shows', ofType('application/x-www-form-urlencoded')],
  ['a large body', 'frame_too_large', `PATCH ${GALA}`, { body: { title: 'x'.repeat(LIMITS.httpBodyBytesMax) } }],
  ['bytes that are not UTF-8', 'invalid_request', 'POST /v1/shows', { body: NOT_UTF8 }],
  ['an unknown field', 'invalid_request', 'POST /v1/shows', { body: { title: 'x', titel: 'y' } }],
  ['a field of an empty body', 'invalid_request', `POST ${GALA}/start`, { body: { now: true } }],
  ['a body on a route without one', 'invalid_request', `DELETE ${GALA}/mutes/ann`, { body: { forMs: 1 } }],
  ['null on a route without a body', 'invalid_request', `DELETE ${GALA}/mutes/ann`, { body: 'null' }],
  ['deep nesting on a route without a body', 'invalid_request', `DELETE ${GALA}/products/none`, { body: deepObject }],
  ['an unknown route', 'not_found', 'GET /v1/nothing'],
  ['an unknown route outside /v1', 'not_found', 'GET /nothing?x=1'],
  ['deep nesting on an unknown route', 'not_found', 'POST /v1/nothing', { body: deepArray + ']'.repeat(100_000) }],
  ['a wrong method', 'method_not_allowed', 'DELETE /v1/shows'],
  ['a wrong method on a longer path', 'method_not_allowed', `GET ${GALA}/sales/drop/open`],
  ['an empty change', 'invalid_request', `PATCH ${GALA}`, { body: {} }],
  ['a blank announcement', 'invalid_request', `POST ${GALA}/announcements`, { body: { text: ' \n ' } }],
  ['control characters', 'invalid_request', `POST ${GALA}/announcements`, { body: { text: 'a\u0000b' } }],
  ['half a character', 'invalid_request', `POST ${GALA}/announcements`, { body: { text: '\ud800' } }],
  ['a blank name', 'invalid_request', `POST ${GALA}/tokens`, { body: { user: 'u', name: ' ', role: 'buyer' } }],
  [
    'a number in quotes',
    'invalid_request',
    `POST ${GALA}/reservations/r/confirm`,
    { body: { orderRef: 'o', amount: '5' } },
  ],
  ['an id with braces', 'invalid_request', 'GET /v1/shows/%7Bx%7D'],
  ['a broken percent-encoding', 'invalid_request', 'GET /v1/shows/%zz'],
  ['a long id', 'invalid_request', `GET /v1/shows/${'x'.repeat(100)}`],
  ['a very long id', 'invalid_request', `GET /v1/shows/${'x'.repeat(5000)}`],
  ['an invalid idempotency key', 'invalid_request', `POST ${GALA}/sales/drop/open`, BAD_KEY],
  ['a long idempotency key', 'invalid_request', `POST ${GALA}/sales/drop/open`, LONG_KEY],
  [
    'an invalid key on an unknown show',
    'invalid_request',
    'PATCH /v1/shows/unknown',
    { body: { title: 'x' }, ...BAD_KEY },
  ],
  ['no API key', 'unauthenticated', 'GET /v1/shows', { key: null }],
  ['a wrong API key', 'unauthenticated', 'GET /v1/shows', { key: 'studio-secret-0123456780' }],
  ['no API key and a wrong body', 'unauthenticated', 'POST /v1/shows', { body: '{', key: null }],
  ['an unknown show', 'show_not_found', 'GET /v1/shows/unknown'],
];

t.test('every refusal is a problem with a code of the catalogue', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  for (const [name, code, request, options] of REFUSALS) {
    const [method, url = ''] = request.split(' ');
    const response = await control.request(url, { method: method as 'GET', ...options });
    const { status, title } = ERRORS[code];
    t.same([response.status, response.body?.code], [status, code], `${name}: ${response.text.slice(0, 200)}`);
    t.equal(response.headers['content-type'], 'application/problem+json', name);
    const type = `urn:stampede:problem:${code}`;
    t.match(response.body, { type, title, status, detail: /\S/, instance: url.split('?')[0] }, name);
    t.equal(response.headers['x-request-id'] ?? response.body.requestId, response.body.requestId, name);
    t.notMatch(response.text, /at .*\.ts|node_modules|FST_/, `${name}: no internals`);
  }
});

t.test('a problem names the fields, and the headers help the caller', async (t) => {
  const { request, post } = await startControl(t);
  await post('/v1/shows', { id: 'gala', title: 'Gala' });
  t.strictSame((await post('/v1/shows', { title: 'x', titel: 'y' })).body.errors, [
    { path: '/titel', message: 'This field is not known. Check its spelling.' },
  ]);
  const { detail } = (await post('/v1/shows', { titel: 'y' })).body;
  t.match(detail, /^\/title: Must have required property 'title'\. Also wrong: \/titel\.$/);
  t.strictSame((await request(GALA, { method: 'PATCH', body: {} })).body.errors, [
    { path: '', message: 'Nothing to change: give at least one field.' },
  ]);
  t.match((await post(`${GALA}/tokens`, { user: 'u', name: 'Ada', role: 'king' })).body.errors, [
    { path: '/role', message: /^Must be one of guest, viewer, / },
  ]);
  t.match((await post('/v1/shows', { title: 'x', guests: 'yes' })).body.errors, [
    { path: '/guests', message: 'Must be one of true, false.' },
  ]);
  t.match((await request(`${GALA}?force=maybe`, { method: 'DELETE' })).body.errors, [
    { path: 'querystring/force', message: 'Must be true.' },
  ]);
  t.equal((await post(`${GALA}/announcements`, { text: 'two\nlines' })).status, 201);
  t.equal((await request('/v1/shows', { method: 'DELETE' })).headers.allow, 'GET, HEAD, POST');
  t.equal((await request('/v1/shows', { key: null })).headers['www-authenticate'], 'Bearer realm="stampede"');
  t.equal((await request('/v1/shows', { key: null, headers: { 'x-api-key': API_KEY } })).status, 200);
});

t.test('a defect is `internal`, and its stack is not sent', async (t) => {
  const { store } = await startControl(t);
  const getShow = () => Promise.reject(new Error('secret detail'));
  const { request } = await startControl(t, { store: { ...store, getShow } });
  const response = await request(GALA);
  t.match(response, { status: 500, body: { code: 'internal' }, headers: { 'retry-after': '1' } });
  t.notMatch(response.text, 'secret detail');
});

t.test('input that is not HTTP gets a problem too', async (t) => {
  const { app } = await startControl(t);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const exchange = (bytes: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let received = '';
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
      socket.on('data', (chunk) => (received += chunk));
      socket.on('close', () => resolve(received));
      socket.on('error', reject);
    });
  const nonsense = await exchange('hello there\r\n\r\n');
  t.match(nonsense, /^HTTP\/1\.1 400 Bad Request\r\n/);
  t.match(nonsense, '"code":"invalid_request"');
  const headers = await exchange(`GET / HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(40_000)}\r\n\r\n`);
  t.match(headers, /^HTTP\/1\.1 431 /);
  const type = { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' };
  const post = { method: 'POST', headers: type, body: '{"title":"By HTTP"}' };
  const response = await fetch(`http://127.0.0.1:${port}/v1/shows`, post);
  t.equal(response.status, 201);
  t.match(await response.json(), { title: 'By HTTP' });
});

t.test('the rate limit counts by API key and kind, and wrong keys by address (I9)', async (t) => {
  const { request } = await startControl(t, { options: { rates: { readsPerMinute: 3, commandsPerMinute: 2 } } });
  for (let i = 0; i < 3; i++) t.equal((await request('/v1/shows')).status, 200);
  const refused = await request('/v1/shows');
  t.match(refused, { status: 429, body: { code: 'rate_limited' } });
  const { retryAfterMs } = refused.body;
  t.ok(retryAfterMs > 0 && retryAfterMs <= 60_000);
  t.equal(Number(refused.headers['retry-after']), Math.ceil(retryAfterMs / 1000));
  t.equal((await request('/v1/shows', { key: OTHER_API_KEY })).status, 200);
  const create = () => request('/v1/shows', { method: 'POST', body: { title: 'S' } });
  t.same([(await create()).status, (await create()).status, (await create()).status], [201, 201, 429]);
  for (const move of ['confirm', 'release', 'extend']) {
    const hold = `/v1/shows/nosuchshow/reservations/r1/${move}`;
    const codes = new Set<number>();
    for (let i = 0; i < 5; i++) codes.add((await request(hold, { method: 'POST', body: {} })).status);
    t.notOk(codes.has(429), `${move} has no limit with a valid key`);
    for (let i = 0; i < 3; i++) await request(hold, { method: 'POST', body: {}, key: 'guess-5-0123456789' });
    t.equal((await request(hold, { method: 'POST', body: {}, key: 'guess-5-0123456789' })).status, 429);
  }
  for (let i = 0; i < 3; i++) t.equal((await request('/v1/shows', { key: `guess-${i}-0123456789` })).status, 401);
  t.equal((await request('/v1/shows', { key: 'guess-4-0123456789' })).status, 429);
  t.equal((await request('/healthz')).status, 200);
});
