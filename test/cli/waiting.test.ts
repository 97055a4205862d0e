/** `stampede serve` while Redis cannot be used: it names the reason and is not ready before. */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Program } from '../../bench/launch/engine-process.ts';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { programArguments } from '../support/root.ts';
import { environmentWith, eventually, SHARED_SECRETS } from './program.ts';

t.jobs = 2;
const PASSWORD = 'a-password-of-the-test';

/** Starts `stampede serve` with a user that does not exist. Resolves when its ports are open. */
async function serveWaiting(t: Test, args: readonly string[] = []) {
  const redisPort = await freePort();
  const redis = await startRedis({ args: ['--port', String(redisPort)] });
  const [gatewayPort, controlPort] = [await freePort(), await freePort()];
  const ports = ['--gateway-port', String(gatewayPort), '--control-port', String(controlPort)];
  const env = { ...SHARED_SECRETS, LOG_LEVEL: 'info', REDIS_URL: `redis://app:${PASSWORD}@127.0.0.1:${redisPort}` };
  const command = [...programArguments('src/cli/main'), 'serve', ...ports, ...args];
  const program = new Program({ name: 'stampede', command, env: environmentWith(env) });
  t.teardown(async () => {
    program.child.kill('SIGKILL');
    await program.finished;
    await redis.stop();
  });
  const readyz = (port: number) =>
    fetch(`http://127.0.0.1:${port}/readyz`).then(
      async (response) => ({ status: response.status, text: await response.text() }),
      () => null,
    );
  const isWaiting = async (): Promise<boolean> => /WRONGPASS/.test((await readyz(controlPort))?.text ?? '');
  t.ok(await eventually(isWaiting, 60_000), program.log);
  return { redis, program, gatewayPort, controlPort, readyz };
}

const allow = (redis: Awaited<ReturnType<typeof startRedis>>, ...rules: string[]) =>
  redis.admin.call('ACL', 'SETUSER', 'app', 'on', `>${PASSWORD}`, ...rules);

t.test('serve opens its ports, names the reason, and is ready when Redis is (I11)', async (t) => {
  const { redis, program, gatewayPort, controlPort, readyz } = await serveWaiting(t);
  t.match(await readyz(gatewayPort), { status: 503, text: /"wrong_password".*WRONGPASS.*REDIS_URL/ });
  t.match(await readyz(controlPort), { status: 503, text: /WRONGPASS.*REDIS_URL/ });
  t.equal((await fetch(`http://127.0.0.1:${controlPort}/healthz`)).status, 200);

  const headers = { authorization: `Bearer ${SHARED_SECRETS.API_KEYS.split(':')[1]}` };
  const listed = await fetch(`http://127.0.0.1:${controlPort}/v1/shows`, { headers });
  t.match([listed.status, await listed.json()], [503, { code: 'redis_unavailable', detail: /WRONGPASS/ }]);
  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-protocol': 'stampede.v1.json',
  };
  const refused = await upgradeRequest(gatewayPort, upgrade);
  t.match(refused, /^HTTP\/1\.1 503 /);
  t.match(refused, /retry-after: [1-9]/i);
  t.notMatch(refused, /WRONGPASS|127\.0\.0\.1/, 'viewers do not learn addresses');

  await sleep(2_500);
  t.equal(program.output.stderr.match(/Waiting for Redis: /g)?.length, 1, 'the reason is printed once');
  t.match(program.output.stderr, /Waiting for Redis: .*WRONGPASS.*Check the user and the password in REDIS_URL\./);
  t.equal(program.output.stdout.match(/WRONGPASS/g)?.length, 1, 'the reason is logged once');
  t.notMatch(program.log, / is ready/);
  t.notMatch(program.log, PASSWORD);

  await allow(redis, '~stampede:*', 'resetchannels', '+@all');
  t.ok(await eventually(() => program.output.stderr.includes('ACL SETUSER app &stampede:*')), program.log);
  t.match(await readyz(controlPort), { status: 503, text: /ACL SETUSER app &stampede:\*/ });
  await allow(redis, '&stampede:*', '~*');
  t.ok(await eventually(() => program.output.stderr.includes(' is ready (')), program.log);
  t.match(await readyz(gatewayPort), { status: 200 });
  t.match(await readyz(controlPort), { status: 200 });
  program.child.kill('SIGTERM');
  t.match(await program.finished, { code: 0 });
});

t.test('a signal ends a process that waits for Redis at once', async (t) => {
  await Promise.all(
    (['SIGINT', 'SIGTERM'] as const).map(async (signal) => {
      const { program } = await serveWaiting(t);
      const began = performance.now();
      program.child.kill(signal);
      t.match(await program.finished, { code: 0 });
      t.ok(performance.now() - began < 6_000, `${Math.round(performance.now() - began)} ms after ${signal}`);
    }),
  );
});

/** fetch() cannot send upgrade requests. Resolves with the response as text. */
async function upgradeRequest(port: number, headers: Record<string, string>): Promise<string> {
  const { connect } = await import('node:net');
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    const lines = Object.entries({ host: '127.0.0.1', ...headers }).map(([name, value]) => `${name}: ${value}`);
    socket.write(`GET /v1/shows/friday HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    socket.once('data', (bytes) => {
      socket.destroy();
      resolve(bytes.toString());
    });
    socket.once('error', reject);
  });
}
