import t from 'tap';
import { startControl } from './harness.ts';

t.test('a show from plan to end', async (t) => {
  const { ask, post } = await startControl(t);
  const made = await post('/v1/shows', { id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] });
  t.equal(made.status, 201);
  t.equal(made.headers.location, '/v1/shows/gala');
  t.match(made.body, {
    id: 'gala',
    title: 'Gala',
    state: 'planned',
    startsAt: null,
    guests: true,
    slowModeMs: 0,
    brands: [{ id: 'acme', name: 'Acme' }],
    pinned: null,
  });
  t.type(made.body.createdAt, 'number');

  t.strictSame(
    (await post('/v1/shows', { id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] })).body,
    made.body,
    'the same again answers again',
  );
  const differs = await post('/v1/shows', { id: 'gala', title: 'Other' });
  t.equal(differs.status, 409);
  t.equal(differs.body.code, 'already_exists');

  const unnamed = await post('/v1/shows', { title: 'Second' });
  t.equal(unnamed.status, 201);
  t.match(unnamed.body.id, /^[A-Za-z0-9_-]+$/);
  const list = await ask('/v1/shows');
  t.strictSame(new Set(list.body.shows.map((show: { id: string }) => show.id)), new Set(['gala', unnamed.body.id]));

  const patched = await ask('/v1/shows/gala', {
    method: 'PATCH',
    body: { title: 'Grand gala', slowModeMs: 2000, guests: false },
  });
  t.match(patched.body, { title: 'Grand gala', slowModeMs: 2000, guests: false });
  t.equal((await post('/v1/shows/gala/start')).body.state, 'live');
  t.equal((await post('/v1/shows/gala/start')).body.state, 'live');
  t.type((await post('/v1/shows/gala/announcements', { text: 'Two minutes!' })).body.offset, 'number');
  t.equal((await post('/v1/shows/gala/end', {})).body.state, 'ended');
  t.equal((await post('/v1/shows/gala/end')).status, 200);
  const again = await post('/v1/shows/gala/start');
  t.equal(again.status, 409);
  t.equal(again.body.code, 'illegal_move');
  t.match((await ask('/v1/shows/gala')).body, { title: 'Grand gala', state: 'ended' });
  t.equal((await ask('/v1/shows/nowhere')).body.code, 'show_not_found');
});

t.test('products are saved, listed, pinned and removed', async (t) => {
  const { ask, post } = await startControl(t);
  await post('/v1/shows', { id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] });
  const tee = {
    brand: 'acme',
    title: 'Tee',
    imageUrl: 'https://cdn.example/tee.png',
    skus: [{ sku: 'TEE-M', title: 'M' }, { sku: 'TEE-L' }],
  };
  const saved = await ask('/v1/shows/gala/products/tee', { method: 'PUT', body: tee });
  t.equal(saved.status, 200);
  t.strictSame(saved.body, { ...tee, id: 'tee' });
  t.strictSame((await ask('/v1/shows/gala/products')).body, { products: [{ ...tee, id: 'tee' }] });
  t.equal((await post('/v1/shows/gala/pin', { product: 'tee' })).body.pinned, 'tee');
  t.equal((await post('/v1/shows/gala/pin', { product: null })).body.pinned, null);
  t.equal((await post('/v1/shows/gala/pin', { product: 'hat' })).body.code, 'product_not_found');

  const foreign = await ask('/v1/shows/gala/products/hat', { method: 'PUT', body: { ...tee, brand: 'other' } });
  t.equal(foreign.status, 400);
  t.match(foreign.body, { code: 'invalid_request', errors: [{ path: '/brand' }] });
  t.equal(
    (await ask('/v1/shows/gala/products/hat', { method: 'PUT', body: { ...tee, imageUrl: 'javascript:alert(1)' } }))
      .body.errors[0].path,
    '/imageUrl',
  );

  const removed = await ask('/v1/shows/gala/products/tee', { method: 'DELETE' });
  t.equal(removed.status, 204);
  t.equal(removed.text, '');
  t.equal((await ask('/v1/shows/gala/products/tee', { method: 'DELETE' })).body.code, 'product_not_found');
});
