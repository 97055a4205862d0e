/** compose.yaml: its settings, ports and times, and a run with exactly its environment. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { EngineProcess, plainEnvironment } from '../../bench/launch/engine-process.ts';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { SETTINGS } from '../../src/config/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { VERSION } from '../../src/main.ts';
import { SHARED_SECRETS } from '../cli/program.ts';
import { api, watch } from '../cli/viewer.ts';
import { programArguments } from '../support/root.ts';
import { environmentOf, readCompose, readImage } from './compose.ts';

const FILE = 'compose.yaml';
const TLS_FILE = 'scripts/deploy/compose-tls.yaml';
const IMAGE = readImage();
/** They concern an embedded Redis, which the image does not contain. */
const EMBEDDED_ONLY = ['DATA_DIR', 'APPENDFSYNC'];
const variables = Object.values(SETTINGS).map(({ variable }) => variable);

const engineWith = (env: Record<string, string>) => {
  const service = readCompose(FILE, { ...SHARED_SECRETS, ...env }).services.engine!;
  return { service, environment: environmentOf(service, { ...SHARED_SECRETS, ...env }, IMAGE.environment) };
};

t.test('compose passes every setting on, and no other variable', async (t) => {
  const { service } = engineWith({});
  const wanted = variables.filter((name) => !EMBEDDED_ONLY.includes(name));
  t.same(Object.keys(service.environment).sort(), wanted.sort());
  for (const name of wanted.filter((each) => each !== 'HOST'))
    t.equal(engineWith({ [name]: '1234' }).environment[name], '1234', name);
  t.equal(engineWith({ HOST: 'my-laptop' }).environment.HOST, '0.0.0.0', 'HOST of a shell is ignored');
  t.equal(engineWith({}).environment.WORKERS, undefined, 'a setting that is not set keeps its default');
  for (const secret of ['AUTH_SECRET', 'API_KEYS'])
    t.throws(() => readCompose(FILE, { ...SHARED_SECRETS, [secret]: '' }), { message: `${secret} must be set` });
});

t.test('the gateway is published under the port it uses, the control API on loopback', async (t) => {
  const { service, environment } = engineWith({ GATEWAY_PORT: '9000', CONTROL_PORT: '9001' });
  t.match(environment, { GATEWAY_PORT: '9000', CONTROL_PORT: '9001' });
  t.same(service.ports, ['9000:9000', '127.0.0.1:9001:9001']);
  const { gatewayPort, controlPort } = SETTINGS;
  const defaults = [gatewayPort.fallback, controlPort.fallback];
  t.same(engineWith({}).service.ports, [`${defaults[0]}:${defaults[0]}`, `127.0.0.1:${defaults[1]}:${defaults[1]}`]);
  t.same(IMAGE.exposed, defaults);
  t.equal(readCompose(FILE, SHARED_SECRETS).services.redis?.ports, undefined, 'Redis is not published');
});

t.test('the container may drain, keeps its files and holds a full gateway', async (t) => {
  const { service } = engineWith({});
  const { redis } = readCompose(FILE, SHARED_SECRETS).services;
  t.ok(Number.parseInt(service.stop_grace_period, 10) * 1000 > LIMITS.drainMs + LIMITS.jobStopMs);
  t.match(service, { read_only: true, cap_drop: ['ALL'], depends_on: { redis: { condition: 'service_healthy' } } });
  const { nofile } = service.ulimits as { nofile: number };
  t.ok(nofile > LIMITS.connectionsPerNodeMax, 'one file per viewer');
  t.match(redis?.command?.join(' '), /--appendonly yes .*--maxmemory-policy noeviction/);
  t.same(redis?.volumes, ['redis-data:/data']);
  t.equal(service.image, `stampede:${VERSION}`);
});

t.test('with the TLS file only the proxy is published, and only its address is trusted', async (t) => {
  const env = { ...SHARED_SECRETS, SITE: 'live.example', GATEWAY_PORT: '9000' };
  const { services, networks } = readCompose(TLS_FILE, env);
  const { engine, proxy } = services;
  t.same(engine?.ports, []);
  t.same(engine?.environment, { PUBLIC_GATEWAY_URL: 'wss://live.example/live/ws', TRUSTED_PROXIES: '172.31.251.2' });
  t.match(proxy?.environment, { SITE: 'live.example', GATEWAY: 'engine:9000', CONTROL: 'engine:8081' });
  t.match(proxy, { networks: { default: { ipv4_address: '172.31.251.2' } } });
  t.match(networks?.default.ipam.config, [{ subnet: '172.31.251.0/24', ip_range: '172.31.251.128/25' }]);
});

t.test(
  'the image serves the viewer page, its gateway and its health check with the environment of compose',
  async (t) => {
    const redis = await startRedis();
    t.teardown(() => redis.stop());
    const [gatewayPort, controlPort] = [await freePort(), await freePort()];
    const ports = { GATEWAY_PORT: String(gatewayPort), CONTROL_PORT: String(controlPort) };
    const { environment } = engineWith({ ...ports, REDIS_URL: redis.url, HOST: 'my-laptop', WORKERS: '' });
    const [node, ...flags] = IMAGE.command.slice(0, -2);
    t.equal(node, 'node');
    const engine = new EngineProcess({
      name: 'the image',
      command: [...flags, ...programArguments('src/cli/main'), ...IMAGE.command.slice(-1)],
      env: { ...plainEnvironment(), ...environment },
    });
    t.teardown(() => engine.kill());
    const health = () =>
      spawnSync('sh', ['-c', IMAGE.healthCheck], { env: { ...plainEnvironment(), ...environment }, encoding: 'utf8' });
    t.equal(health().status, 1, 'not healthy before it has started');
    await engine.start();
    t.equal(health().status, 0);
    const control = `http://127.0.0.1:${controlPort}`;
    const host = api(control, SHARED_SECRETS.API_KEYS.split(':')[1]!);
    await host.liveShow('friday');
    const { body } = await host.call('GET', '/shows/friday/watch');
    t.equal(body.gatewayUrl, `ws://127.0.0.1:${gatewayPort}`);
    const viewer = watch(t, String(body.gatewayUrl), 'friday', await host.token('friday', 'ada'));
    await viewer.type('welcome', 10_000);
    engine.signal('SIGTERM');
    t.match(await engine.program.finished, { code: 0 });
  },
);
