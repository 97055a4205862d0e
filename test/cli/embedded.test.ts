/** `stampede serve` with an embedded Redis that is killed, damaged or cannot be started. */
// heavy: starts many processes and measures time
// slow: Redis is killed, and processes start and end
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { eventOf, unpackAll } from '../../src/redis/records.ts';
import { alive, descendants, eventually, run, serve, temporaryFolder } from './program.ts';
import { type Api, api, watch } from './viewer.ts';

t.jobs = 3;

const KEY = 'an-api-key-for-tests';
const SETTINGS = { API_KEYS: `test:${KEY}` };

/** Plans a sale of five tees. */
async function planSale(host: Api, show: string, opensInMs: number): Promise<void> {
  await host.call('PATCH', `/shows/${show}`, { brands: [{ id: 'acme', name: 'Acme' }] });
  await host.call('PUT', `/shows/${show}/products/tee`, { brand: 'acme', title: 'Tee', skus: [{ sku: 'TEE' }] });
  const skus = [{ sku: 'TEE', product: 'tee', price: 100, quantity: 5 }];
  await host.call('POST', `/shows/${show}/sales`, { id: 'drop', title: 'Drop', currency: 'EUR', opensInMs, skus });
}

/** A client of the embedded Redis, whose socket is in its folder. */
function redisOf(t: Test, dataDir: string) {
  const redis = new Redis({
    path: join(dataDir, 'redis', 'redis.sock'),
    maxRetriesPerRequest: null,
    retryStrategy: () => 20,
  });
  redis.on('error', () => {});
  t.teardown(() => redis.disconnect());
  const pid = async (): Promise<number> => Number(/process_id:(\d+)/.exec(await redis.info('server'))?.[1]);
  /** The types of the events of a show. */
  const events = async (show: string): Promise<string[]> =>
    (await redis.xrangeBuffer(`stampede:{${show}}:log`, '-', '+')).map(([, fields]) => {
      const [at, moment, type, data] = unpackAll(fields[1] as Buffer);
      return eventOf(at, moment, type, data).type;
    });
  return { pid, events };
}

const statusOf = (url: string): Promise<number> =>
  fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
    ({ status }) => status,
    () => 0,
  );

t.test(
  'its Redis is killed: gateways, control and jobs of two workers serve again, and nothing is lost (I8)',
  async (t) => {
    const dataDir = join(temporaryFolder(t), 'Läger, 100% #1?');
    const engine = await serve(t, ['--workers', '2', '--data-dir', dataDir], SETTINGS);
    const { control, gateway } = engine.ready;
    const host = api(control, KEY);
    await host.liveShow('friday');
    await planSale(host, 'friday', 0);
    const viewers = await Promise.all(
      ['ada', 'bo', 'cy', 'di'].map(async (user) => watch(t, gateway, 'friday', await host.token('friday', user))),
    );
    const [ada] = viewers as [(typeof viewers)[0]];
    for (const viewer of viewers) await viewer.type('welcome', 10_000);
    const epoch = (await ada.type('welcome')).epoch;
    const reserve = { t: 'reserve', key: 'k-1', sale: 'drop', lines: [{ sku: 'TEE', qty: 1 }] };
    const held = await ada.request(reserve, 10_000);
    t.match(held, { t: 'ok', data: { reservation: { state: 'held' } } });
    // No viewer is in this show, so only jobs open its sale.
    await host.liveShow('quiet');
    await planSale(host, 'quiet', 2_500);

    const redis = redisOf(t, dataDir);
    const first = await redis.pid();
    process.kill(first, 'SIGKILL');
    await eventually(async () => (await redis.pid()) !== first);
    const backAt = performance.now();
    const urls = [control, gateway?.replace(/^ws/, 'http')].map((url) => `${url}/readyz`);
    const isReady = async (): Promise<boolean> => (await Promise.all(urls.map(statusOf))).every((code) => code === 200);
    t.ok(await eventually(isReady), 'ready again');
    t.comment(`ready ${Math.round(performance.now() - backAt)} ms after the server replied`);

    const { body } = await host.call('GET', '/shows/friday/sales/drop');
    t.match(body, { skus: [{ sku: 'TEE', held: 1 }] }, 'the hold is there');
    t.equal((await host.call('POST', '/shows/friday/announcements', { text: 'we are back' })).status, 201);
    for (const viewer of viewers) {
      const isNewEpoch = (message: { snapshot?: unknown; epoch?: string }) =>
        message.snapshot !== undefined && message.epoch !== undefined && message.epoch !== epoch;
      const { snapshot } = await viewer.find(isNewEpoch);
      t.ok(snapshot, 'E-4: a snapshot with another epoch');
      // It may be newer than the announcement.
      if (snapshot?.announcement === undefined) await viewer.event('announcement');
      t.equal(viewer.socket.readyState, 1, 'R-7: on the same connection');
    }
    const repeated = await ada.request({ ...reserve, id: 'again' }, 10_000);
    t.match(repeated, { t: 'ok', data: { replayed: true, reservation: { id: held.data.reservation.id } } }, 'I4');
    t.ok(await eventually(async () => (await redis.events('quiet')).includes('sale.opened')), 'jobs run');
    t.equal((engine.stdout().match(/"msg":"embedded Redis restarted"/g) ?? []).length, 1, 'one log line');
    const verified = await run(['verify', '--show', 'friday', '--data-dir', dataDir]);
    t.match(verified, { code: 0, stdout: /the books are right/ });
  },
);

