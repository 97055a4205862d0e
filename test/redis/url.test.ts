/** Redis URLs against real servers: any login, IPv6, unix sockets and clusters. */
import { networkInterfaces } from 'node:os';
import fc from 'fast-check';
import t from 'tap';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';
import { connectStore, createClient } from '../../src/redis/index.ts';
import { startCluster } from '../support/cluster.ts';
import { FIRST_SEED as seed } from '../support/seed.ts';
import { startWhole } from './whole-store.ts';

const ODD = 'p/a#s?s:w@r,d%';
/** -: only where the host has IPv6. */
const everywhere = ['127.0.0.1', '-::1'];
const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
const skip = hasIpv6 ? false : 'this host has no IPv6';

async function startServer() {
  const port = await freePort();
  const redis = await startRedis({ args: ['--port', String(port), '--bind', ...everywhere] });
  t.teardown(() => redis.stop());
  return { port, redis };
}

t.test('any user and password of a URL arrive in AUTH', async (t) => {
  const { port, redis } = await startServer();
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 16 }).filter((raw) => !/\p{C}/u.test(raw));
  const name = text.filter((raw) => !/\s/.test(raw) && raw !== 'default');
  const property = fc.asyncProperty(name, text, async (user, password) => {
    await redis.admin.call('ACL', 'SETUSER', user, 'on', `>${password}`, '+@all');
    const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
    const isPlain = !/[%,]/.test(user + password) && !user.includes(':');
    const urls = [`redis://${login}@127.0.0.1:${port}`, `unix://${login}@${redis.socketPath}`];
    if (isPlain) urls.push(`redis://${user}:${password}@127.0.0.1:${port}/0`);
    for (const url of urls) {
      const client = createClient(redisTarget(url), { role: 'jobs', isCluster: false });
      const whoAmI = await client.call('ACL', 'WHOAMI').finally(() => client.disconnect());
      if (whoAmI !== user) throw new Error(`logged in as ${String(whoAmI)}`);
    }
    await redis.admin.call('ACL', 'DELUSER', user);
  });
  await fc.assert(property, { seed, numRuns: 40 });
  t.pass('all did');
});

t.test('commands, relay and jobs work on an IPv6 address, with a database and an odd password', { skip }, async (t) => {
  const { port, redis } = await startServer();
  await redis.admin.config('SET', 'requirepass', ODD);
  const { relays, opensSale } = await startWhole(t, redisTarget(`redis://:${encodeURIComponent(ODD)}@[::1]:${port}/3`));
  await relays();
  await opensSale('drop');
  await redis.admin.call('AUTH', ODD);
  t.match(await redis.admin.info('keyspace'), /db3:keys=/);
});

t.test('everything works on a cluster of IPv6 addresses with a password', { skip }, async (t) => {
  const cluster = await startCluster({ host: '::1', settings: () => ({ requirepass: ODD }) });
  t.teardown(() => cluster.stop());
  const login = encodeURIComponent(ODD);
  const { store, relays, opensSale } = await startWhole(
    t,
    redisTarget(cluster.ports.map((port) => `redis://:${login}@[::1]:${port}`).join(',')),
  );
  t.equal(store.trouble(), null);
  await relays();
  await opensSale('drop');
  const [a, b] = cluster.ports;
  const short = await connectStore({ redis: redisTarget(`redis://:${login}@[::1]:${a},[::1]:${b}`) });
  t.equal(short.trouble(), null, 'one login for all servers');
  await short.close();
});
