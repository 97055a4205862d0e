/** `stampede doctor` on real servers: what it finds on each, and that it leaves nothing behind. */
import t, { type Test } from 'tap';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { type CheckState, type Checkup, passed } from '../../src/domain/checkup.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { type CheckupOptions, examineRedis } from '../../src/redis/index.ts';
import { aclRule } from '../../src/redis/permissions.ts';
import { type ClusterNode, startCluster } from '../support/cluster.ts';
import { MASTER_NAME, startSentinels } from '../support/sentinels.ts';
import { until } from '../support/until.ts';

const PREFIX = 'shop:';

const examine = (url: string, more: Partial<CheckupOptions> = {}): Promise<Checkup> =>
  examineRedis({
    ...{
      target: more.target ?? redisTarget(url),
      keyPrefix: PREFIX,
      scripts: 'auto',
      publish: 'auto',
      isReadOnly: false,
    },
    ...{ processes: 1, ...more },
  });

async function server(t: Test, options: Parameters<typeof startRedis>[0] = {}) {
  const redis = await startRedis(options);
  t.teardown(redis.stop);
  return redis;
}

const idsIn = ({ checks }: Checkup, state: CheckState): string[] =>
  checks.filter((check) => check.state === state).map(({ id }) => id);
const checkOf = ({ checks }: Checkup, id: string) => checks.find((check) => check.id === id);
const promiseOf = ({ promises }: Checkup, id: string) => promises.find((promise) => promise.id === id)?.state;
/** What `stampede doctor` says of the folder of archives, on a host where it can be used. */
const checkHost = () => [passed('archive-folder', 'Tried.')];
const HOLD_ALL = { I1: 'holds', I2: 'holds', I3: 'holds', I4: 'holds', I5: 'holds', I6: 'holds', I7: 'holds' };
const promisesIn = ({ promises }: Checkup) => Object.fromEntries(promises.map(({ id, state }) => [id, state]));

