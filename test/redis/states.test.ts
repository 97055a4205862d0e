/** Each way in which Redis cannot be used has a name, a reason and a remedy (I11). */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import type { RedisState, RedisTrouble } from '../../src/domain/health.ts';
import { type RedisTls, redisTarget } from '../../src/domain/redis-target.ts';
import { createStore } from '../../src/redis/index.ts';
import { troubleOf, wordsOf } from '../../src/redis/states.ts';
import { selfSigned } from '../support/self-signed.ts';
import { holdsIn, until } from '../support/until.ts';

t.jobs = 6;
const PASSWORD = 'a-secret-of-the-test';

/** Returns a store on this URL and what it logs as warning or error. */
function storeOn(t: Test, url: string, tls: Partial<RedisTls> = {}) {
  const logged: Array<RedisTrouble & { msg: string }> = [];
  const lines = new Writable({
    write(line, _encoding, done) {
      logged.push(JSON.parse(String(line)));
      done();
    },
  });
  const target = redisTarget(url);
  const redis = target.tls === null ? target : { ...target, tls: { ...target.tls, ...tls } };
  const store = createStore({ redis, logger: pino({ level: 'warn' }, lines) });
  t.teardown(() => store.close());
  return { store, logged };
}

/** Waits until the store is in the state, and checks what it says. */
async function hasState(
  t: Test,
  { store, logged }: ReturnType<typeof storeOn>,
  state: RedisState,
  says: { reason?: RegExp; remedy?: RegExp } = {},
): Promise<void> {
  await holdsIn(15_000, () => store.trouble()?.state === state);
  t.match(store.trouble(), { state, ...says });
  const records = logged.filter((record) => record.state === state);
  t.match(records, [{ msg: state === 'full' ? 'Redis is full' : 'waiting for Redis', ...says }]);
  t.equal(records.length, 1, 'it is logged once');
  t.notMatch(JSON.stringify([store.trouble(), logged]), PASSWORD);
}

/** Waits until the cause is gone. */
async function recovers(t: Test, { store }: ReturnType<typeof storeOn>, cause: string): Promise<void> {
  await holdsIn(5_000, () => store.trouble() === null);
  t.equal(store.trouble(), null, `${cause} is corrected`);
}

/** A Redis with a port. */
async function redisWith(t: Test, args: readonly string[] = [], login = '') {
  const port = await freePort();
  const redis = await startRedis({ args: ['--port', String(port), ...args] });
  t.teardown(() => redis.stop());
  return { redis, port, url: `redis://${login}127.0.0.1:${port}`, admin: redis.client() };
}

