import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { planShow, say, startControl } from './harness.ts';

t.test('a host reads the chat with its authors and takes messages off', async (t) => {
  const control = await startControl(t);
  const { ask } = control;
  await planShow(control);
  t.same((await ask('/v1/shows/gala/chat')).body, { messages: [] });
  await say(control, 'gala', 'ann', 'hello', 'buy at my shop');
  await say(control, 'gala', 'bob', 'hi');
  const listed = await ask('/v1/shows/gala/chat');
  t.equal(listed.status, 200);
  t.match(listed.body.messages, [
    { id: 1, at: 1_000, user: 'ann', name: 'Name of ann', text: 'hello', mark: 0 },
    { id: 2, at: 1_100, user: 'ann', text: 'buy at my shop' },
    { id: 3, user: 'bob', text: 'hi' },
  ]);
  const removed = await ask('/v1/shows/gala/chat/2', { method: 'DELETE' });
  t.same([removed.status, removed.text], [204, '']);
  t.equal((await ask('/v1/shows/gala/chat/2', { method: 'DELETE' })).status, 204, 'repeating it changes nothing');
  t.same(
    (await ask('/v1/shows/gala/chat')).body.messages.map(({ id }: { id: number }) => id),
    [1, 3],
  );
  const unknown = await ask('/v1/shows/gala/chat/99', { method: 'DELETE' });
  t.same([unknown.status, unknown.body.code], [404, 'not_found']);
  for (const id of ['0', '-1', 'x', '1.5', '1234567890123456'])
    t.equal((await ask(`/v1/shows/gala/chat/${id}`, { method: 'DELETE' })).body.code, 'invalid_request', id);
  t.equal((await ask('/v1/shows/nowhere/chat/1', { method: 'DELETE' })).body.code, 'show_not_found');
  t.equal((await ask('/v1/shows/nowhere/chat')).body.code, 'show_not_found');
  t.equal((await ask('/v1/shows/gala/chat/1', { method: 'DELETE', key: null })).status, 401);
  for (let i = 0; i < 5; i++) await say(control, 'gala', 'cyd', ...Array.from({ length: 60 }, (_, n) => `${i}/${n}`));
  const newest = (await ask('/v1/shows/gala/chat')).body.messages;
  t.same(
    [newest.length, newest.at(-1).text, newest[0].text],
    [LIMITS.chatListedMax, '4/59', '1/40'],
    'the newest, oldest first',
  );
});

t.test('users are muted for a time, listed and let go', async (t) => {
  const control = await startControl(t);
  const { ask } = control;
  await planShow(control);
  const put = (user: string, body: unknown): ReturnType<typeof ask> =>
    ask(`/v1/shows/gala/mutes/${encodeURIComponent(user)}`, { method: 'PUT', body });
  const muted = await put('shop|ünï 1', { forMs: 60_000 });
  t.equal(muted.status, 200);
  t.match(muted.body, { user: 'shop|ünï 1', until: Number });
  t.same((await ask('/v1/shows/gala/mutes')).body, { mutes: [muted.body] });
  const longer = await put('shop|ünï 1', { forMs: 600_000 });
  t.ok(longer.body.until > muted.body.until);
  t.equal((await ask(`/v1/shows/gala/mutes/${encodeURIComponent('shop|ünï 1')}`, { method: 'DELETE' })).status, 204);
  t.equal((await ask('/v1/shows/gala/mutes/nobody', { method: 'DELETE' })).status, 204);
  t.same((await ask('/v1/shows/gala/mutes')).body, { mutes: [] });
  for (const body of [
    {},
    { forMs: 1 },
    { forMs: LIMITS.muteMaxMs + 1 },
    { forMs: 60_000, why: 'x' },
    { forMs: '60000' },
  ])
    t.equal((await put('troll', body)).body.code, 'invalid_request', JSON.stringify(body));
  t.equal(
    (await ask('/v1/shows/nowhere/mutes/x', { method: 'PUT', body: { forMs: 60_000 } })).body.code,
    'show_not_found',
  );
  t.equal((await ask('/v1/shows/nowhere/mutes')).body.code, 'show_not_found');
});

t.test('the display cap is a setting of the show, the audience its numbers', async (t) => {
  const control = await startControl(t);
  const { ask, post, store } = control;
  t.equal((await post('/v1/shows', { id: 'loud', title: 'Loud', chatShownPerSecond: 30 })).body.chatShownPerSecond, 30);
  t.equal((await post('/v1/shows', { id: 'gala', title: 'Gala' })).body.chatShownPerSecond, 0);
  t.equal(
    (await ask('/v1/shows/gala', { method: 'PATCH', body: { chatShownPerSecond: 12 } })).body.chatShownPerSecond,
    12,
  );
  t.equal((await ask('/v1/shows/gala')).body.chatShownPerSecond, 12);
  for (const chatShownPerSecond of [-1, 0.5, LIMITS.chatShownPerSecondMax + 1])
    t.match((await ask('/v1/shows/gala', { method: 'PATCH', body: { chatShownPerSecond } })).body, {
      code: 'invalid_request',
      errors: [{ path: '/chatShownPerSecond' }],
    });
  t.same((await ask('/v1/shows/gala/audience')).body, { viewers: 0, peak: 0, unique: 0, hearts: 0 });
  await store.reportCounts('gala', 'n1', 3, 5, ['ann', 'bob']);
  await store.reportCounts('gala', 'n2', 2, 0, ['bob']);
  t.same((await ask('/v1/shows/gala/audience')).body, { viewers: 5, peak: 5, unique: 2, hearts: 5 });
  t.equal((await ask('/v1/shows/nowhere/audience')).body.code, 'show_not_found');
});
