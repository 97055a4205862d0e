/**
 * Who is let in, and what it costs to say no: before a token is looked at, with a time to come back
 * that is different for everybody.
 */
import type { Socket } from 'node:net';
import t, { type Test } from 'tap';
import { createGateway, type GatewayOptions } from '../../src/gateway/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { logger, type Node, refusedUpgrade, startWorld, until, type World } from './harness.ts';
import { type RawUpgrade, rawUpgrade } from './raw-upgrade.ts';

const JSON_PROTOCOL = 'stampede.v1.json';

/**
 * Upgrades one after the other and answers their statuses; who came in stays until the end of the
 * test.
 */
function door(t: Test, world: World, node: Node): (...headers: string[]) => Promise<number> {
  const sockets: Socket[] = [];
  t.teardown(() => hangUp(sockets));
  return async (...headers) => knock(sockets, node, { path: `/v1/shows/${world.show}`, headers });
}

function hangUp(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy();
}

async function knock(sockets: Socket[], node: Node, upgrade: RawUpgrade): Promise<number> {
  const { status, socket } = await rawUpgrade(node.port, upgrade);
  sockets.push(socket);
  return status;
}

t.test('a full node refuses before it looks at anything, and lets the next one in when somebody left', async (t) => {
  const metrics = createMetrics({ node: 'n' });
  const world = await startWorld(t);
  const options: GatewayOptions = {
    host: '127.0.0.1',
    port: 0,
    exclusive: true,
    node: 'full',
    allowedOrigins: null,
    limits: { perNodeMax: 2 },
  };
  let verified = 0;
  const verify = () => {
    verified += 1;
    return { ok: false as const, error: { code: 'unauthenticated' as const, message: 'never' } };
  };
  const gateway = createGateway({ store: world.store, log: world.store, tokens: { verify }, logger, metrics, options });
  const { port } = await gateway.listen();
  t.teardown(() => gateway.drain({ timeoutMs: 1_000 }));
  const node = { port, url: `ws://127.0.0.1:${port}` };
  const first = await world.connect({ node, token: null });
  await first.type('welcome');
  await (await world.connect({ node, token: null })).type('welcome');

  const refusals = await Promise.all(
    Array.from({ length: 20 }, () =>
      refusedUpgrade(`${node.url}/v1/shows/${world.show}`, [JSON_PROTOCOL, 'token.forged'], {
        origin: 'https://anywhere',
      }),
    ),
  );
  for (const { status, body, headers } of refusals) {
    t.match([status, body['code']], [503, 'at_capacity']);
    t.match(headers, { 'retry-after': /^[1-5]$/ });
    t.ok(body.retryAfterMs >= LIMITS.refusedRetryMinMs && body.retryAfterMs <= LIMITS.refusedRetryMaxMs);
  }
  t.ok(new Set(refusals.map(({ body }) => body.retryAfterMs)).size > 10, 'they will not come back in step');
  t.equal(verified, 0, 'no token was looked at');
  t.match(await metrics.registry.metrics(), /joins_refused_total\{[^}]*code="at_capacity"[^}]*\} 20/);
  await first.close();
  await until(async () => (await metrics.connections.get()).values[0]?.value === 1, 'the place is free');
  await (await world.connect({ node, token: null })).type('welcome');
});

t.test('more joins a second than a node works on', async (t) => {
  const world = await startWorld(t);
  const node = await world.addNode({ limits: { joinsPerSecond: 1 } });
  const ask = door(t, world, node);
  t.equal(await ask(), 101);
  const forged = await Promise.all(
    Array.from({ length: 10 }, () =>
      refusedUpgrade(`${node.url}/v1/shows/${world.show}`, [JSON_PROTOCOL, 'token.forged']),
    ),
  );
  const early = forged.filter(({ status }) => status === 503);
  t.ok(early.length > 0, `${early.length} of 10 came too early`);
  for (const { body, headers } of early) t.match([body['code'], headers['retry-after']], ['overloaded', /^[1-5]$/]);
  await until(async () => (await ask()) === 101, 'a little later there is room');
});

t.test('connections of one address', async (t) => {
  const world = await startWorld(t);
  const node = await world.addNode({ limits: { perAddressMax: 2 } });
  const ask = door(t, world, node);
  t.same([await ask(), await ask(), await ask()], [101, 101, 429]);
  const sockets: Socket[] = [];
  t.teardown(() => hangUp(sockets));
  const path = `/v1/shows/${world.show}`;
  t.equal(await knock(sockets, node, { path, localAddress: '127.0.0.2' }), 101, 'another address');
  const stranger = ['X-Forwarded-For: 203.0.113.9', 'Forwarded: for=203.0.113.9'];
  t.equal(await ask(...stranger), 429, 'nobody is believed who is no proxy of ours');
  // PROXY protocol v2: TCP over IPv4 from 203.0.113.9:1 to 127.0.0.1:2.
  const prefix = Buffer.from('0d0a0d0a000d0a515549540a2111000ccb0071097f00000100010002', 'hex');
  t.equal(await knock(sockets, node, { path, prefix }), 429, 'the PROXY protocol changes nothing either');
});

t.test('behind proxies of ours the address is the one they saw', async (t) => {
  const world = await startWorld(t);
  const node = await world.addNode({
    limits: { perAddressMax: 1 },
    trustedProxies: ['127.0.0.1', '10.0.0.0/8', '2001:db8:aaaa::/48'],
  });
  const ask = door(t, world, node);
  const via = (...lines: string[]): Promise<number> => ask(...lines.map((line) => `X-Forwarded-For: ${line}`));
  t.same([await via('203.0.113.9'), await via('203.0.113.9')], [101, 429]);
  t.equal(await via('203.0.113.10'), 101, 'each counts alone');
  t.equal(
    await via('198.51.100.1, 203.0.113.9'),
    429,
    'what the client wrote itself, left of what the proxy saw, is not believed',
  );
  t.equal(await via('198.51.100.1', '203.0.113.9'), 429, 'nor when the proxy added a line of its own');
  t.equal(await via('198.51.100.1, 203.0.113.9, 10.1.2.3'), 429, 'through two proxies');
  t.equal(await via('::ffff:203.0.113.9'), 429, 'an IPv4 address in IPv6 clothes');
  t.equal(await via('203.0.113.9:4711'), 429, 'with a port');
  t.same([await via('2001:db8:1:2::1'), await via('2001:db8:1:2:ffff::9')], [101, 429], 'a /64 is one place');
  t.equal(await via('[2001:db8:1:2::7]:4711'), 429, 'with a port');
  t.equal(await via('2001:db8:1:3::1'), 101, 'the next /64 another');
  t.same(
    [await via('198.51.100.7, 2001:db8:aaaa::1'), await via('198.51.100.7')],
    [101, 429],
    'a proxy with an IPv6 address',
  );
  t.same(
    [await via('unknown'), await via('<script>'), await via('999.1.1.1'), await ask()],
    [101, 429, 429, 429],
    'what is no address counts for the proxy',
  );
  t.throws(
    () => createGateway({ ...deps(world), options: { ...optionsOf('x'), trustedProxies: ['everybody'] } }),
    'not an address',
  );
});

const optionsOf = (node: string): GatewayOptions => ({
  host: '127.0.0.1',
  port: 0,
  exclusive: true,
  node,
  allowedOrigins: null,
});
const deps = (world: World) => ({
  store: world.store,
  log: world.store,
  tokens: { verify: () => ({ ok: false as const, error: { code: 'unauthenticated' as const, message: '' } }) },
  logger,
  metrics: createMetrics({ processMetrics: false }),
});
