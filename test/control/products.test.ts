import t from 'tap';
import { type Json, startControl } from './harness.ts';

t.test('products are saved, listed, pinned and removed', async (t) => {
  const { request, post, redis, keyPrefix } = await startControl(t);
  await post('/v1/shows', { id: 'gala', title: 'Gala', brands: [{ id: 'acme', name: 'Acme' }] });
  const put = (id: string, body: Json) => request(`/v1/shows/gala/products/${id}`, { method: 'PUT', body });
  const remove = () => request('/v1/shows/gala/products/tee', { method: 'DELETE' });
  const skus = [{ sku: 'TEE-M', title: 'M' }, { sku: 'TEE-L' }];
  const tee = { brand: 'acme', title: 'Tee', imageUrl: 'https://cdn.example/tee.png', skus };
  const saved = await put('tee', tee);
  t.strictSame([saved.status, saved.body], [200, { ...tee, id: 'tee' }]);
  t.strictSame((await request('/v1/shows/gala/products')).body, { products: [{ ...tee, id: 'tee' }] });
  t.equal((await post('/v1/shows/gala/pin', { product: 'tee' })).body.pinned, 'tee');
  t.equal((await post('/v1/shows/gala/pin', { product: null })).body.pinned, null);
  t.equal((await post('/v1/shows/gala/pin', { product: 'hat' })).body.code, 'product_not_found');
  for (const [field, value] of Object.entries({ brand: 'other', imageUrl: 'javascript:alert(1)' })) {
    const refused = await put('hat', { ...tee, [field]: value });
    t.match(refused, { status: 400, body: { code: 'invalid_request', errors: [{ path: `/${field}` }] } });
  }
  await redis.client().hset(`${keyPrefix}{gala}:products`, 'cap', 'junk');
  const listed = (await request('/v1/shows/gala/products')).body;
  t.strictSame(listed, { products: [{ ...tee, id: 'tee' }], unreadable: ['cap'] }, 'one that cannot be read is named');
  t.match(await remove(), { status: 204, text: '' });
  t.equal((await remove()).body.code, 'product_not_found');
});
