/** What `stampede serve` does when its terminal is closed, with and without `nohup`. */
import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { plainEnvironment } from '../../bench/launch/engine-process.ts';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { programArguments } from '../support/root.ts';
import { alive, descendants, eventually, SHARED_SECRETS, temporaryFolder } from './program.ts';
import { api, watch } from './viewer.ts';

t.jobs = 2;

const KEY = SHARED_SECRETS.API_KEYS.slice('test:'.length);

/** Starts an engine of two workers on a pseudo-terminal with two viewers. */
async function onTerminal(t: Test, prefix: string) {
  const redis = await startRedis();
  t.teardown(redis.stop);
  const [gatewayPort, controlPort] = [await freePort(), await freePort()];
  const serve = [process.execPath, ...programArguments('src/cli/main'), 'serve', '--workers', '2'];
  const ports = ['--gateway-port', gatewayPort, '--control-port', controlPort];
  // `script` runs the command as the leader of the session of a new pseudo-terminal.
  const terminal = spawn('script', ['-qc', ['exec', prefix, ...serve, ...ports].join(' '), '/dev/null'], {
    cwd: temporaryFolder(t),
    env: { ...plainEnvironment(), ...SHARED_SECRETS, REDIS_URL: redis.url },
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const control = `http://127.0.0.1:${controlPort}`;
  const isReady = () =>
    fetch(`${control}/readyz`).then(
      ({ status }) => status === 200,
      () => false,
    );
  t.ok(await eventually(isReady, 30_000), 'the engine is ready');
  const family = descendants(terminal.pid as number);
  t.teardown(() => {
    for (const pid of [terminal.pid as number, ...family].filter(alive)) process.kill(pid, 'SIGKILL');
  });
  const host = api(control, KEY);
  await host.liveShow('friday');
  const gateway = `ws://127.0.0.1:${gatewayPort}`;
  // The workers open their port after the control API.
  const isOpen = () =>
    fetch(`http://127.0.0.1:${gatewayPort}/healthz`).then(
      () => true,
      () => false,
    );
  t.ok(await eventually(isOpen), 'the gateway is open');
  const join = async (user: string) => {
    const viewer = watch(t, gateway, 'friday', await host.token('friday', user));
    await viewer.type('welcome', 10_000);
    return viewer;
  };
  const viewers = await Promise.all(['ann', 'ben', 'cem', 'dan', 'eve', 'fay'].map(join));
  return { viewers, family, isReady, close: () => void terminal.kill('SIGKILL') };
}

t.test('an engine whose terminal is closed drains, its workers included', async (t) => {
  const { viewers, family, close } = await onTerminal(t, '');
  close();
  const codes = await Promise.all(viewers.map(({ closed }) => closed));
  t.same(new Set(codes.map(({ code }) => code)), new Set([4000]), 'all viewers may reconnect');
  t.ok(await eventually(() => !family.some(alive), 15_000), 'no process is left');
});

t.test('an engine under nohup outlives its terminal, and SIGTERM drains it', async (t) => {
  const { viewers, family, isReady, close } = await onTerminal(t, 'nohup');
  close();
  await sleep(1_500);
  t.ok(family.every(alive), 'all processes run');
  t.ok(await isReady());
  t.ok(
    viewers.every(({ socket }) => socket.readyState === socket.OPEN),
    'no viewer was disconnected',
  );
  process.kill(family[0] as number, 'SIGTERM');
  const codes = await Promise.all(viewers.map(({ closed }) => closed));
  t.same(new Set(codes.map(({ code }) => code)), new Set([4000]));
  t.ok(await eventually(() => !family.some(alive), 15_000), 'no process is left');
});
