import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { ERRORS, type ErrorCode } from '../../src/protocol/codes.ts';
import { API_KEY, type Ask, planShow, startControl } from './harness.ts';

t.test('every refusal is a problem with a code of the catalogue', async (t) => {
  const control = await startControl(t);
  await planShow(control);
  const json = { 'content-type': 'application/json' };
  const cases: Array<[string, string, Ask, ErrorCode]> = [
    ['not JSON', '/v1/shows', { method: 'POST', body: '{"title":', headers: json }, 'invalid_request'],
    ['JSON of another shape', '/v1/shows', { method: 'POST', body: '[1,2]', headers: json }, 'invalid_request'],
    ['null', '/v1/shows', { method: 'POST', body: 'null', headers: json }, 'invalid_request'],
    ['no body', '/v1/shows', { method: 'POST', headers: json }, 'invalid_request'],
    ['a deep nest', '/v1/shows', { method: 'POST', body: '['.repeat(100_000), headers: json }, 'invalid_request'],
    [
      'a deep nest for nobody',
      '/v1/nothing',
      { method: 'POST', body: `${'['.repeat(100_000)}${']'.repeat(100_000)}`, headers: json },
      'not_found',
    ],
    [
      'a poisoned prototype',
      '/v1/shows',
      { method: 'POST', body: '{"title":"x","__proto__":{"admin":true}}', headers: json },
      'invalid_request',
    ],
    [
      'text',
      '/v1/shows',
      { method: 'POST', body: 'title=x', headers: { 'content-type': 'text/plain' } },
      'unsupported_media_type',
    ],
    [
      'a form',
      '/v1/shows',
      { method: 'POST', body: 'title=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
      'unsupported_media_type',
    ],
    [
      'too large',
      '/v1/shows',
      { method: 'POST', body: JSON.stringify({ title: 'x'.repeat(LIMITS.httpBodyBytesMax) }), headers: json },
      'frame_too_large',
    ],
    ['an unknown route', '/v1/nothing', {}, 'not_found'],
    ['an unknown route outside', '/nothing?x=1', {}, 'not_found'],
    ['a wrong method', '/v1/shows', { method: 'DELETE' }, 'method_not_allowed'],
    ['a wrong method deeper', '/v1/shows/gala/sales/drop/open', { method: 'GET' }, 'method_not_allowed'],
    ['an unknown field', '/v1/shows', { method: 'POST', body: { title: 'x', titel: 'y' } }, 'invalid_request'],
    [
      'a field of a body that takes none',
      '/v1/shows/gala/start',
      { method: 'POST', body: { now: true } },
      'invalid_request',
    ],
    [
      'a body where none is read',
      '/v1/shows/gala/mutes/ann',
      { method: 'DELETE', body: { forMs: 1 } },
      'invalid_request',
    ],
    [
      'null where no body is read',
      '/v1/shows/gala/mutes/ann',
      { method: 'DELETE', body: 'null', headers: json },
      'invalid_request',
    ],
    [
      'a deep nest where no body is read',
      '/v1/shows/gala/products/none',
      { method: 'DELETE', body: `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`, headers: json },
      'invalid_request',
    ],
    [
      'bytes that are not UTF-8',
      '/v1/shows',
      { method: 'POST', body: Buffer.from('7b227469746c65223a22fffe227d', 'hex'), headers: json },
      'invalid_request',
    ],
    ['a change of nothing', '/v1/shows/gala', { method: 'PATCH', body: {} }, 'invalid_request'],
    [
      'a blank announcement',
      '/v1/shows/gala/announcements',
      { method: 'POST', body: { text: ' \n ' } },
      'invalid_request',
    ],
    [
      'an announcement with control characters',
      '/v1/shows/gala/announcements',
      { method: 'POST', body: { text: 'a\u0000b' } },
      'invalid_request',
    ],
    [
      'half a character',
      '/v1/shows/gala/announcements',
      { method: 'POST', body: { text: '\ud800' } },
      'invalid_request',
    ],
    [
      'a token for nobody',
      '/v1/shows/gala/tokens',
      { method: 'POST', body: { user: 'u', name: ' ', role: 'buyer' } },
      'invalid_request',
    ],
    [
      'a bad idempotency key elsewhere',
      '/v1/shows/nowhere',
      { method: 'PATCH', body: { title: 'x' }, headers: { 'idempotency-key': 'a b' } },
      'invalid_request',
    ],
    ['a bad id', '/v1/shows/%7Bx%7D', {}, 'invalid_request'],
    ['a broken address', '/v1/shows/%zz', {}, 'invalid_request'],
    ['a long id', `/v1/shows/${'x'.repeat(100)}`, {}, 'invalid_request'],
    ['an endless id', `/v1/shows/${'x'.repeat(5000)}`, {}, 'invalid_request'],
    [
      'a bad idempotency key',
      '/v1/shows/gala/sales/drop/open',
      { method: 'POST', headers: { 'idempotency-key': 'a b' } },
      'invalid_request',
    ],
    [
      'an endless idempotency key',
      '/v1/shows/gala/sales/drop/open',
      { method: 'POST', headers: { 'idempotency-key': 'k'.repeat(LIMITS.keyCharsMax + 1) } },
      'invalid_request',
    ],
    ['no key', '/v1/shows', { key: null }, 'unauthenticated'],
    ['a wrong key', '/v1/shows', { key: 'studio-secret-0123456780' }, 'unauthenticated'],
    [
      'a wrong key and a wrong body',
      '/v1/shows',
      { method: 'POST', body: '{', headers: json, key: null },
      'unauthenticated',
    ],
    [
      'an amount that is text',
      '/v1/shows/gala/reservations/r1/confirm',
      { method: 'POST', body: { orderRef: 'o', amount: '5' } },
      'invalid_request',
    ],
    ['an unknown show', '/v1/shows/nowhere', {}, 'show_not_found'],
  ];
  for (const [name, url, ask, code] of cases) {
    const answer = await control.ask(url, ask);
    t.equal(answer.body?.code, code, `${name}: ${answer.text.slice(0, 200)}`);
    t.equal(answer.status, ERRORS[code].status, name);
    t.equal(answer.headers['content-type'], 'application/problem+json', name);
    t.match(
      answer.body,
      {
        type: `urn:stampede:problem:${code}`,
        title: ERRORS[code].title,
        status: ERRORS[code].status,
        detail: /\S/,
        instance: url.split('?')[0],
      },
      name,
    );
    t.equal(answer.headers['x-request-id'] ?? answer.body.requestId, answer.body.requestId, name);
    t.notMatch(answer.text, /at .*\.ts|node_modules|FST_/, `${name}: nothing of our inside`);
  }
  const typo = await control.post('/v1/shows', { title: 'x', titel: 'y' });
  t.strictSame(typo.body.errors, [{ path: '/titel', message: 'This field is not known. Check its spelling.' }]);
  t.strictSame((await control.ask('/v1/shows/gala', { method: 'PATCH', body: {} })).body.errors, [
    { path: '', message: 'Nothing to change: give at least one field.' },
  ]);
  t.match((await control.post('/v1/shows/gala/tokens', { user: 'u', name: 'Ada', role: 'king' })).body.errors, [
    { path: '/role', message: /^Must be one of guest, viewer, / },
  ]);
  t.equal((await control.post('/v1/shows/gala/announcements', { text: 'two\nlines' })).status, 201);
  t.equal((await control.ask('/v1/shows', { method: 'DELETE' })).headers.allow, 'GET, HEAD, POST');
  t.equal((await control.ask('/v1/shows', { key: null })).headers['www-authenticate'], 'Bearer realm="stampede"');
  t.equal((await control.ask('/v1/shows', { key: null, headers: { 'x-api-key': API_KEY } })).status, 200);
});

t.test('a defect of ours says internal and keeps its stack to itself', async (t) => {
  const { store } = await startControl(t);
  const control = await startControl(t, {
    store: { ...store, getShow: () => Promise.reject(new Error('secret detail')) },
  });
  const answer = await control.ask('/v1/shows/gala');
  t.equal(answer.status, 500);
  t.equal(answer.body.code, 'internal');
  t.notMatch(answer.text, 'secret detail');
  t.equal(answer.headers['retry-after'], '1');
});

t.test('what is not HTTP gets a problem too, on a real socket', async (t) => {
  const { app } = await startControl(t);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const talk = (bytes: string): Promise<string> =>
    new Promise((resolve, reject) => {
      let heard = '';
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
      socket.on('data', (chunk) => {
        heard += chunk;
      });
      socket.on('close', () => resolve(heard));
      socket.on('error', reject);
    });
  const nonsense = await talk('hello there\r\n\r\n');
  t.match(nonsense, /^HTTP\/1\.1 400 Bad Request\r\n/);
  t.match(nonsense, '"code":"invalid_request"');
  const headers = await talk(`GET / HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(40_000)}\r\n\r\n`);
  t.match(headers, /^HTTP\/1\.1 431 /);
  const answer = await fetch(`http://127.0.0.1:${port}/v1/shows`, {
    method: 'POST',
    headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' },
    body: '{"title":"Over the wire"}',
  });
  t.equal(answer.status, 201);
  t.match(await answer.json(), { title: 'Over the wire' });
});

t.test('too many requests of one key are told when to come back; other keys notice nothing', async (t) => {
  const { ask } = await startControl(t, { options: { ratePerMinute: 3 } });
  for (let i = 0; i < 3; i++) t.equal((await ask('/v1/shows')).status, 200);
  const refused = await ask('/v1/shows');
  t.equal(refused.status, 429);
  t.equal(refused.body.code, 'rate_limited');
  t.ok(refused.body.retryAfterMs > 0 && refused.body.retryAfterMs <= 60_000);
  t.equal(Number(refused.headers['retry-after']), Math.ceil(refused.body.retryAfterMs / 1000));
  t.equal((await ask('/v1/shows', { key: 'office-secret-0123456789' })).status, 200);
  for (let i = 0; i < 3; i++) t.equal((await ask('/v1/shows', { key: `guess-${i}-0123456789` })).status, 401);
  t.equal(
    (await ask('/v1/shows', { key: 'guess-4-0123456789' })).status,
    429,
    'guesses at keys are counted against their address',
  );
  t.equal((await ask('/healthz')).status, 200);
});