async function listenOn(t: Test, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

t.test('a host, port or socket without a server', async (t) => {
  const port = await freePort();
  const refused = storeOn(t, `redis://app:${PASSWORD}@127.0.0.1:${port}`);
  await hasState(t, refused, 'refused', { reason: /ECONNREFUSED/, remedy: /host and port/ });
  await hasState(t, storeOn(t, 'redis://no-such-host.invalid'), 'unknown_host', { reason: /ENOTFOUND|EAI_AGAIN/ });
  await hasState(t, storeOn(t, 'unix:///nowhere/redis.sock'), 'socket_missing', { reason: /ENOENT/ });

  const redis = await startRedis({ args: ['--port', String(port)] });
  t.teardown(() => redis.stop());
  await until(() => refused.store.trouble()?.state === 'wrong_password', 'the server appears');
  await redis.client().call('ACL', 'SETUSER', 'app', 'on', `>${PASSWORD}`, '~*', '&*', '+@all');
  await recovers(t, refused, 'the user');
});

t.test('a server that has replied and is silent is not blamed on its address (I11)', async (t) => {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const { store } = storeOn(t, redis.url);
  await store.ready();
  redis.signal('SIGSTOP');
  await until(() => store.trouble()?.state === 'silent', 'it is silent', 20_000);
  t.match(store.trouble()?.remedy, /Redis or this host may be overloaded/);
  t.notMatch(store.trouble()?.remedy, /host and port/);
  redis.signal('SIGCONT');
});

t.test('a server that is no Redis, is silent, or closes each connection', async (t) => {
  const http = await listenOn(t, createHttpServer());
  await hasState(t, storeOn(t, `redis://127.0.0.1:${http}`), 'not_redis', { remedy: /another program/ });
  const sockets: Array<{ destroy(): void }> = [];
  const silent = await listenOn(
    t,
    createServer((socket) => sockets.push(socket)),
  );
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  await hasState(t, storeOn(t, `redis://127.0.0.1:${silent}`), 'silent', { reason: /does not reply/ });
  const closing = await listenOn(
    t,
    createServer((socket) => socket.end()),
  );
  await hasState(t, storeOn(t, `redis://127.0.0.1:${closing}`), 'lost', { reason: /before it replied/ });
});

t.test('user and password', async (t) => {
  const { admin, port, url } = await redisWith(t);
  await admin.config('SET', 'requirepass', PASSWORD);
  await hasState(t, storeOn(t, url), 'wrong_password', { reason: /NOAUTH/, remedy: /redis:\/\/:PASSWORD@HOST/ });
  const wrong = storeOn(t, `redis://default:${PASSWORD}-2@127.0.0.1:${port}`);
  await hasState(t, wrong, 'wrong_password', { reason: /WRONGPASS/, remedy: /user and the password in REDIS_URL/ });
  await admin.config('SET', 'requirepass', `${PASSWORD}-2`);
  await recovers(t, wrong, 'the password');
});

t.test('TLS', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-tls-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const ca = selfSigned(folder, 'ca', { names: 'DNS:ca' });
  const own = selfSigned(folder, 'server', { names: 'IP:127.0.0.1', signedBy: ca });
  const other = selfSigned(folder, 'other', { names: 'DNS:redis.example', signedBy: ca });
  const [port, tlsPort, otherPort] = [await freePort(), await freePort(), await freePort()];
  const withTls = (at: number, { certFile, keyFile }: typeof own, clients: string): string[] => [
    ...['--tls-port', String(at), '--tls-cert-file', certFile, '--tls-key-file', keyFile],
    ...['--tls-ca-cert-file', ca.certFile, '--tls-auth-clients', clients],
  ];
  const redis = await startRedis({ args: ['--port', String(port), ...withTls(tlsPort, own, 'yes')] });
  t.teardown(() => redis.stop());
  const named = await startRedis({ args: withTls(otherPort, other, 'no') });
  t.teardown(() => named.stop());
  const trusted = { ca: (await import('node:fs')).readFileSync(ca.certFile, 'utf8') };

  await hasState(t, storeOn(t, `rediss://127.0.0.1:${tlsPort}`), 'tls_untrusted', { remedy: /REDIS_TLS_CA_FILE/ });
  await hasState(t, storeOn(t, `rediss://127.0.0.1:${tlsPort}`, trusted), 'tls_untrusted', {
    remedy: /REDIS_TLS_CERT_FILE/,
  });
  await hasState(t, storeOn(t, `rediss://127.0.0.1:${otherPort}`, trusted), 'tls_untrusted', {
    remedy: /REDIS_TLS_SERVER_NAME/,
  });
  await hasState(t, storeOn(t, `rediss://127.0.0.1:${port}`), 'tls_mismatch', { remedy: /redis:\/\/ instead/ });
  await hasState(t, storeOn(t, `redis://127.0.0.1:${tlsPort}`), 'tls_mismatch', { remedy: /rediss:\/\/ instead/ });
  await hasState(t, storeOn(t, `redis://127.0.0.1:${otherPort}`), 'tls_mismatch', { remedy: /rediss:\/\/ instead/ });
});

t.test('a server without connections, or for local clients only', async (t) => {
  const { admin, url } = await redisWith(t, ['--maxclients', '1', '--protected-mode', 'yes', '--bind', '*']);
  await admin.ping();
  const full = storeOn(t, url);
  await hasState(t, full, 'too_many_clients', { reason: /max number of clients/, remedy: /maxclients/ });
  await admin.config('SET', 'maxclients', 100);
  await recovers(t, full, 'maxclients');
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const outer = addresses.find(({ internal, family }) => !internal && family === 'IPv4');
  if (outer === undefined) return t.comment('protected mode is not tested: this host has only loopback addresses');
  const remote = storeOn(t, url.replace('127.0.0.1', outer.address));
  await hasState(t, remote, 'protected_mode', { reason: /protected mode/, remedy: /password/ });
});

t.test('a database that does not exist is not replaced by another one', async (t) => {
  const { admin, url } = await redisWith(t, ['--databases', '4']);
  const { store } = storeOn(t, `${url}/3`);
  await until(() => store.trouble() === null, 'database 3');
  const wrong = storeOn(t, `${url}/9`);
  await hasState(t, wrong, 'wrong_db', { reason: /DB index/ });
  t.match(await wrong.store.createShow({ id: 'show', title: 'T' }, 'h'), { ok: false });
  t.equal(await admin.dbsize(), 0);
});

t.test('a server that loads its data', async (t) => {
  const { admin, redis, url } = await redisWith(t, [
    '--key-load-delay',
    '3000',
    '--loading-process-events-interval-bytes',
    '1024',
    '--appendonly',
    'no',
    '--dbfilename',
    'dump.rdb',
  ]);
  await admin.eval("for i = 1, 1000 do redis.call('SET', 'key' .. i, 'x') end", 0);
  await admin.save();
  const restarting = redis.crashAndRestart();
  const early = storeOn(t, url);
  await hasState(t, early, 'loading', { reason: /LOADING/ });
  await restarting;
  await recovers(t, early, 'loading');
});