/** Every key that the doctor writes is below its separate prefix, which may be in a hash tag. */
const isOwnKey = (key: string): boolean => key.replace(/^\{/, '').startsWith(`${PREFIX}doctor-`);

t.test('a healthy server passes every check, and nothing is left behind', async (t) => {
  const redis = await server(t);
  await redis.admin.set('shop:existing', 'untouched');
  let hadArchives = true;
  const checkup = await examine(redis.url, {
    checkHost(hasArchives) {
      hadArchives = hasArchives;
      return checkHost();
    },
  });
  t.notOk(hadArchives);
  t.same(idsIn(checkup, 'failed'), []);
  // A busy host is slow.
  t.same(
    idsIn(checkup, 'warning').filter((id) => !['slow-commands', 'round-trip', 'forks'].includes(id)),
    [],
  );
  t.same(idsIn(checkup, 'skipped'), []);
  t.match(promisesIn(checkup), { ...HOLD_ALL, I8: 'limited', I9: 'holds', I10: 'holds' }, 'appendfsync everysec');
  t.match(checkup, { isReachable: true, server: /^Redis \d/, isCluster: false, capacity: { batchRequests: 32 } });
  t.ok((checkup.capacity?.decisionsPerSecond ?? 0) > 100);
  t.notMatch(await redis.admin.info('commandstats'), /cmdstat_(flushall|flushdb|keys|config\|set)/);
  t.same(await redis.admin.keys('*'), ['shop:existing']);
  t.same(await redis.admin.function('LIST'), [], 'the functions that it loaded are removed');
});

t.test('a running engine keeps its functions, and every key that is written expires', async (t) => {
  const redis = await server(t);
  const monitor = await redis.client().monitor();
  const written = new Set<string>();
  monitor.on('monitor', (_time: string, args: string[]) => {
    const [name = ''] = args;
    if (/^(set|hset|zadd|sadd|xadd|pexpire|expire|del)$/i.test(name)) written.add(args[1] ?? '');
  });
  await redis.admin.function('LOAD', '#!lua name=stampede_running\nredis.register_function("running", function() end)');
  await examine(redis.url);
  monitor.disconnect();
  t.same(
    [...written].filter((key) => !isOwnKey(key)),
    [],
  );
  t.ok(written.size > 10);
  const [library] = (await redis.admin.function('LIST')) as string[][];
  t.ok(library?.includes('stampede_running'));
});

t.test('read-only: nothing is written, what cannot be tried is skipped', async (t) => {
  const redis = await server(t);
  const checkup = await examine(redis.url, { isReadOnly: true });
  t.same(idsIn(checkup, 'skipped'), ['start']);
  const texts = checkup.promises.map(({ state, text }) => `${state}: ${text}`);
  t.same([...new Set(texts)], ['unknown: Not checked: --read-only runs no script.']);
  const stats = await redis.admin.info('commandstats');
  t.notMatch(stats, /cmdstat_(set|hset|fcall|evalsha|eval|publish|spublish|del|pexpire|function\|load|script\|load)\b/);
});

type Found = readonly [name: string, args: string, state: CheckState, id: string, says: RegExp];
const SETTINGS: readonly Found[] = [
  ['appendfsync no', '--appendfsync no', 'warning', 'persistence', /up to 30 seconds/],
  ['no append-only file', '--appendonly no', 'warning', 'persistence', /loses every show/],
  ['snapshots only', '--appendonly no --save 900 1', 'warning', 'persistence', /last snapshot/],
  ['a small relay buffer', '--client-output-buffer-limit pubsub 1mb 256kb 10', 'warning', 'relay-buffer', /1 MiB/],
  ['a short timeout', '--timeout 5', 'warning', 'timeouts', /timeout is 5/],
  ['few connections', '--maxclients 35', 'failed', 'clients', /^Connections in use: \d+ of 35;/],
  ['min-replicas-to-write', '--min-replicas-to-write 1', 'failed', 'replication', /NOREPLICAS/],
  ['allkeys-lru', '--maxmemory-policy allkeys-lru', 'failed', 'eviction', /allkeys-lru/],
];

for (const [name, args, state, id, says] of SETTINGS)
  t.test(`${name}: ${state}`, async (t) => {
    const redis = await server(t, { args: args.split(' ') });
    const checkup = await examine(redis.url, { processes: 4 });
    t.match(checkOf(checkup, id), { state, found: says, remedy: /./ });
    if (state === 'warning') t.match(checkOf(checkup, 'start'), { state: 'passed' });
    const [i1, i8] = [promiseOf(checkup, 'I1'), promiseOf(checkup, 'I8')];
    if (id === 'eviction') t.equal(i1, 'broken');
    if (id === 'persistence') t.equal(i8, 'broken');
    t.same(await redis.admin.keys('*'), []);
  });

t.test('full memory: the engine does not start, and the check says so', async (t) => {
  const redis = await server(t, { args: ['--maxmemory', '3mb'] });
  const data = 'x'.repeat(100_000);
  for (let i = 0; i < 60; i++) await redis.admin.set(`other:${i}`, data).catch(() => {});
  const checkup = await examine(redis.url, { checkHost });
  t.match(checkOf(checkup, 'start'), { state: 'failed', found: /memory/ });
  t.match(checkOf(checkup, 'memory'), { state: 'failed', found: /of maxmemory/ });
  t.match(checkOf(checkup, 'keys'), { state: 'warning', found: /other: \d+/ });
  t.match(promisesIn(checkup), { ...HOLD_ALL, I8: 'limited', I9: 'holds', I10: 'holds' }, 'what reads can show');
  t.match(
    checkup.promises.find(({ id }) => id === 'I1'),
    { text: /Checked: scripts.*Not checked: a reserve, because Redis is full\.$/ },
  );
  t.same(idsIn(checkup, 'skipped'), ['functions', 'eval', 'sharded', 'classic', 'capacity']);
  t.same(
    (await redis.admin.keys('*')).filter((key) => !key.startsWith('other:')),
    [],
  );
});

t.test('a replica: the engine does not start, and every check still runs', async (t) => {
  const replica = await server(t);
  await replica.admin.call('REPLICAOF', '127.0.0.1', '1');
  const checkup = await examine(replica.url);
  t.match(checkOf(checkup, 'start'), { state: 'failed', found: /replica/ });
  t.match(checkOf(checkup, 'replication'), { state: 'failed', found: /replica/ });
  t.match(checkOf(checkup, 'persistence'), { state: 'passed' });
});

t.test('a password that the server does not need is a warning', async (t) => {
  const redis = await server(t);
  const ofLogin = async (login: string) =>
    checkOf(await examine(`unix://${login}${redis.socketPath}`, { isReadOnly: true }), 'connection');
  t.match(await ofLogin(':secret@'), { state: 'warning', found: /needs no password/, remedy: /requirepass/ });
  await redis.admin.config('SET', 'requirepass', 'secret');
  t.match(await ofLogin(':secret@'), { state: 'passed' });
});

const UNREACHABLE: ReadonlyArray<readonly [name: string, login: string, says: RegExp]> = [
  ['a wrong password', ':wrong@', /WRONGPASS/],
  ['no password', '', /requires a password/],
];

for (const [name, login, says] of UNREACHABLE)
  t.test(`${name}: unreachable, with the words of the start-up`, async (t) => {
    const redis = await server(t);
    await redis.admin.config('SET', 'requirepass', 'secret');
    const checkup = await examine(`unix://${login}${redis.socketPath}`);
    t.match(checkup, {
      isReachable: false,
      checks: [{ id: 'connection', state: 'failed', found: says, remedy: /REDIS_URL/ }],
    });
    t.equal(checkup.checks.length, 1);
    const readOnly = await examine(`unix://${login}${redis.socketPath}`, { isReadOnly: true });
    t.match(readOnly, { isReachable: false, checks: [{ id: 'connection', state: 'failed', found: says }] });
  });

t.test('no server: unreachable', async (t) => {
  t.match(await examine('unix:///nowhere/redis.sock'), { isReachable: false, checks: [{ found: /ENOENT/ }] });
});

type User = readonly [name: string, rule: string, check: string, state: CheckState, says: RegExp, remedy: RegExp];
const USERS: readonly User[] = [
  ['without channels', '~shop:* +@all', 'start', 'failed', /lacks the permission &shop:\* \(NOPERM\)/, /&shop:\*/],
  [
    '-@dangerous',
    '~shop:* &shop:* +@all -@dangerous',
    'identity',
    'warning',
    /refuses INFO/,
    /^Run: ACL SETUSER shop \+info\./,
  ],
  ['without functions', '~shop:* &shop:* +@all -function -fcall', 'functions', 'warning', /EVALSHA/, /ACL SETUSER/],
  ['without keys', '~else:* &shop:* +@all', 'start', 'failed', /lacks the permission ~shop:\*/, /~shop:\*/],
  ['without eval', '~shop:* &shop:* +@all -eval', 'start', 'failed', /lacks the permission \+eval/, /shop \+eval\./],
];

for (const [name, rule, id, state, found, remedy] of USERS)
  t.test(`a user ${name}: ${state}, with the ACL rule to add`, async (t) => {
    const redis = await server(t);
    await redis.admin.call('ACL', 'SETUSER', 'shop', 'on', '>pw', ...rule.split(' '));
    const checkup = await examine(`unix://shop:pw@${redis.socketPath}`);
    t.match(checkOf(checkup, id), { state, found, remedy });
    if (state === 'warning') t.match(checkOf(checkup, 'start'), { state: 'passed' });
    t.same(await redis.admin.keys('*'), []);
  });

t.test('a user with the rule of README.md passes; only what it may not read is skipped', async (t) => {
  const redis = await server(t);
  await redis.admin.call('ACL', 'SETUSER', 'shop', 'on', '>pw', ...aclRule(PREFIX).join(' ').split(' '));
  const checkup = await examine(`unix://shop:pw@${redis.socketPath}`);
  t.same(idsIn(checkup, 'failed'), []);
  t.same(idsIn(checkup, 'skipped'), ['slow-commands']);
  t.match(promisesIn(checkup), HOLD_ALL);
  t.same(await redis.admin.keys('*'), []);
});

t.test('slow commands, another installation and other programs are named', async (t) => {
  const redis = await server(t, { args: ['--enable-debug-command', 'yes'] });
  await redis.admin.call('DEBUG', 'SLEEP', '0.06');
  await redis.admin.set('cart:1', 'x');
  const shared = await examine(redis.url, { isReadOnly: true });
  t.match(checkOf(shared, 'slow-commands'), { state: 'warning', found: /DEBUG/ });
  t.match(checkOf(shared, 'keys'), { state: 'warning', found: /cart: 1/ });
  await redis.admin.set('old:{friday}:ledger', 'x');
  t.match(checkOf(await examine(redis.url, { isReadOnly: true }), 'keys'), { state: 'warning', found: /under old:/ });
});

t.test('behind sentinels the primary is examined, and what a failover may lose is said', async (t) => {
  const { ports, stop } = await startSentinels();
  t.teardown(stop);
  const sentinel = { masterName: MASTER_NAME, username: null, password: null };
  const target = { ...redisTarget(ports.map((port) => `redis://127.0.0.1:${port}`).join(',')), sentinel };
  const checkup = await examine('', { target });
  t.match(checkOf(checkup, 'start'), { state: 'passed' });
  t.match(checkOf(checkup, 'connection'), { found: /sentinels of main/ });
  t.match(checkOf(checkup, 'replication'), { state: 'passed', found: /replicas connected: 1.*asynchronous/ });
  t.match(
    checkup.promises.find(({ id }) => id === 'I8'),
    { text: /A failover can lose the last writes/ },
  );
});

t.test('a cluster: each master is examined, and a missing slot is found', async (t) => {
  const cluster = await startCluster();
  t.teardown(cluster.stop);
  const url = `redis://127.0.0.1:${cluster.masters[0]?.port}`;
  const healthy = await examine(url);
  t.match(checkOf(healthy, 'start'), { state: 'passed' });
  t.match(checkOf(healthy, 'cluster'), {
    state: 'warning',
    found: /3 masters; .*: 16384 of 16384\. Ranges of slots without a replica: 3/,
  });
  t.match(healthy, { isCluster: true });
  t.same(idsIn(healthy, 'failed'), []);
  for (const { client } of cluster.masters) {
    t.same(await client.keys('*'), []);
    t.same(await client.function('LIST'), []);
  }
  await Promise.all(cluster.masters.map((node) => node.cluster('DELSLOTS', '7000').catch(() => '')));
  await until(
    async () => /cluster_state:fail/.test(await (cluster.masters[0] as ClusterNode).cluster('INFO')),
    'the slot is missing',
  );
  const damaged = await examine(url);
  t.match(checkOf(damaged, 'cluster'), { state: 'failed', found: /16383 of 16384/ });
  t.match(checkOf(damaged, 'start'), { state: 'failed' });
});
