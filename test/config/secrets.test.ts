import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ensureSecrets } from '../../src/config/index.ts';
import { redisTarget } from '../../src/domain/redis-target.ts';

const dataDirOf = (t: Test): string => join(t.testdir(), 'data');
const EMBEDDED = { redis: null, authSecret: null, authPublicKeys: [], apiKeys: null };
const embedded = (dataDir: string) => ({ ...EMBEDDED, dataDir });

t.test('an embedded engine generates its secrets at the first start and keeps them', async (t) => {
  const dataDir = dataDirOf(t);
  const first = ensureSecrets(embedded(dataDir));
  t.ok((first.authSecret ?? '').length >= 32);
  t.same(Object.keys(first.apiKeys), ['host']);
  t.same(first.newApiKeys, first.apiKeys, 'to be printed');
  const second = ensureSecrets(embedded(dataDir));
  t.equal(second.authSecret, first.authSecret);
  t.same(second.apiKeys, first.apiKeys);
  t.same(second.newApiKeys, {}, 'only once');
});

t.test('the secrets file is readable by its owner only, also after a chmod', async (t) => {
  const dataDir = dataDirOf(t);
  ensureSecrets(embedded(dataDir));
  const path = join(dataDir, 'secrets.json');
  t.equal(statSync(path).mode & 0o777, 0o600);
  chmodSync(path, 0o644);
  ensureSecrets(embedded(dataDir));
  t.equal(statSync(path).mode & 0o777, 0o600);
});

t.test('configured secrets are used and create no file', async (t) => {
  const dataDir = dataDirOf(t);
  const config = { ...embedded(dataDir), authSecret: 'x'.repeat(32), apiKeys: { me: 'y'.repeat(16) } };
  t.match(ensureSecrets(config), { authSecret: 'x'.repeat(32), apiKeys: { me: 'y'.repeat(16) }, newApiKeys: {} });
  const shared = { ...embedded(dataDir), redis: redisTarget('redis://a'), authPublicKeys: ['pem'] };
  t.match(ensureSecrets(shared), { authSecret: null, apiKeys: {} });
  t.notOk(existsSync(dataDir));
});

t.test('with public keys no signing secret is generated', async (t) => {
  const secrets = ensureSecrets({ ...embedded(dataDirOf(t)), authPublicKeys: ['pem'] });
  t.equal(secrets.authSecret, null);
  t.same(Object.keys(secrets.apiKeys), ['host']);
});

t.test('a damaged file is an error and is not overwritten', async (t) => {
  const dataDir = dataDirOf(t);
  ensureSecrets(embedded(dataDir));
  const path = join(dataDir, 'secrets.json');
  for (const text of ['{"authSecret":', '{}', '[]', 'null', '{"authSecret":"short","apiKeys":{}}']) {
    writeFileSync(path, text);
    t.throws(() => ensureSecrets(embedded(dataDir)), /secrets\.json is damaged\. Delete it/);
    t.equal(readFileSync(path, 'utf8'), text);
  }
});
