/** /readyz of a gateway while Redis is away, refuses it, or the node stops. */
import t, { type Test } from 'tap';
import { createReadiness, type ReadyReport } from '../../src/telemetry/readiness.ts';
import { type Node, startWorld, until } from './harness.ts';

t.jobs = 2;

async function readyz({ port }: Node): Promise<{ httpStatus: number; retryAfter: string | null } & ReadyReport> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`);
  const report = (await response.json()) as ReadyReport;
  return { httpStatus: response.status, retryAfter: response.headers.get('retry-after'), ...report };
}

const isReady = (node: Node) => async (): Promise<boolean> => (await readyz(node)).status === 'ready';

t.test('R-7: while Redis does not reply, a gateway stays ready for a while, degraded and with the cause', async (t) => {
  const { node, store, redis } = await startWorld(t);
  const shared = { health: store, node: 'n1', isDraining: () => false };
  const impatient = createReadiness({ ...shared, servesViewers: true, graceMs: 300 });
  const withoutViewers = createReadiness({ ...shared, servesViewers: false });
  t.match(await withoutViewers.probe(), { status: 'ready', redis: { roundTripMs: Number } });
  const restarted = redis.crashAndRestart({ downMs: 2_000 });
  await until(async () => (await readyz(node)).status === 'degraded', 'the gateway detects it');
  t.match(await readyz(node), {
    ...{ httpStatus: 200, ready: true, draining: false, code: 'redis_unavailable', message: String },
    redis: { state: String, reason: /./, remedy: /./, server: /^Redis / },
  });
  t.match(withoutViewers.report(), { status: 'unavailable', ready: false });
  t.match(await withoutViewers.probe(), { status: 'unavailable', ready: false });
  await until(() => impatient.report().status === 'unavailable', 'the grace ends');
  await restarted;
  await until(isReady(node), 'ready again', 10_000);
  t.match(impatient.report(), { status: 'ready' });
});

/** Checks that a gateway with a writing viewer is not ready after `change`, until `undo`. */
async function checkRefusal(t: Test, state: string, change: string[][], undo: string[][]): Promise<void> {
  const world = await startWorld(t);
  const ann = await world.join({ user: 'ann' });
  const admin = world.redis.client();
  for (const command of change) await admin.call(...(command as [string]));
  const isRefused = async (): Promise<boolean> => {
    await ann.say('hello').catch(() => {});
    return (await readyz(world.node)).httpStatus === 503;
  };
  await until(isRefused, 'the gateway is not ready', 10_000);
  const { httpStatus, retryAfter, ...report } = await readyz(world.node);
  t.match({ httpStatus, retryAfter }, { httpStatus: 503, retryAfter: '1' });
  t.match(report, { status: 'unavailable', ready: false, redis: { state, reason: /./, remedy: /./ } });
  for (const command of undo) await admin.call(...(command as [string]));
  await until(isReady(world.node), 'ready again', 15_000);
}

t.test('a gateway is not ready at once when Redis becomes a replica', (t) =>
  checkRefusal(t, 'replica', [['REPLICAOF', '127.0.0.1', '1']], [['REPLICAOF', 'NO', 'ONE']]),
);

t.test('a gateway is not ready at once when Redis refuses its password', (t) => {
  const dropped = ['normal', 'pubsub'].map((type) => ['CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes']);
  const change = [['ACL', 'SETUSER', 'default', 'resetpass', '>another-password'], ...dropped];
  return checkRefusal(t, 'wrong_password', change, [['ACL', 'SETUSER', 'default', 'nopass']]);
});

t.test('a gateway that could never use Redis is not ready; one that stops reports it', async (t) => {
  const world = await startWorld(t);
  const lonely = await world.addNode({ node: 'lonely' }, 'unix:///nowhere/redis.sock');
  t.match(await readyz(lonely), { httpStatus: 503, status: 'unavailable', redis: { state: 'socket_missing' } });
  const drained = world.node.gateway.drain();
  const message = 'This process is stopping.';
  t.match(await readyz(world.node), { httpStatus: 503, status: 'draining', draining: true, code: 'draining', message });
  await drained;
});

t.test('a full Redis takes no process from its load balancer: viewers watch, new holds get redis_full', async (t) => {
  const world = await startWorld(t);
  const sale = await world.openSale();
  const ann = await world.join({ user: 'ann' });
  await world.redis.client().call('CONFIG', 'SET', 'maxmemory', '1');
  const refused = async () => (await ann.reserve(sale, `k${Math.random()}`)).code === 'redis_full';
  await until(refused, 'a reserve is refused', 10_000);
  await until(async () => (await readyz(world.node)).status === 'degraded', 'the gateway detects it');
  const redis = { state: 'full', remedy: /maxmemory/ };
  const degraded = { ready: true, status: 'degraded', code: 'redis_full', redis };
  t.match(await readyz(world.node), { httpStatus: 200, ...degraded });
  const shared = { health: world.node.store, node: 'n1', isDraining: () => false, graceMs: 0 };
  t.match(await createReadiness({ ...shared, servesViewers: false }).probe(), degraded, 'nor the control API');
  const guest = await world.join({ token: null });
  t.equal(guest.received[0]?.t, 'welcome', 'a new viewer is served');
});

t.test('/readyz says when Redis is full, or why that is not known; numbers are rounded', async (t) => {
  const { store } = await startWorld(t);
  const reportOf = (maxBytes: number, fullInMs: number | null, isMeasured = true) => {
    const memory = { usedBytes: 5, maxBytes, fullInMs, isMeasured };
    const health = { ...store, memory: () => memory, nowErrorMs: () => 0.123456 };
    return createReadiness({ health, node: 'n1', isDraining: () => false, servesViewers: true }).report().redis;
  };
  const hour = 3_600_000;
  for (const [maxBytes, fullInMs, memory] of [
    [0, null, { usedBytes: 5, forecast: 'Redis has no limit (maxmemory is 0).' }],
    [9, null, { maxBytes: 9, forecast: 'Redis did not grow in the last week, or since it was measured first.' }],
    [
      9,
      0.6 * hour,
      { fullInSeconds: 2_160, forecast: 'At the growth of the last week Redis is full in about 1 hour.' },
    ],
    [9, 9.2 * 24 * hour, { fullInSeconds: 794_880, forecast: /full in about 9 days\.$/ }],
  ] as const)
    t.match(reportOf(maxBytes, fullInMs).memory, memory);
  const early = 'Redis was measured for less than an hour: there is no forecast yet.';
  t.equal(reportOf(9, null, false).memory?.forecast, early);
  t.strictSame(Object.keys(reportOf(0, null).memory ?? {}), ['usedBytes', 'forecast']);
  t.equal(reportOf(0, null).clockErrorMs, 0.2, 'a bound is rounded up');
  t.notOk('roundTripMs' in reportOf(0, null));
});
