/**
 * `stampede serve` as one process: starts from nothing, drains on SIGTERM, leaves nothing behind,
 * finds its data again.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { alive, descendants, eventually, run, SHARED_SECRETS, serve, temporaryFolder } from './program.ts';
import { api, watch } from './viewer.ts';

t.jobs = 3;

const DRAIN_MS_MAX = 15_000;
const apiKeyIn = (stderr: string): string | undefined => stderr.match(/API key {2}(\S+)/)?.[1];

t.test('from nothing to a show, through a drain, and back with the same data and secrets', async (t) => {
  const dataDir = join(temporaryFolder(t), 'deep', 'data');
  const first = await serve(t, ['--data-dir', dataDir]);
  const key = apiKeyIn(first.stderr()) ?? '';
  t.match(key, /^[\w-]{16,}$/, 'the API key is printed at the first start');
  t.notMatch(first.stdout(), new RegExp(key), 'and stands in no log line');
  t.equal(
    (JSON.parse(readFileSync(join(dataDir, 'secrets.json'), 'utf8')) as { apiKeys: Record<string, string> }).apiKeys
      .host,
    key,
  );

  const hosts = api(first.ready.control, key);
  await hosts.liveShow('friday');
  const viewer = watch(t, first.ready.gateway, 'friday', await hosts.token('friday', 'ada'));
  await viewer.next(({ t }) => t === 'welcome');
  const family = descendants(first.pid);
  t.ok(family.length > 0, 'the embedded Redis is a child');

  const asked = performance.now();
  first.signal('SIGTERM');
  t.match(await viewer.next(({ t }) => t === 'bye'), { code: 4000, reason: 'draining' });
  t.equal(await viewer.closed, 4000);
  t.match(await first.finished, { code: 0, signal: null });
  t.ok(performance.now() - asked < DRAIN_MS_MAX, 'within the bound');
  t.ok(await eventually(() => !family.some(alive)), 'no process is left');

  const second = await serve(t, ['--data-dir', dataDir]);
  t.equal(apiKeyIn(second.stderr()), undefined, 'the key is told once');
  t.match(await api(second.ready.control, key).call('GET', '/shows/friday'), {
    status: 200,
    body: { id: 'friday', state: 'live' },
  });

  const verified = await run(['verify', '--show', 'friday', '--json', '--data-dir', dataDir]);
  t.equal(verified.code, 0, verified.stderr);
  t.match(
    JSON.parse(verified.stdout),
    { show: 'friday', violations: [] },
    'verify asks the Redis of the running engine',
  );

  const rival = await run(['serve', '--data-dir', dataDir, '--gateway-port', '0', '--control-port', '0']);
  t.match(rival, { code: 1, stderr: /in use by process/ }, 'a second engine on the same data is refused');
  t.match(await api(second.ready.control, key).call('GET', '/shows/friday'), { status: 200 }, 'and the first lives on');
});

t.test('kill -9 takes the embedded Redis along, and the next start finds every decision', async (t) => {
  const dataDir = join(temporaryFolder(t), 'data');
  const first = await serve(t, ['--data-dir', dataDir]);
  const key = apiKeyIn(first.stderr()) ?? '';
  await api(first.ready.control, key).liveShow('late');
  const family = descendants(first.pid);
  first.signal('SIGKILL');
  t.ok(await eventually(() => !family.some(alive)), 'no process is left');
  t.ok(existsSync(join(dataDir, 'redis')));
  const second = await serve(t, ['--data-dir', dataDir]);
  t.match(await api(second.ready.control, key).call('GET', '/shows/late'), { status: 200, body: { state: 'live' } });
});

t.test('a second signal ends it at once', async (t) => {
  const running = await serve(t, ['--data-dir', join(temporaryFolder(t), 'data')]);
  const family = descendants(running.pid);
  running.signal('SIGTERM');
  running.signal('SIGINT');
  const { code, signal } = await running.finished;
  t.ok(signal === null && (code === 0 || code === 130 || code === 143), `ended with ${code}`);
  t.ok(await eventually(() => !family.some(alive)), 'no process is left');
});

t.test('a taken port is an error that names the variable, and nothing stays behind', async (t) => {
  const port = await takenPort(t);
  const dataDir = join(temporaryFolder(t), 'data');
  for (const [variable, flags] of [
    ['GATEWAY_PORT', ['--gateway-port', String(port), '--control-port', '0']],
    ['CONTROL_PORT', ['--control-port', String(port), '--gateway-port', '0']],
    ['GATEWAY_PORT', ['--gateway-port', String(port), '--control-port', '0', '--workers', '2']],
  ] as const) {
    const refused = await run(['serve', '--data-dir', dataDir, ...flags]);
    t.equal(refused.code, 1);
    t.match(refused.stderr, new RegExp(`port ${port} on 127\\.0\\.0\\.1 is in use\\. .*choose another ${variable}`));
    t.notOk(existsSync(join(dataDir, 'redis', 'lease.json')), 'its Redis is gone');
  }
  const stranger = await run([
    'serve',
    '--data-dir',
    dataDir,
    '--host',
    '192.0.2.1',
    '--gateway-port',
    '0',
    '--control-port',
    '0',
  ]);
  t.match(stranger, { code: 1, stderr: /192\.0\.2\.1 is not an address of this machine\. Choose another HOST/ });
});

t.test('Redis away at start: it serves, says so, and one that must not be used is refused', async (t) => {
  const away = await serve(t, ['--roles', 'control'], {
    ...SHARED_SECRETS,
    REDIS_URL: `unix://${temporaryFolder(t)}/absent.sock`,
  });
  const ready = await fetch(`${away.ready.control}/readyz`);
  t.equal(ready.status, 503);
  t.match(await ready.json(), { code: 'redis_unavailable' });
  t.equal((await fetch(`${away.ready.control}/healthz`)).status, 200);
  away.signal('SIGTERM');
  t.match(await away.finished, { code: 0 });
});

async function takenPort(t: Test): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0 }, resolve));
  t.teardown(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
