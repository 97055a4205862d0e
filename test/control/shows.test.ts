import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { startControl } from './harness.ts';

t.test('a show is planned, changed, started and ended', async (t) => {
  const { request, post } = await startControl(t);
  const gala = { id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] };
  const created = await post('/v1/shows', gala);
  t.match(created, { status: 201, headers: { location: 'shows/gala' } });
  const defaults = { startsAt: null, guests: true, slowModeMs: 0, chatShownPerSecond: 0, pinned: null };
  t.match(created.body, { ...gala, state: 'planned', ...defaults, createdAt: Number });
  t.strictSame((await post('/v1/shows', gala)).body, created.body, 'the same request returns the existing show');
  t.match(await post('/v1/shows', { ...gala, title: 'Other' }), { status: 409, body: { code: 'already_exists' } });

  const unnamed = await post('/v1/shows', { title: 'Second' });
  t.match(unnamed, { status: 201, body: { id: /^[A-Za-z0-9_-]+$/ } });
  const ids = (await request('/v1/shows')).body.shows.map((show: { id: string }) => show.id);
  t.strictSame(new Set(ids), new Set(['gala', unnamed.body.id]));

  const change = { title: 'Grand gala', slowModeMs: 2000, guests: false };
  t.match((await request('/v1/shows/gala', { method: 'PATCH', body: change })).body, change);
  t.equal((await post('/v1/shows/gala/start')).body.state, 'live');
  t.equal((await post('/v1/shows/gala/start')).body.state, 'live', 'starting it again changes nothing');
  t.match((await post('/v1/shows/gala/announcements', { text: 'Two minutes!' })).body, { offset: Number });
  t.equal((await post('/v1/shows/gala/end', {})).body.state, 'ended');
  t.equal((await post('/v1/shows/gala/end')).status, 200);
  t.match(await post('/v1/shows/gala/start'), { status: 409, body: { code: 'illegal_move' } });
  t.match((await request('/v1/shows/gala')).body, { title: 'Grand gala', state: 'ended' });
  t.equal((await request('/v1/shows/unknown')).body.code, 'show_not_found');
});

t.test('a show has a display cap for chat', async (t) => {
  const { request, post } = await startControl(t);
  t.equal((await post('/v1/shows', { id: 'gala', title: 'Gala', chatShownPerSecond: 30 })).body.chatShownPerSecond, 30);
  const patch = async (chatShownPerSecond: number) =>
    (await request('/v1/shows/gala', { method: 'PATCH', body: { chatShownPerSecond } })).body;
  t.equal((await patch(12)).chatShownPerSecond, 12);
  t.equal((await request('/v1/shows/gala')).body.chatShownPerSecond, 12);
  for (const wrong of [-1, 0.5, LIMITS.chatShownPerSecondMax + 1])
    t.match(await patch(wrong), { code: 'invalid_request', errors: [{ path: '/chatShownPerSecond' }] });
});
