/** Limits on new connections. A refused upgrade costs little and gets a random retry delay. */
import type { Test } from 'tap';
import { createGateway } from '../../src/gateway/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { times } from '../support/store-fixture.ts';
import { type RawUpgrade, rawUpgrade, refusedUpgrade } from './client.ts';
import { gatewayDeps, type Node, optionsOf, test, until, type World } from './harness.ts';

const FORGED = ['token.forged'];

/** Returns a function that upgrades and returns the HTTP status. The sockets stay open. */
function upgrader(t: Test, world: World, { port }: Node): (upgrade?: Partial<RawUpgrade>) => Promise<number> {
  return async (upgrade) => {
    const { status, socket } = await rawUpgrade(port, { path: `/v1/shows/${world.show}`, ...upgrade });
    t.teardown(() => socket.destroy());
    return status;
  };
}

test('a full node refuses before it checks the token, and accepts after a viewer left (H-4.2)', async (t, world) => {
  let verified = 0;
  const verify = () => {
    verified += 1;
    return { ok: false as const, error: { code: 'unauthenticated' as const, message: 'never' } };
  };
  const deps = { ...gatewayDeps(world), tokens: { verify, pass: () => null } };
  const gateway = createGateway({ ...deps, options: optionsOf({ limits: { perNodeMax: 2 } }) });
  const { port } = await gateway.listen();
  t.teardown(() => gateway.drain({ timeoutMs: 1_000 }));
  const guest = { node: { url: `ws://127.0.0.1:${port}` }, token: null };
  const [first] = await world.joinMany(2, () => guest);

  const headers = { origin: 'https://anywhere' };
  const url = `${guest.node.url}/v1/shows/${world.show}`;
  const refusals = await Promise.all(times(20, () => refusedUpgrade(url, FORGED, { headers })));
  for (const { status, body, headers } of refusals) {
    t.match([status, body.code], [503, 'at_capacity']);
    t.match(headers, { 'retry-after': /^[1-5]$/ });
    t.ok(body.retryAfterMs >= LIMITS.refusedRetryMinMs && body.retryAfterMs <= LIMITS.refusedRetryMaxMs);
  }
  t.ok(new Set(refusals.map(({ body }) => body.retryAfterMs)).size > 10, 'retry delays differ');
  t.equal(verified, 0, 'no token was checked');
  t.match(await deps.metrics.registry.metrics(), /joins_refused_total\{[^}]*code="at_capacity"[^}]*\} 20/);
  await first?.close();
  await until(async () => (await deps.metrics.connections.get()).values[0]?.value === 1, 'a slot is free');
  await world.join(guest);
});

test('a node refuses more joins per second than its limit', async (t, world) => {
  const node = await world.addNode({ limits: { joinsPerSecond: 1 } });
  const upgrade = upgrader(t, world, node);
  t.equal(await upgrade(), 101);
  const forged = await Promise.all(times(10, () => refusedUpgrade(`${node.url}/v1/shows/${world.show}`, FORGED)));
  const early = forged.filter(({ status }) => status === 503);
  t.ok(early.length > 0, `${early.length} of 10 were refused by the rate`);
  for (const { body, headers } of early) t.match([body.code, headers['retry-after']], ['overloaded', /^[1-5]$/]);
  await until(async () => (await upgrade()) === 101, 'a later upgrade is accepted');
});

test('H-4.3 an address may join so often, with ten seconds at once; reconnecting gains nothing', async (t, world) => {
  const node = await world.addNode({ limits: { joinsPerSecondPerAddress: 1 } });
  const upgrade = upgrader(t, world, node);
  for (let i = 0; i < 10; i += 1) t.equal(await upgrade(), 101);
  const { status, body, headers } = await refusedUpgrade(`${node.url}/v1/shows/${world.show}`, FORGED);
  t.match([status, body.code, headers['retry-after']], [429, 'rate_limited', '1']);
  await until(async () => (await upgrade()) === 101, 'a later upgrade is accepted');
});

test('connections per address are limited; untrusted headers and PROXY protocol are ignored', async (t, world) => {
  const upgrade = upgrader(t, world, await world.addNode({ limits: { perAddressMax: 2 } }));
  t.same([await upgrade(), await upgrade(), await upgrade()], [101, 101, 429]);
  t.equal(await upgrade({ localAddress: '127.0.0.2' }), 101, 'another address');
  const headers = ['X-Forwarded-For: 203.0.113.9', 'Forwarded: for=203.0.113.9'];
  t.equal(await upgrade({ headers }), 429, 'headers are ignored if the peer is not a trusted proxy');
  // PROXY protocol v2: TCP over IPv4 from 203.0.113.9:1 to 127.0.0.1:2.
  const prefix = Buffer.from('0d0a0d0a000d0a515549540a2111000ccb0071097f00000100010002', 'hex');
  t.equal(await upgrade({ prefix }), 429, 'the PROXY protocol is ignored');
});

test('behind trusted proxies, the address is the last one that is not a trusted proxy (H-4.4)', async (t, world) => {
  const trustedProxies = ['127.0.0.1', '10.0.0.0/8', '2001:db8:aaaa::/48'];
  const upgrade = upgrader(t, world, await world.addNode({ limits: { perAddressMax: 1 }, trustedProxies }));
  const via = (...values: string[]): Promise<number> =>
    upgrade({ headers: values.map((value) => `X-Forwarded-For: ${value}`) });
  for (const [what, status, ...values] of [
    ['the first connection of an address', 101, '203.0.113.9'],
    ['the second', 429, '203.0.113.9'],
    ['another address', 101, '203.0.113.10'],
    ['left of the proxy entry: written by the client', 429, '198.51.100.1, 203.0.113.9'],
    ['the same in two headers', 429, '198.51.100.1', '203.0.113.9'],
    ['through two proxies', 429, '198.51.100.1, 203.0.113.9, 10.1.2.3'],
    ['an IPv4-mapped IPv6 address', 429, '::ffff:203.0.113.9'],
    ['IPv4 with a port', 429, '203.0.113.9:4711'],
    ['IPv6', 101, '2001:db8:1:2::1'],
    ['another address of the same /64', 429, '2001:db8:1:2:ffff::9'],
    ['IPv6 with a port', 429, '[2001:db8:1:2::7]:4711'],
    ['the next /64', 101, '2001:db8:1:3::1'],
    ['through a proxy with an IPv6 address', 101, '198.51.100.7, 2001:db8:aaaa::1'],
    ['the same without that proxy', 429, '198.51.100.7'],
    ['an invalid address counts as the proxy', 101, 'unknown'],
    ['markup', 429, '<script>'],
    ['out of range', 429, '999.1.1.1'],
    ['no header', 429],
  ] as const)
    t.equal(await via(...values), status, what);
  const invalid = optionsOf({ trustedProxies: ['not-an-address'] });
  t.throws(() => createGateway({ ...gatewayDeps(world), options: invalid }), 'an invalid proxy address is an error');
});
