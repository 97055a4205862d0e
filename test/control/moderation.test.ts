import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { planShow, sendChat, startControl } from './harness.ts';

t.test('a host lists the chat with its authors and removes messages', async (t) => {
  const control = await startControl(t);
  const { request } = control;
  await planShow(control);
  t.same((await request('/v1/shows/gala/chat')).body, { messages: [] });
  await sendChat(control, 'gala', 'ann', 'hello', 'buy at my shop');
  await sendChat(control, 'gala', 'bob', 'hi');
  const listed = await request('/v1/shows/gala/chat');
  t.equal(listed.status, 200);
  t.match(listed.body.messages, [
    { id: 1, at: 1_000, user: 'ann', name: 'Name of ann', text: 'hello', mark: 0 },
    { id: 2, at: 1_100, user: 'ann', text: 'buy at my shop' },
    { id: 3, user: 'bob', text: 'hi' },
  ]);
  const removed = await request('/v1/shows/gala/chat/2', { method: 'DELETE' });
  t.same([removed.status, removed.text], [204, '']);
  t.equal((await request('/v1/shows/gala/chat/2', { method: 'DELETE' })).status, 204, 'repeating it changes nothing');
  const left = (await request('/v1/shows/gala/chat')).body.messages;
  t.same([left.length, left[0].id, left[1].id], [2, 1, 3]);
  const unknown = await request('/v1/shows/gala/chat/99', { method: 'DELETE' });
  t.same([unknown.status, unknown.body.code], [404, 'not_found']);
  for (const id of ['0', '-1', 'x', '1.5', '1234567890123456'])
    t.equal((await request(`/v1/shows/gala/chat/${id}`, { method: 'DELETE' })).body.code, 'invalid_request', id);
  t.equal((await request('/v1/shows/unknown/chat/1', { method: 'DELETE' })).body.code, 'show_not_found');
  t.equal((await request('/v1/shows/unknown/chat')).body.code, 'show_not_found');
  t.equal((await request('/v1/shows/gala/chat/1', { method: 'DELETE', key: null })).status, 401);
  const sixty = (i: number) => Array.from({ length: 60 }, (_, n) => `${i}/${n}`);
  for (let i = 0; i < 5; i++) await sendChat(control, 'gala', 'cyd', ...sixty(i));
  const newest = (await request('/v1/shows/gala/chat')).body.messages;
  const shown = [newest.length, newest.at(-1).text, newest[0].text];
  t.same(shown, [LIMITS.chatListedMax, '4/59', '1/40'], 'the newest, oldest first');
});

t.test('users are muted for a time, listed and unmuted', async (t) => {
  const control = await startControl(t);
  const { request } = control;
  await planShow(control);
  const path = (user: string): string => `/v1/shows/gala/mutes/${encodeURIComponent(user)}`;
  const mute = (user: string, body: unknown) => request(path(user), { method: 'PUT', body });
  const unmute = async (user: string) => (await request(path(user), { method: 'DELETE' })).status;
  const user = 'shop|ünï 1';
  const muted = await mute(user, { forMs: 60_000 });
  t.match(muted, { status: 200, body: { user, until: Number } });
  t.same((await request('/v1/shows/gala/mutes')).body, { mutes: [muted.body] });
  t.ok((await mute(user, { forMs: 600_000 })).body.until > muted.body.until, 'a second mute replaces the end');
  t.same([await unmute(user), await unmute('unknown')], [204, 204]);
  t.same((await request('/v1/shows/gala/mutes')).body, { mutes: [] });
  const forMs = 60_000;
  for (const body of [{}, { forMs: 1 }, { forMs: LIMITS.muteMaxMs + 1 }, { forMs, why: 'x' }, { forMs: '60000' }])
    t.equal((await mute('troll', body)).body.code, 'invalid_request', JSON.stringify(body));
  for (const [url, options] of [['/mutes'], ['/mutes/x', { method: 'PUT', body: { forMs } }]] as const)
    t.equal((await request(`/v1/shows/unknown${url}`, options)).body.code, 'show_not_found');
});

t.test('the audience of all nodes is counted', async (t) => {
  const { request, post, store } = await startControl(t);
  await post('/v1/shows', { id: 'gala', title: 'Gala' });
  t.same((await request('/v1/shows/gala/audience')).body, { viewers: 0, peak: 0, unique: 0, hearts: 0 });
  await store.reportCounts('gala', 'n1', 3, 5, ['ann', 'bob']);
  await store.reportCounts('gala', 'n2', 2, 0, ['bob']);
  t.same((await request('/v1/shows/gala/audience')).body, { viewers: 5, peak: 5, unique: 2, hearts: 5 });
  t.equal((await request('/v1/shows/unknown/audience')).body.code, 'show_not_found');
});
