/** compose.yaml: its settings, ports and times, and a run with exactly its environment. */
import { spawnSync } from 'node:child_process';
import t from 'tap';
import { EngineProcess, plainEnvironment } from '../../bench/launch/engine-process.ts';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { SETTINGS, VERSION } from '../../src/config/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { SHARED_SECRETS, temporaryFolder } from '../cli/program.ts';
import { api, watch } from '../cli/viewer.ts';
import { programArguments } from '../support/root.ts';
import { environmentOf, readCompose, readImage } from './compose.ts';

const FILE = 'compose.yaml';
const TLS_FILE = 'scripts/deploy/compose-tls.yaml';
const IMAGE = readImage();
/** They concern an embedded Redis, which the image does not contain. */
const EMBEDDED_ONLY = ['DATA_DIR', 'APPENDFSYNC', 'MAXMEMORY'];
const variables = Object.values(SETTINGS).map(({ variable }) => variable);

const engineWith = (env: Record<string, string>) => {
  const service = readCompose(FILE, { ...SHARED_SECRETS, ...env }).services.engine!;
  return { service, environment: environmentOf(service, { ...SHARED_SECRETS, ...env }, IMAGE.environment) };
};

t.test('compose passes every setting on, and no other variable', async (t) => {
  const { service } = engineWith({});
  const wanted = variables.filter((name) => !EMBEDDED_ONLY.includes(name));
  t.same(Object.keys(service.environment).sort(), wanted.sort());
  const hosts = ['HOST', 'METRICS_HOST'];
  for (const name of wanted.filter((each) => !hosts.includes(each)))
    t.equal(engineWith({ [name]: '1234' }).environment[name], '1234', name);
  t.equal(engineWith({ HOST: 'my-laptop' }).environment.HOST, '0.0.0.0', 'HOST of a shell is ignored');
  t.equal(engineWith({}).environment.WORKERS, undefined, 'a setting that is not set keeps its default');
  for (const secret of ['AUTH_SECRET', 'API_KEYS'])
    t.throws(() => readCompose(FILE, { ...SHARED_SECRETS, [secret]: '' }), { message: `${secret} must be set` });
});

t.test('the gateway is published under the port it uses, control API and metrics on loopback', async (t) => {
  const { service, environment } = engineWith({ GATEWAY_PORT: '9000', CONTROL_PORT: '9001' });
  t.match(environment, { GATEWAY_PORT: '9000', CONTROL_PORT: '9001' });
  t.same(service.ports, ['9000:9000', '127.0.0.1:9001:9001', '127.0.0.1:8082:8082']);
  const defaults = [SETTINGS.gatewayPort.fallback, SETTINGS.controlPort.fallback, 8082];
  const [gateway, control, metrics] = defaults.map((port) => `${port}:${port}`);
  t.same(engineWith({}).service.ports, [gateway, `127.0.0.1:${control}`, `127.0.0.1:${metrics}`]);
  t.same(IMAGE.exposed, defaults);
  t.match(IMAGE.environment, { GATEWAY_PORT: '8080', CONTROL_PORT: '8081', METRICS_PORT: '8082' });
  t.equal(readCompose(FILE, SHARED_SECRETS).services.redis?.ports, undefined, 'Redis is not published');
});

t.test('the container may drain, keeps its files and holds a full gateway', async (t) => {
  const { service, environment } = engineWith({});
  const { redis } = readCompose(FILE, SHARED_SECRETS).services;
  t.ok(Number.parseInt(service.stop_grace_period, 10) * 1000 > LIMITS.drainMs + LIMITS.jobStopMs);
  t.match(service, { read_only: true, cap_drop: ['ALL'], depends_on: { redis: { condition: 'service_healthy' } } });
  const { nofile } = service.ulimits as { nofile: number };
  t.ok(nofile > LIMITS.connectionsPerNodeMax, 'one file per viewer');
  t.match(redis?.command?.join(' '), /--appendonly yes .*--maxmemory-policy noeviction/);
  t.same(redis?.volumes, ['redis-data:/data']);
  t.ok(service.volumes.includes(`archive:${environment.ARCHIVE_DIR}`), 'archives outlive the container');
  t.notOk(IMAGE.environment.ARCHIVE_DIR, 'without a volume shows stay in Redis');
  t.equal(service.image, `stampede:${VERSION}`);
});

t.test('secrets may be in files: the variables that compose.yaml wants are empty in the container', (t) => {
  const { services, secrets } = readCompose('scripts/deploy/compose-secrets.yaml', {}) as unknown as {
    services: { engine: { environment: Record<string, string>; secrets: string[] } };
    secrets: Record<string, { file: string }>;
  };
  const { environment, secrets: mounted } = services.engine;
  t.same(mounted, Object.keys(secrets));
  for (const name of ['AUTH_SECRET', 'API_KEYS']) {
    t.equal(environment[name], '');
    t.ok(mounted.includes(environment[`${name}_FILE`]?.replace('/run/secrets/', '') ?? ''), name);
  }
  t.end();
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

t.test('with the environment of compose the image serves viewers and control API, and is healthy', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const ports: Record<string, string> = {};
  for (const name of ['GATEWAY_PORT', 'CONTROL_PORT', 'METRICS_PORT']) ports[name] = String(await freePort());
  const ARCHIVE_DIR = temporaryFolder(t);
  const { environment } = engineWith({ ...ports, REDIS_URL: redis.url, HOST: 'my-laptop', WORKERS: '', ARCHIVE_DIR });
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
  const control = `http://127.0.0.1:${ports.CONTROL_PORT}`;
  const host = api(control, SHARED_SECRETS.API_KEYS.split(':')[1]!);
  await host.liveShow('friday');
  const { body } = await host.call('GET', '/shows/friday/watch');
  t.equal(body.gatewayUrl, `ws://127.0.0.1:${ports.GATEWAY_PORT}`);
  const viewer = watch(t, String(body.gatewayUrl), 'friday', await host.token('friday', 'ada'));
  await viewer.type('welcome', 10_000);
  engine.signal('SIGTERM');
  t.match(await engine.program.finished, { code: 0 });
});
