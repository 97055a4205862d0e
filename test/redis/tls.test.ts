/** TLS to real servers: authorities, client certificates, server names, and clusters by name. */
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { freePort } from '../../bench/launch/free-port.ts';
import { startRedis } from '../../bench/launch/redis-server.ts';
import { type RedisTarget, type RedisTls, redisTarget } from '../../src/domain/redis-target.ts';
import { connectStore } from '../../src/redis/index.ts';
import { startCluster } from '../support/cluster.ts';
import { type CertificateFiles, selfSigned } from '../support/self-signed.ts';
import { startWhole } from './whole-store.ts';

const folder = t.testdir();
const ca = selfSigned(folder, 'ca', { names: 'DNS:ca.test' });
const byAddress = selfSigned(folder, 'address', { names: 'IP:127.0.0.1', signedBy: ca });
const byName = selfSigned(folder, 'name', { names: 'DNS:redis.internal', signedBy: ca });
const ofLocalhost = selfSigned(folder, 'localhost', { names: 'DNS:localhost', signedBy: ca });
const ofClient = selfSigned(folder, 'client', { names: 'DNS:engine', signedBy: ca });
const textOf = (path: string): string => readFileSync(path, 'utf8');

const settingsOf = ({ certFile, keyFile }: CertificateFiles, asks: 'yes' | 'no' = 'no') => ({
  'tls-cert-file': certFile,
  'tls-key-file': keyFile,
  'tls-ca-cert-file': ca.certFile,
  'tls-auth-clients': asks,
});

/** Returns the target of a URL that trusts the authority of the tests. */
function trusting(url: string, more: Partial<RedisTls> = {}): RedisTarget {
  const target = redisTarget(url);
  return { ...target, tls: target.tls && { ...target.tls, ca: textOf(ca.certFile), ...more } };
}

async function startServer(t: Test, files: CertificateFiles, asks: 'yes' | 'no' = 'no'): Promise<number> {
  const port = await freePort();
  const settings = Object.entries({ 'tls-port': port, bind: '127.0.0.1', ...settingsOf(files, asks) });
  const redis = await startRedis({ args: settings.flatMap(([name, value]) => [`--${name}`, String(value)]) });
  t.teardown(() => redis.stop());
  return port;
}

async function worksThrough(t: Test, target: RedisTarget): Promise<void> {
  const { store, relays, opensSale } = await startWhole(t, target);
  t.equal(store.trouble(), null);
  await relays();
  await opensSale('drop');
}

t.jobs = 2;

t.test('commands, relay and jobs work with a certificate of a private authority', async (t) => {
  const port = await startServer(t, byAddress);
  await worksThrough(t, trusting(`rediss://127.0.0.1:${port}`));
});

t.test('a server that asks for client certificates accepts ours', async (t) => {
  const port = await startServer(t, byAddress, 'yes');
  const own = { cert: textOf(ofClient.certFile), key: textOf(ofClient.keyFile) };
  await worksThrough(t, trusting(`rediss://127.0.0.1:${port}`, own));
});

t.test('the certificate may have another name than the host, if the settings say so', async (t) => {
  const port = await startServer(t, byName);
  await worksThrough(t, trusting(`rediss://127.0.0.1:${port}`, { serverName: 'redis.internal' }));
});

t.test('a certificate for another name, and one of an unknown authority, are refused', async (t) => {
  const port = await startServer(t, byName);
  const wrong: Array<[RedisTarget, RegExp]> = [
    [trusting(`rediss://127.0.0.1:${port}`), /another host name/],
    [redisTarget(`rediss://127.0.0.1:${port}`), /unknown authority/],
    [trusting(`rediss://127.0.0.1:${port}`, { serverName: 'other.internal' }), /another host name/],
  ];
  for (const [target, reason] of wrong) {
    const store = await connectStore({ redis: target });
    t.match(store.trouble(), { state: 'tls_untrusted', reason });
    await store.close();
  }
});

const CLUSTERS = [
  ['that announces addresses while its certificate has the name in the URL', {}, {}],
  ['that announces addresses, with a server name in the settings', {}, { serverName: 'localhost' }],
  [
    'that announces host names',
    { 'cluster-announce-hostname': 'localhost', 'cluster-preferred-endpoint-type': 'hostname' },
    {},
  ],
] as const;
for (const [what, announced, more] of CLUSTERS) {
  t.test(`everything works on a cluster ${what}`, async (t) => {
    const tls = (port: number) => ({ port: 0, 'tls-port': port, 'tls-cluster': 'yes', ...settingsOf(ofLocalhost) });
    const cluster = await startCluster({ settings: (port) => ({ ...tls(port), ...announced }) });
    t.teardown(() => cluster.stop());
    const url = cluster.ports.map((port) => `rediss://localhost:${port}`).join(',');
    await worksThrough(t, trusting(url, more));
  });
}
