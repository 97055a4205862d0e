import t from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { eventually, SHARED_SECRETS, serve } from './program.ts';
import { api, watch } from './viewer.ts';

t.test('two processes of one NODE_NAME count their viewers together, and both warn', async (t) => {
  const redis = await startRedis();
  t.teardown(redis.stop);
  const env = { ...SHARED_SECRETS, REDIS_URL: redis.url, NODE_NAME: 'twin' };
  const [first, second] = await Promise.all([
    serve(t, ['--roles', 'gateway,control'], env),
    serve(t, ['--roles', 'gateway', '--metrics-port', '0'], env),
  ]);
  const host = api(first.ready.control, 'an-api-key-for-tests');
  await host.liveShow('friday');
  const join = async (gateway: string | null, user: string) =>
    watch(t, gateway, 'friday', await host.token('friday', user));
  const viewer = await join(first.ready.gateway, 'ann');
  t.equal((await viewer.type('welcome', 10_000)).node, 'twin');
  for (const user of ['ben', 'cem']) await join(second.ready.gateway, user);
  await viewer.find(({ state }) => state?.viewers === 3);
  t.pass('3 viewers');

  const warning = /"level":40,.*"node":"twin",.*another running process has this NODE_NAME/;
  // Starts to read the memory of Redis.
  await fetch(`http://127.0.0.1:${second.ready.metricsPort}/metrics`);
  const haveWarned = await eventually(() => [first, second].every(({ stdout }) => warning.test(stdout())), 25_000);
  t.ok(haveWarned, first.stdout());
  const metrics = await (await fetch(`http://127.0.0.1:${second.ready.metricsPort}/metrics`)).text();
  t.match(metrics, 'stampede_node_name_shared{node="twin"} 1');
  t.match(metrics, /^stampede_redis_memory_used_bytes\{node="twin"\} [1-9]/m, 'read at an earlier scrape');
});
