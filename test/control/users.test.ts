/** Erasing a user over HTTP. */
import t from 'tap';
import { createErasures } from '../../src/archive/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { keysNaming } from '../support/every-value.ts';
import { until } from '../support/until.ts';
import { hold, logger, planShow, sendChat, startControl } from './harness.ts';

const USER = 'shop|ünï 1';
const path = `/v1/users/${encodeURIComponent(USER)}`;
const NOTHING = { shows: 0, archives: 0, messages: 0, reservations: 0, ledgerEntries: 0, waits: 0, mutes: 0 };

t.test('DELETE erases a user and reports what it did', async (t) => {
  const control = await startControl(t);
  const { request, post, redis, keyPrefix } = control;
  await planShow(control, { opensInMs: 0, durationMs: 600_000 });
  await sendChat(control, 'gala', USER, 'hello', 'buy at my shop');
  await sendChat(control, 'gala', 'bob', 'hi');
  const id = await hold(control, 'gala', USER, 'BAG', 1);
  const order = `/v1/shows/gala/reservations/${id}`;
  await request(`/v1/shows/gala/mutes/${encodeURIComponent(USER)}`, {
    ...{ method: 'PUT', body: { forMs: 60_000 }, headers: { 'idempotency-key': 'mute' } },
  });
  await post('/v1/shows/gala/tokens', { user: USER, name: 'Ünï', role: 'buyer' }, { 'idempotency-key': 'token' });

  const waiting = await request(path, { method: 'DELETE' });
  const held = [{ show: 'gala', reason: 'hold_open', retried: true, until: Number }];
  t.match(waiting.body, { message: /cannot be erased yet: see `remaining`\. It is tried again every minute/ });
  t.match(waiting, { status: 202, body: { state: 'waiting', finishedAt: null, commands: 2, remaining: held } });
  t.strictSame((await request(`${path}/erasure`)).body, waiting.body);
  t.match(await request(order), { status: 200, body: { state: 'held', user: USER } }, 'the hold may still be paid');
  t.equal(
    (await post(`${order}/confirm`, { orderRef: 'o-1', amount: 4900 }, { 'idempotency-key': 'pay' })).status,
    200,
  );

  const done = await request(path, { method: 'DELETE', headers: { 'idempotency-key': 'erase' } });
  t.match(done, { status: 200, body: { state: 'done', remaining: { length: 0 }, message: /^All data of this user/ } });
  const counts = {
    shows: 1,
    archives: 0,
    messages: 2,
    reservations: 1,
    ledgerEntries: 2,
    waits: 0,
    mutes: 1,
    commands: 3,
  };
  t.match(done.body, counts);
  t.strictSame((await request(`${path}/erasure`)).body, done.body);
  t.same(await keysNaming(redis.client(), keyPrefix, [USER, `Name of ${USER}`]), []);
  t.match((await request('/v1/shows/gala/chat')).body.messages, [{ user: 'bob' }]);
  t.match(await request(order), { body: { state: 'confirmed', user: /^erased-[\w-]{20}$/, orderRef: 'o-1' } });
  t.match((await request('/v1/shows/gala/verify')).body, { violations: { length: 0 }, reservations: 1 });
  const again = await post(`${order}/confirm`, { orderRef: 'o-1', amount: 4900 }, { 'idempotency-key': 'pay' });
  t.match(again, { status: 200, body: { reservation: { id, user: /^erased-/ } } }, 'a repeated command has its result');

  const repeated = await request(path, { method: 'DELETE', headers: { 'idempotency-key': 'erase' } });
  t.match(repeated, { status: 200, headers: { 'idempotent-replayed': 'true' }, body: done.body });
  t.match(await request(path, { method: 'DELETE' }), { status: 200, body: { state: 'done', ...NOTHING } });
});

t.test('an erasure that runs while the process stops gets 202, and goes on elsewhere', async (t) => {
  const other = await startControl(t);
  await planShow(other, { opensInMs: 0, durationMs: 600_000 });
  await sendChat(other, 'gala', 'ann', 'hello');
  let goOn = (): void => {};
  const paused = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const { store, archiveDir: folder } = other;
  const slow: typeof store.eraseInShow = async (...call) => {
    await paused;
    return store.eraseInShow(...call);
  };
  const erasures = createErasures({ store: { ...store, eraseInShow: slow }, folder, logger });
  const stopping = await startControl(t, { beside: other, erasures });
  const reply = stopping.request('/v1/users/ann', { method: 'DELETE' });
  await until(async () => (await other.request('/v1/users/ann/erasure')).status === 200, 'the erasure runs');
  const startMs = performance.now();
  await Promise.all([stopping.app.close(), reply]);
  t.ok(performance.now() - startMs < LIMITS.erasureReplyMs / 2);
  t.match(await reply, { status: 202, body: { state: 'running', finishedAt: null, message: /GET .* reports/ } });
  goOn();
  await until(async () => (await other.request('/v1/users/ann/erasure')).body.state === 'done', 'it ends');
});

t.test('an unknown user is no error; wrong ones and missing keys are refused', async (t) => {
  const { request } = await startControl(t);
  t.match(await request('/v1/users/unknown/erasure'), { status: 404, body: { code: 'not_found' } });
  const message = /^No data found: /;
  t.match(await request('/v1/users/unknown', { method: 'DELETE' }), {
    status: 200,
    body: { state: 'done', message, ...NOTHING },
  });
  t.match(await request('/v1/users/unknown/erasure'), { status: 200, body: { state: 'done', ...NOTHING } });
  for (const user of ['a\u0000b', 'x'.repeat(LIMITS.userIdCharsMax + 1)]) {
    const wrong = await request(`/v1/users/${encodeURIComponent(user)}`, { method: 'DELETE' });
    t.match(wrong, { status: 400, body: { code: 'invalid_request' } }, JSON.stringify(user.slice(0, 4)));
  }
  for (const key of [null, 'wrong']) t.equal((await request('/v1/users/ann', { method: 'DELETE', key })).status, 401);
});

t.test('a user whom only an earlier release admitted can be erased', async (t) => {
  const control = await startControl(t);
  const { request, post, redis, keyPrefix } = control;
  await planShow(control, { opensInMs: 0, durationMs: 600_000 });
  for (const [n, user] of [
    ' ',
    '\u202eevil',
    'a\u2066b',
    '\u3164',
    '%2e',
    '/',
    `${'\u6f22'.repeat(99)}\u202e`,
  ].entries()) {
    const name = JSON.stringify(user);
    await sendChat(control, 'gala', user, 'hello');
    const order = `/v1/shows/gala/reservations/${await hold(control, 'gala', user, 'BAG', 1)}`;
    const confirmed = await post(`${order}/release`, {}, { 'idempotency-key': `release-${n}` });
    t.equal(confirmed.status, 200, name);
    const path = `/v1/users/${encodeURIComponent(user)}`;
    const erased = await request(path, { method: 'DELETE' });
    t.match(erased, { status: 200, body: { state: 'done', reservations: 1, messages: 1 } }, name);
    t.match(await request(`${path}/erasure`), { status: 200, body: erased.body }, name);
    t.match(await request(order), { body: { user: /^erased-/ } }, name);
    if (user.length > 4) t.same(await keysNaming(redis.client(), keyPrefix, [user]), [], name);
  }
});