t.test('a server whose state or settings do not fit, until they do', async (t) => {
  const { admin, url } = await redisWith(t);
  const set = (name: string, value: string | number) => admin.config('SET', name, value);
  const cases: ReadonlyArray<
    readonly [state: RedisState, reason: RegExp, start: () => Promise<unknown>, end: () => Promise<unknown>]
  > = [
    [
      'evicting',
      /allkeys-lru/,
      () => set('maxmemory-policy', 'allkeys-lru'),
      () => set('maxmemory-policy', 'noeviction'),
    ],
    ['replica', /replica/, () => admin.replicaof('127.0.0.1', 1), () => admin.replicaof('NO', 'ONE')],
    ['too_few_replicas', /NOREPLICAS/, () => set('min-replicas-to-write', 1), () => set('min-replicas-to-write', 0)],
    ['full', /OOM/, () => set('maxmemory', 1), () => set('maxmemory', 0)],
  ];
  for (const [state, reason, start, end] of cases) {
    await start();
    const unfit = storeOn(t, url);
    await hasState(t, unfit, state, { reason });
    await end();
    await recovers(t, unfit, state);
    await unfit.store.close();
  }
});

t.test('a server that runs a script for too long', async (t) => {
  const { admin, redis, url } = await redisWith(t, ['--busy-reply-threshold', '50']);
  redis
    .client()
    .eval('while true do end', 0)
    .catch(() => {});
  await until(async () => /BUSY/.test(await admin.ping().catch(String)), 'BUSY');
  const busy = storeOn(t, url);
  await hasState(t, busy, 'busy', { reason: /BUSY/, remedy: /SCRIPT KILL/ });
  await admin.call('SCRIPT', 'KILL');
  await recovers(t, busy, 'the script');
});

t.test('a server whose disk fails', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-disk-'));
  const { admin, url } = await redisWith(t, ['--dir', folder, '--appendonly', 'no']);
  await admin.config('SET', 'save', '3600 1');
  await admin.set('key', 'value');
  rmSync(folder, { recursive: true });
  await admin.bgsave().catch(() => {});
  await until(async () => /MISCONF/.test(await admin.set('key', 'value').catch(String)), 'MISCONF');
  await hasState(t, storeOn(t, url), 'disk_failing', { reason: /MISCONF/, remedy: /disk/ });
});

t.test('a cluster without slots, and several servers that are no cluster', async (t) => {
  const { url } = await redisWith(t, ['--cluster-enabled', 'yes', '--appendonly', 'no']);
  await hasState(t, storeOn(t, url), 'cluster_incomplete', { remedy: /CLUSTER INFO/ });
  const single = await redisWith(t);
  const other = await redisWith(t);
  await hasState(t, storeOn(t, `${single.url},${other.url}`), 'not_cluster', { remedy: /one URL/i });
});

t.test('errors that no test server can produce have their names too', async (t) => {
  const rows: ReadonlyArray<readonly [text: string, state: RedisState]> = [
    ['MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to no.', 'master_down'],
    ["ERR unknown command 'FCALL', with args beginning with: 'x' 'y'", 'missing_command'],
    ['NOPERM this user has no permissions to run the info command', 'no_permission'],
    ["ERR The user executing the script can't publish to the channel mentioned in the command", 'no_permission'],
    ['NOAUTH HELLO must be called with the client already authenticated', 'wrong_password'],
    ['ERR AUTH <password> called without any password configured for the default user.', 'wrong_password'],
    ['ERR max number of clients reached', 'too_many_clients'],
    ['connect EHOSTUNREACH 10.0.0.1:6379', 'unreachable'],
    ['connect ETIMEDOUT', 'unreachable'],
    ['certificate has expired', 'tls_untrusted'],
    ['unable to verify the first certificate', 'tls_untrusted'],
    ['read ECONNRESET', 'lost'],
    ['TRYAGAIN Multiple keys request during rehashing of slot', 'cluster_incomplete'],
    ["OOM allow-oom flag is not set on the function, can not run it when used memory > 'maxmemory'", 'full'],
    ['READONLY Can not run script with write flag on readonly replica.', 'replica'],
    ['attempt to index a nil value', 'failed'],
  ];
  for (const [text, state] of rows) t.equal(troubleOf(new Error(text)).state, state, text);
});

t.test('what Redis repeats of a command is left out, because it may be a password', async (t) => {
  t.equal(
    wordsOf(new Error(`ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' '${PASSWORD}'`)),
    "ERR unknown command 'HELLO'",
  );
  t.notMatch(wordsOf(new Error(`connect to redis://app:${PASSWORD}@host failed`)), PASSWORD);
});
