import { generateKeyPairSync } from 'node:crypto';
import t from 'tap';
import { createTokens } from '../../src/auth/tokens.ts';
import { LIMITS } from '../../src/limits.ts';
import { type Json, startControl } from './harness.ts';

const ADA = { user: 'u-1', name: 'Ada', role: 'buyer' };

t.test('a token is minted for an existing show and role', async (t) => {
  const { post, tokens } = await startControl(t);
  await post('/v1/shows', { id: 'gala', title: 'Gala' });
  const minted = await post('/v1/shows/gala/tokens', { ...ADA, role: 'moderator', ttlSeconds: 60 });
  t.equal(minted.status, 201, minted.text);
  const value = { ...ADA, show: 'gala', role: 'moderator', exp: minted.body.expiresAt / 1000 };
  t.match(tokens.verify(minted.body.token), { ok: true, value });
  const lasting = await post('/v1/shows/gala/tokens', ADA);
  const longerMs = (LIMITS.tokenTtlSecondsDefault - 60) * 1000;
  t.ok(Math.abs(lasting.body.expiresAt - minted.body.expiresAt - longerMs) < 5_000, 'the default lifetime');
  const wrong: Json[] = [{ role: 'root' }, { user: '' }, { name: 'A\u0000' }, { name: undefined }, { ttlSeconds: 1 }];
  for (const change of [...wrong, { ttlSeconds: 1e9 }])
    t.equal((await post('/v1/shows/gala/tokens', { ...ADA, ...change })).body.code, 'invalid_request');
  t.equal((await post('/v1/shows/unknown/tokens', ADA)).body.code, 'show_not_found');
});

t.test('an engine that has only public keys refuses to mint', async (t) => {
  const publicKey = String(generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }));
  const { post } = await startControl(t, { tokens: createTokens({ publicKeys: [publicKey], nowMs: Date.now }) });
  await post('/v1/shows', { id: 'gala', title: 'Gala' });
  t.match(await post('/v1/shows/gala/tokens', ADA), { status: 403, body: { code: 'forbidden' } });
});

t.test('a viewer page gets what it needs to connect without an API key', async (t) => {
  const { post, request } = await startControl(t, { options: { publicGatewayUrl: 'wss://live.example.com/' } });
  await post('/v1/shows', { id: 'gala', title: 'Gala', guests: false });
  const show = { id: 'gala', title: 'Gala', state: 'planned' };
  const page = { gatewayUrl: 'wss://live.example.com', show, guests: false, demoTokens: false };
  t.strictSame((await request('/v1/shows/gala/watch', { key: null })).body, page);
  t.equal((await request('/v1/shows/unknown/watch', { key: null })).body.code, 'show_not_found');
  const demoToken = { method: 'POST', body: { name: 'Ada' }, key: null } as const;
  t.equal((await request('/v1/shows/gala/demo-tokens', demoToken)).status, 404, 'the route exists only in demos');
});

t.test('with demoTokens a page mints a buyer token until the show has ended', async (t) => {
  const options = { demoTokens: true, publicGatewayUrl: null, gatewayPort: 9090 };
  const { post, request, tokens } = await startControl(t, { options });
  await post('/v1/shows', { id: 'gala', title: 'Gala' });
  const watch = await request('/v1/shows/gala/watch', { key: null, headers: { host: 'shop.local:8081' } });
  t.match(watch.body, { gatewayUrl: 'ws://shop.local:9090', guests: true, demoTokens: true });
  const mint = (body: Json) => request('/v1/shows/gala/demo-tokens', { method: 'POST', body, key: null });
  const minted = await mint({ name: 'Ada' });
  t.equal(minted.status, 201, minted.text);
  const value = { show: 'gala', name: 'Ada', role: 'buyer', user: /^demo-/ };
  t.match(tokens.verify(minted.body.token), { ok: true, value });
  t.equal((await mint({})).status, 400);
  await post('/v1/shows/gala/end');
  t.equal((await mint({ name: 'Ada' })).body.code, 'show_ended');
});
