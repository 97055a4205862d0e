/** `stampede serve` as one process: start, drain, restart and the processes it leaves. */
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { alive, descendants, eventually, run, SHARED_SECRETS, serve, temporaryFolder } from './program.ts';
import { api, watch } from './viewer.ts';

t.jobs = 3;

const DRAIN_MS_MAX = 15_000;
const apiKeyIn = (stderr: string): string | undefined => stderr.match(/API key {2}(\S+)$/m)?.[1];

t.test('a Redis without an append-only file, and no folder for archives, are named at the start (I11)', async (t) => {
  const redis = await startRedis({ appendonly: false });
  t.teardown(() => redis.stop());
  const DATA_DIR = join(temporaryFolder(t), 'data');
  writeFileSync(DATA_DIR, '');
  const engine = await serve(t, [], { ...SHARED_SECRETS, REDIS_URL: redis.url, DATA_DIR });
  t.match(engine.stderr(), /WARNING .*a restart of Redis loses shows and orders.*CONFIG SET appendonly yes/);
  t.match(engine.stdout(), /"level":40.*CONFIG SET appendonly yes/);
  t.match(
    engine.stdout(),
    /"level":40.*"ARCHIVE_DIR is not set, and \S+archive cannot be used: it is not a folder\. Ended shows stay/,
  );
  t.match(engine.stderr(), /^ {2}archive {2}none: \S+archive cannot be used: it is not a folder\. Ended shows stay/m);
  const host = api(engine.ready.control, 'an-api-key-for-tests');
  await host.liveShow('friday');
  await host.call('POST', '/shows/friday/end');
  t.match(await host.call('POST', '/shows/friday/archive'), { status: 503, body: { code: 'archive_failed' } });
  t.match(await host.call('GET', '/shows/friday'), { body: { state: 'ended' } }, 'it stays in Redis');
  rmSync(DATA_DIR);
  t.match(await host.call('POST', '/shows/friday/archive'), { status: 200 }, 'until the folder can be made');
  t.same(readdirSync(join(DATA_DIR, 'archive')).sort(), ['.stampede-archive', 'friday']);
});

t.test('an engine keeps shows and secrets over a drain and a kill -9 (I8)', async (t) => {
  const dataDir = join(temporaryFolder(t), 'deep', 'data');
  const first = await serve(t, ['--data-dir', dataDir]);
  const key = apiKeyIn(first.stderr()) ?? '';
  t.match(first.stderr(), `\n  archive  ${join(dataDir, 'archive')} (ARCHIVE_DIR is not set)\n`);
  t.match(key, /^[\w-]{16,}$/, 'the first start prints the API key');
  t.notMatch(first.stdout(), new RegExp(key), 'no log line contains it');
  t.match(JSON.parse(readFileSync(join(dataDir, 'secrets.json'), 'utf8')), { apiKeys: { host: key } });
  const host = api(first.ready.control, key);
  await host.liveShow('friday');
  const viewer = watch(t, first.ready.gateway, 'friday', await host.token('friday', 'ada'));
  await viewer.type('welcome', 10_000);
  const family = descendants(first.pid);
  t.ok(family.length > 0, 'the embedded Redis is a child');

  const signaledAt = performance.now();
  first.signal('SIGTERM');
  t.match(await viewer.type('bye', 10_000), { code: 4000, reason: 'draining' });
  t.equal((await viewer.closed).code, 4000);
  t.match(await first.finished, { code: 0, signal: null });
  t.ok(performance.now() - signaledAt < DRAIN_MS_MAX, 'the drain is bounded');
  const gone = eventually(() => !family.some(alive));
  const [second, isGone] = await Promise.all([serve(t, ['--data-dir', dataDir]), gone]);
  t.ok(isGone, 'no process is left after a drain');
  t.equal(apiKeyIn(second.stderr()), undefined, 'the key is printed once');
  const show = { status: 200, body: { id: 'friday', state: 'live' } };
  t.match(await api(second.ready.control, key).call('GET', '/shows/friday'), show);
  const [verified, rival] = await Promise.all([
    run(['verify', '--show', 'friday', '--json', '--data-dir', dataDir]),
    run(['serve', '--data-dir', dataDir, '--gateway-port', '0', '--control-port', '0']),
  ]);
  t.equal(verified.code, 0, verified.stderr);
  t.match(
    JSON.parse(verified.stdout),
    { show: 'friday', violations: { length: 0 } },
    'verify uses the Redis of the engine',
  );
  t.match(
    rival,
    { code: 1, stderr: /data folder .* is in use by another engine \(node .*pid \d+ on .*since/ },
    'a second engine on the same data is refused',
  );
  await api(second.ready.control, key).liveShow('late');
  const secondFamily = descendants(second.pid);
  second.signal('SIGKILL');
  t.ok(await eventually(() => !secondFamily.some(alive)), 'no process is left after kill -9');

  const third = await serve(t, ['--data-dir', dataDir, '--archive-dir', join(dataDir, 'shows')]);
  t.match(third.stderr(), `\n  archive  ${join(dataDir, 'shows')}\n`);
  for (const id of ['friday', 'late'])
    t.match(await api(third.ready.control, key).call('GET', `/shows/${id}`), { ...show, body: { id, state: 'live' } });
});

t.test('a second signal ends the engine immediately', async (t) => {
  const running = await serve(t, ['--data-dir', join(temporaryFolder(t), 'data')]);
  const family = descendants(running.pid);
  running.signal('SIGTERM');
  running.signal('SIGINT');
  const { code, signal } = await running.finished;
  t.ok(signal === null && (code === 0 || code === 130 || code === 143), `exit code ${code}`);
  t.ok(await eventually(() => !family.some(alive)), 'no process is left');
});

t.test('a used port is an error that names the variable, and no process is left', async (t) => {
  const port = await usedPort(t);
  await Promise.all(
    ['gateway', 'control'].map(async (name) => {
      const other = name === 'gateway' ? 'control' : 'gateway';
      const dataDir = join(temporaryFolder(t), 'data');
      const ports = [`--${name}-port`, String(port), `--${other}-port`, '0'];
      const variable = `${name.toUpperCase()}_PORT`;
      const stderr = new RegExp(`port ${port} on 127\\.0\\.0\\.1 is in use\\. .*choose another ${variable}`);
      t.match(await run(['serve', '--data-dir', dataDir, ...ports]), { code: 1, stderr });
      t.throws(() => readFileSync(join(dataDir, 'redis', 'engine.json')), { code: 'ENOENT' }, 'Redis has stopped');
    }),
  );
});

async function usedPort(t: Test): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
