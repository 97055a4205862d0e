/** `serve --workers N`: gateway processes on one port, supervised, gone when they should be. */
import t, { type Test } from 'tap';
import { startRedis } from '../support/redis.ts';
import { alive, descendants, eventually, run, SHARED_SECRETS, serve, temporaryFolder } from './program.ts';
import { api, watch } from './viewer.ts';

t.jobs = 2;

async function shared(t: Test): Promise<Record<string, string>> {
  const redis = await startRedis();
  t.teardown(redis.stop);
  return { ...SHARED_SECRETS, REDIS_URL: redis.url };
}
const KEY = SHARED_SECRETS.API_KEYS.slice('test:'.length);

t.test('two processes share the port and one show; a dead one comes back; all leave in order', async (t) => {
  const running = await serve(t, ['--workers', '2'], await shared(t));
  const hosts = api(running.ready.control, KEY);
  await hosts.liveShow('friday');

  const join = async (at: number): Promise<{ node: string; closed: Promise<number> }> => {
    const viewer = watch(t, running.ready.gateway, 'friday', await hosts.token('friday', `u-${at}`));
    const { node } = await viewer.next((message) => message.t === 'welcome');
    return { node: String(node), closed: viewer.closed };
  };
  const joined = await Promise.all(Array.from({ length: 24 }, (_, at) => join(at)));
  t.equal(new Set(joined.map(({ node }) => node)).size, 2, 'both serve');

  const workers = descendants(running.pid);
  t.equal(workers.length, 2);
  const [victim = 0] = workers;
  process.kill(victim, 'SIGKILL');
  t.ok(
    await eventually(() => descendants(running.pid).length === 2 && !descendants(running.pid).includes(victim)),
    'a dead worker is replaced',
  );
  t.ok(await eventually(() => running.stdout().includes('gateway worker ended')), 'and the log says so');

  const family = descendants(running.pid);
  running.signal('SIGTERM');
  t.match(await running.finished, { code: 0, signal: null });
  const codes = await Promise.all(joined.map(({ closed }) => closed));
  t.ok(
    codes.every((code) => code === 4000 || code === 1006),
    'viewers of the living were told to come back, those of the dead saw the line break',
  );
  t.ok(codes.includes(4000));
  t.notOk(family.some(alive), 'no process is left');
});

t.test('workers end when their supervisor is killed, and take the embedded Redis along', async (t) => {
  const running = await serve(t, ['--workers', '2', '--data-dir', `${temporaryFolder(t)}/data`]);
  const family = descendants(running.pid);
  t.ok(family.length >= 3, 'two workers and a Redis');
  running.signal('SIGKILL');
  await running.finished;
  t.ok(await eventually(() => !family.some(alive), 15_000), 'no process is left');
});

t.test('Ctrl-C in a terminal reaches the whole group; the workers leave the answer to the supervisor', async (t) => {
  const running = await serve(t, ['--workers', '2', '--roles', 'gateway'], await shared(t));
  const workers = descendants(running.pid);
  for (const worker of workers) process.kill(worker, 'SIGINT');
  t.ok(workers.every(alive));
  running.signal('SIGINT');
  t.match(await running.finished, { code: 0, signal: null });
  t.notOk(workers.some(alive));
});

t.test('a port that other gateways share is taken, too', async (t) => {
  const environment = await shared(t);
  const running = await serve(t, ['--workers', '2', '--roles', 'gateway'], environment);
  const rival = await run(
    ['serve', '--workers', '2', '--roles', 'gateway', '--gateway-port', String(running.ready.gatewayPort)],
    environment,
  );
  t.match(rival, { code: 1, stderr: /is in use\. Stop that program or choose another GATEWAY_PORT/ });
  const alone = await run(
    ['serve', '--roles', 'gateway', '--gateway-port', String(running.ready.gatewayPort)],
    environment,
  );
  t.match(alone, { code: 1, stderr: /is in use\. Stop that program or choose another GATEWAY_PORT/ });
});

t.test('roles apart meet in Redis: planned here, opened there, seen by the viewer of a third', async (t) => {
  const environment = { ...(await shared(t)), KEY_PREFIX: 'apart:' };
  const [doors, gateway, clock] = await Promise.all([
    serve(t, ['--roles', 'control'], environment),
    serve(t, ['--roles', 'gateway'], environment),
    serve(t, ['--roles', 'jobs'], environment),
  ]);
  t.match(doors.ready, { gateway: null, control: /^http:/ });
  t.match(gateway.ready, { gateway: /^ws:/, control: null });
  t.match(clock.ready, { gateway: null, control: null });
  const hosts = api(doors.ready.control, KEY);
  await hosts.liveShow('friday');
  const sku = { sku: 'TEE', product: 'tee', price: 100, quantity: 1 };
  await hosts.call('PATCH', '/shows/friday', { brands: [{ id: 'acme', name: 'Acme' }] });
  await hosts.call('PUT', '/shows/friday/products/tee', { brand: 'acme', title: 'Tee', skus: [{ sku: 'TEE' }] });
  const viewer = watch(t, gateway.ready.gateway, 'friday', await hosts.token('friday', 'ada'));
  await viewer.next((message) => message.t === 'welcome');
  const planned = await hosts.call('POST', '/shows/friday/sales', {
    id: 'drop',
    title: 'Drop',
    currency: 'EUR',
    opensInMs: 300,
    durationMs: 60_000,
    skus: [sku],
  });
  t.equal(planned.status, 201, JSON.stringify(planned.body));
  t.ok(
    await viewer.next((message) =>
      ((message.events ?? []) as { type: string }[]).some(({ type }) => type === 'sale.opened'),
    ),
    'opened on the dot',
  );
  viewer.send({ t: 'reserve', id: 1, key: 'k-1', sale: 'drop', lines: [{ sku: 'TEE', qty: 1 }] });
  t.match(await viewer.next((message) => message.t === 'ok' && message.id === 1), {
    data: { reservation: { state: 'held' } },
  });
  for (const { signal, finished } of [doors, gateway, clock]) {
    signal('SIGTERM');
    t.match(await finished, { code: 0, signal: null });
  }
});
