// heavy: starts many processes and measures time
/** `serve --workers N`: supervised gateway processes on one port. */
import t, { type Test } from 'tap';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { alive, descendants, eventually, run, SHARED_SECRETS, serve, temporaryFolder } from './program.ts';
import { api, watch } from './viewer.ts';

t.jobs = 2;

const KEY = SHARED_SECRETS.API_KEYS.slice('test:'.length);
const PORT_IN_USE = { code: 1, stderr: /is in use\. Stop that program or choose another GATEWAY_PORT/ };

async function sharedRedis(t: Test): Promise<Record<string, string>> {
  const redis = await startRedis();
  t.teardown(redis.stop);
  return { ...SHARED_SECRETS, REDIS_URL: redis.url };
}

t.test('two workers share the port and a show; a dead one is replaced; a drain ends all', async (t) => {
  const running = await serve(t, ['--workers', '2'], await sharedRedis(t));
  const host = api(running.ready.control, KEY);
  await host.liveShow('friday');
  const join = async (n: number) => {
    const viewer = watch(t, running.ready.gateway, 'friday', await host.token('friday', `u-${n}`));
    const { node } = await viewer.type('welcome', 10_000);
    return { node, closed: viewer.closed };
  };
  const joined = await Promise.all(Array.from({ length: 24 }, (_, n) => join(n)));
  t.equal(new Set(joined.map(({ node }) => node)).size, 2, 'both workers serve');

  const [victim = 0, ...others] = descendants(running.pid);
  t.equal(others.length, 1);
  process.kill(victim, 'SIGKILL');
  const isReplaced = (): boolean => {
    const workers = descendants(running.pid);
    return workers.length === 2 && !workers.includes(victim);
  };
  t.ok(await eventually(isReplaced), 'a dead worker is replaced');
  t.ok(await eventually(() => running.stdout().includes('gateway worker ended')), 'the end is logged');

  const family = descendants(running.pid);
  running.signal('SIGTERM');
  t.match(await running.finished, { code: 0, signal: null });
  const codes = new Set((await Promise.all(joined.map(({ closed }) => closed))).map(({ code }) => code));
  t.same(codes, new Set([1006, 4000]), 'viewers of the live worker may reconnect, the others lost the connection');
  t.notOk(family.some(alive), 'no process is left');
});

t.test('workers and the embedded Redis end when their supervisor is killed (I8)', async (t) => {
  const running = await serve(t, ['--workers', '2', '--data-dir', `${temporaryFolder(t)}/data`]);
  const family = descendants(running.pid);
  t.ok(family.length >= 3, 'two workers and a Redis');
  running.signal('SIGKILL');
  await running.finished;
  t.ok(await eventually(() => !family.some(alive), 15_000), 'no process is left');
});

t.test('a worker whose supervisor died before it could notice ends (I8)', async (t) => {
  const gatewayPort = String(await freePort());
  const env = { ...(await sharedRedis(t)), STAMPEDE_WORKER: '1', ROLES: 'gateway', GATEWAY_PORT: gatewayPort };
  t.match(await run(['serve'], env), { code: 0, stdout: /supervisor died/ });
});

t.test('a port that workers share is in use for others; Ctrl-C of the whole group drains', async (t) => {
  const env = await sharedRedis(t);
  const running = await serve(t, ['--workers', '2', '--roles', 'gateway'], env);
  const rival = ['serve', '--roles', 'gateway', '--gateway-port', String(running.ready.gatewayPort)];
  const refused = await Promise.all([run(rival, env), run([...rival, '--workers', '2'], env)]);
  t.match(refused, [PORT_IN_USE, PORT_IN_USE]);

  const workers = descendants(running.pid);
  for (const worker of workers) process.kill(worker, 'SIGINT');
  t.ok(workers.every(alive), 'workers ignore SIGINT');
  running.signal('SIGINT');
  t.match(await running.finished, { code: 0, signal: null });
  t.notOk(workers.some(alive), 'the supervisor drains them');
});

t.test('control, gateway and jobs in three processes share one Redis', async (t) => {
  const env = { ...(await sharedRedis(t)), KEY_PREFIX: 'apart:' };
  const [control, gateway, jobs] = await Promise.all([
    serve(t, ['--roles', 'control'], env),
    serve(t, ['--roles', 'gateway'], env),
    serve(t, ['--roles', 'jobs'], env),
  ]);
  t.match(control.ready, { gateway: null, control: /^http:/ });
  t.match(gateway.ready, { gateway: /^ws:/, control: null });
  t.match(jobs.ready, { gateway: null, control: null });
  const host = api(control.ready.control, KEY);
  await host.liveShow('friday');
  await host.call('PATCH', '/shows/friday', { brands: [{ id: 'acme', name: 'Acme' }] });
  await host.call('PUT', '/shows/friday/products/tee', { brand: 'acme', title: 'Tee', skus: [{ sku: 'TEE' }] });
  const viewer = watch(t, gateway.ready.gateway, 'friday', await host.token('friday', 'ada'));
  await viewer.type('welcome', 10_000);
  const skus = [{ sku: 'TEE', product: 'tee', price: 100, quantity: 1 }];
  const sale = { id: 'drop', title: 'Drop', currency: 'EUR', opensInMs: 300, durationMs: 60_000, skus };
  const planned = await host.call('POST', '/shows/friday/sales', sale);
  t.equal(planned.status, 201, JSON.stringify(planned.body));
  await viewer.event('sale.opened');
  const reserve = { t: 'reserve', key: 'k-1', sale: 'drop', lines: [{ sku: 'TEE', qty: 1 }] };
  t.match(await viewer.request(reserve, 10_000), { t: 'ok', data: { reservation: { state: 'held' } } });
  for (const { signal } of [control, gateway, jobs]) signal('SIGTERM');
  for (const { finished } of [control, gateway, jobs]) t.match(await finished, { code: 0, signal: null });
});
