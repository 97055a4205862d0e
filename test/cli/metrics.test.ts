/** METRICS_PORT: who may scrape it, and what it covers of a supervisor and its workers. */
import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import type { ReadyReport } from '../../src/telemetry/readiness.ts';
import { descendants, eventually, SHARED_SECRETS, serve } from './program.ts';
import { api, watch } from './viewer.ts';

const KEY = SHARED_SECRETS.API_KEYS.slice('test:'.length);
const TOKEN = 'a-token-of-the-scraper';
const VIEWERS = 12;

t.test('one scrape covers a supervisor and its workers; strangers get none', async (t) => {
  const redis = await startRedis();
  t.teardown(redis.stop);
  const env = { ...SHARED_SECRETS, REDIS_URL: redis.url, NODE_NAME: 'm', METRICS_TOKEN: TOKEN };
  const running = await serve(t, ['--workers', '2', '--metrics-port', '0'], env);
  const { gateway, gatewayPort, control, metricsPort } = running.ready;
  const host = api(control, KEY);
  await host.liveShow('friday');
  const viewers = await Promise.all(
    Array.from({ length: VIEWERS }, async (_, n) => watch(t, gateway, 'friday', await host.token('friday', `u-${n}`))),
  );
  for (const viewer of viewers) await viewer.type('welcome', 20_000);

  const get = (url: string, token?: string) =>
    fetch(url, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
  const base = `http://127.0.0.1:${metricsPort}`;
  t.equal((await get(`http://127.0.0.1:${gatewayPort}/metrics`, TOKEN)).status, 404, 'not on the public port');
  for (const url of [`${base}/metrics`, `${control}/metrics`])
    for (const [token, status] of [
      [undefined, 401],
      ['another-token-of-some', 401],
      [TOKEN, 200],
    ] as const)
      t.equal((await get(url, token)).status, status, `${url} ${token}`);
  t.equal((await get(`${control}/metrics`, KEY)).status, 200, 'an API key');
  t.equal((await get(`${base}/metrics`, KEY)).status, 401, 'METRICS_PORT takes METRICS_TOKEN only');
  t.equal((await get(`${base}/healthz`)).status, 200);
  t.equal((await get(`${base}/nothing`)).status, 404);

  const scrape = async (): Promise<string> => (await get(`${base}/metrics`, TOKEN)).text();
  const sample = (text: string, metric: string): number | null => {
    const line = text.split('\n').find((each) => each.startsWith(`${metric} `));
    return line === undefined ? null : Number(line.split(' ').at(-1));
  };
  const whole = await scrape();
  const connections = [1, 2].map((n) => sample(whole, `stampede_connections{node="m-${n}"}`) ?? 0);
  t.equal((connections[0] as number) + (connections[1] as number), VIEWERS, String(connections));
  for (const node of ['m', 'm-1', 'm-2']) {
    t.ok(sample(whole, `process_resident_memory_bytes{node="${node}"}`), `the process of ${node}`);
    t.equal(sample(whole, `stampede_redis_state{state="ok",node="${node}"}`), 1);
    t.equal(sample(whole, `stampede_ready{node="${node}"}`), 1);
  }
  const types = whole.split('\n').filter((line) => line.startsWith('# TYPE'));
  t.equal(new Set(types).size, types.length, 'each metric is one group');

  const readyz = async () => {
    const response = await get(`${base}/readyz`);
    return { httpStatus: response.status, ...((await response.json()) as ReadyReport) };
  };
  const workers = (...states: string[]) => states.map((state, i) => ({ worker: i + 1, state }));
  t.match(await readyz(), { httpStatus: 200, status: 'ready', workers: workers('ready', 'ready') });
  const [first = 0] = descendants(running.pid);
  process.kill(first, 'SIGSTOP');
  const startedAt = performance.now();
  const partial = await scrape();
  t.ok(performance.now() - startedAt < 5_000, 'a worker that does not reply delays a scrape by a second');
  process.kill(first, 'SIGCONT');
  t.notMatch(partial, 'node="m-1"');
  t.match(partial, 'node="m-2"');
  t.equal(sample(partial, 'stampede_worker_up{worker="1",node="m"}'), 0);
  t.equal(sample(partial, 'stampede_worker_up{worker="2",node="m"}'), 1);
  t.equal(sample(partial, 'stampede_worker_scrapes_missed_total{worker="1",node="m"}'), 1);

  process.kill(first, 'SIGKILL');
  t.ok(await eventually(async () => (await readyz()).status === 'degraded'), 'readiness names the dead worker');
  t.match(await readyz(), { httpStatus: 200, ready: true, message: /1 \(restarting\)/ });
  t.ok(await eventually(async () => (await readyz()).status === 'ready', 30_000), 'ready again');
  t.equal(sample(await scrape(), 'stampede_worker_restarts_total{worker="1",node="m"}'), 1);

  running.signal('SIGTERM');
  t.ok(await eventually(async () => (await readyz()).status === 'draining'), 'readiness reports the drain');
  const { code, stdout, stderr } = await running.finished;
  t.equal(code, 0, `${stderr}\n${stdout}`);
});
