/** Redis behind real sentinels: both kinds of failover, separate logins, TLS and IPv6. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { freePort } from '../../bench/launch/free-port.ts';
import { type RedisTarget, redisTarget } from '../../src/domain/redis-target.ts';
import { connectStore } from '../../src/redis/index.ts';
import { readOther } from '../../src/redis/other-server.ts';
import { selfSigned } from '../support/self-signed.ts';
import { MASTER_NAME, type SentinelOptions, startSentinels } from '../support/sentinels.ts';
import { until } from '../support/until.ts';
import { startWhole } from './whole-store.ts';

const SENTINEL = { masterName: MASTER_NAME, username: null, password: null };

/** Starts servers and sentinels; `targetOf` makes the target of their URL. */
async function setUp(t: Test, options: SentinelOptions = {}, targetOf = (target: RedisTarget) => target) {
  const world = await startSentinels(options);
  t.teardown(() => world.stop());
  const scheme = options.settings ? 'rediss' : 'redis';
  const url = world.ports.map((port) => `${scheme}://${options.host ?? '127.0.0.1'}:${port}`).join(',');
  const target = targetOf({ ...redisTarget(url), sentinel: SENTINEL });
  return { ...world, target };
}

t.jobs = 2;

t.test('the store and jobs continue on the new primary when the old one is killed', async (t) => {
  const { target, primary, replica } = await setUp(t);
  const { store, relays, opensSale } = await startWhole(t, target);
  await opensSale('before');
  await until(async () => (await replica.client.dbsize()) === (await primary.client.dbsize()), 'replicated');
  await primary.process.kill();
  await until(() => store.trouble() !== null, 'the store notices');
  await until(() => store.trouble() === null, 'the store is back', 20_000);
  await opensSale('after');
  await relays();
  t.match(await replica.client.info('replication'), 'role:master');
});

t.test('the store and jobs continue on the new primary after a planned failover', async (t) => {
  const { target, sentinel, primary, replica } = await setUp(t);
  const { store, relays, opensSale } = await startWhole(t, target);
  await opensSale('before');
  await primary.client.set('last', 'write');
  t.equal(await primary.client.call('WAIT', 1, 10_000), 1, 'the replica has all of it');
  await sentinel.client.call('SENTINEL', 'FAILOVER', MASTER_NAME);
  const runId = /run_id:(\w+)/.exec(await replica.client.info('server'))?.[1];
  // The sentinels demote the old primary only about ten seconds after they promoted the new one.
  await until(() => store.runId()?.startsWith(runId ?? '-') === true, 'the store has left the old primary', 5_000);
  t.match(await primary.client.info('replication'), 'role:master', 'which still accepts writes');
  await opensSale('after');
  await relays();
});

t.test('servers and sentinels have separate users and passwords', async (t) => {
  const { target } = await setUp(
    t,
    {
      ofServers: { requirepass: 'of/servers', masterauth: 'of/servers' },
      ofSentinels: { [`sentinel auth-pass ${MASTER_NAME}`]: 'of/servers', requirepass: 'of-sentinels' },
    },
    (plain) => ({ ...plain, password: 'of/servers', sentinel: { ...SENTINEL, password: 'of-sentinels' } }),
  );
  const { opensSale } = await startWhole(t, target);
  await opensSale('drop');
  const store = await connectStore({ redis: { ...target, sentinel: SENTINEL } });
  t.match(store.trouble()?.reason, /sentinel|password/i, 'without its password the sentinels are useless');
  await store.close();
});

t.test('sentinels and servers are reached with TLS and a private authority', async (t) => {
  const folder = t.testdir();
  const ca = selfSigned(folder, 'ca', { names: 'DNS:ca.test' });
  const { certFile, keyFile } = selfSigned(folder, 'server', { names: 'DNS:redis.internal', signedBy: ca });
  const settings = (port: number) => ({
    port: 0,
    'tls-port': port,
    'tls-cert-file': certFile,
    'tls-key-file': keyFile,
    'tls-ca-cert-file': ca.certFile,
    'tls-auth-clients': 'no',
    'tls-replication': 'yes',
  });
  const { target } = await setUp(t, { settings }, (plain) => ({
    ...plain,
    tls: plain.tls && { ...plain.tls, ca: readFileSync(ca.certFile, 'utf8'), serverName: 'redis.internal' },
  }));
  const { relays, opensSale } = await startWhole(t, target);
  await relays();
  await opensSale('drop');
});

t.test('the search for another primary ends with the store, also if no sentinel replies', async (t) => {
  const sentinels = [{ host: '127.0.0.1', port: await freePort() }];
  const other = new Redis({ sentinels, name: MASTER_NAME, lazyConnect: true, sentinelRetryStrategy: () => 10 });
  other.on('error', () => {});
  const ending = new AbortController();
  const found = readOther(other, true, ending.signal);
  await sleep(50);
  t.equal(other.status, 'connecting');
  ending.abort();
  await t.rejects(found, { message: 'Connection is closed.' });
  t.equal(other.status, 'end');
});