t.test('Ctrl-C in a terminal drains before Redis ends; verify then starts it for its own time', async (t) => {
  const dataDir = join(temporaryFolder(t), 'data');
  const engine = await serve(t, ['--data-dir', dataDir], SETTINGS);
  const host = api(engine.ready.control, KEY);
  await host.liveShow('friday');
  const viewer = watch(t, engine.ready.gateway, 'friday', await host.token('friday', 'ada'));
  await viewer.type('welcome', 10_000);
  const groupOf = (pid: number): string =>
    spawnSync('ps', ['-o', 'pgid=', '-p', String(pid)])
      .stdout.toString()
      .trim();
  const family = descendants(engine.pid);
  const inGroup = family.filter((pid) => groupOf(pid) === groupOf(engine.pid));
  t.same(inGroup, [], 'the server and its guard have other process groups');
  engine.signal('SIGINT');
  t.match(await viewer.type('bye', 10_000), { reason: 'draining' });
  t.match(await engine.finished, { code: 0, signal: null });
  t.notMatch(engine.stdout(), /embedded Redis (restarted|ended)/);
  t.ok(await eventually(() => !family.some(alive)), 'no process is left');
  const verified = await run(['verify', '--show', 'friday', '--data-dir', dataDir]);
  t.match(verified, { code: 0, stdout: /the books are right/ });
  t.notOk(existsSync(join(dataDir, 'redis', 'redis.sock')), 'its server has ended');
});

t.test('a Redis that cannot be restarted ends the engine, after a drain, with what to do', async (t) => {
  const dataDir = join(temporaryFolder(t), 'data');
  const engine = await serve(t, ['--workers', '2', '--data-dir', dataDir], SETTINGS);
  const host = api(engine.ready.control, KEY);
  await host.liveShow('friday');
  const viewer = watch(t, engine.ready.gateway, 'friday', await host.token('friday', 'ada'));
  await viewer.type('welcome', 10_000);
  const family = descendants(engine.pid);
  const folder = join(dataDir, 'redis', 'appendonlydir');
  const file = join(folder, readdirSync(folder).find((name) => name.endsWith('.incr.aof')) ?? '');
  writeFileSync(file, readFileSync(file).fill('x', 0, 20));
  process.kill(await redisOf(t, dataDir).pid(), 'SIGKILL');
  t.match(await viewer.type('bye', 20_000), { reason: 'draining' });
  const sentence =
    /stampede: The embedded Redis ended with exit code 1.* is damaged\. Copy that folder first\..*redis-check-aof/;
  t.match(await engine.finished, { code: 1, signal: null, stderr: sentence });
  t.ok(await eventually(() => !family.some(alive)), 'no process is left');
});

t.test('a DATA_DIR that cannot be used ends each command with one sentence', async (t) => {
  const sentence = /^stampede: The data folder \/proc\/\S* cannot be used: .*[Ss]et DATA_DIR to [^\n]*\n$/;
  const commands = [
    ['serve', '--gateway-port', '0', '--control-port', '0'],
    ['verify', '--show', 'friday'],
  ];
  const results = await Promise.all(commands.map((command) => run([...command, '--data-dir', '/proc/self/status'])));
  for (const result of results) t.match(result, { code: 2, stderr: sentence });
});
