/**
 * Secrets of an embedded engine: made once, kept for their owner only, never made where they are
 * configured.
 */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ensureSecrets } from '../../src/config/index.ts';

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'stampede-secrets-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return join(made, 'data');
}
const embedded = (dataDir: string) => ({
  redisUrl: null,
  authSecret: null,
  authPublicKeys: [],
  apiKeys: null,
  dataDir,
});

t.test('made at the first start, the same at the next', async (t) => {
  const dataDir = folder(t);
  const first = ensureSecrets(embedded(dataDir));
  t.ok((first.authSecret ?? '').length >= 32);
  t.same(Object.keys(first.apiKeys), ['host']);
  t.same(first.newApiKeys, first.apiKeys, 'told once');
  const second = ensureSecrets(embedded(dataDir));
  t.equal(second.authSecret, first.authSecret);
  t.same(second.apiKeys, first.apiKeys);
  t.same(second.newApiKeys, {}, 'and not again');
});

t.test('readable by the owner only, also when somebody loosened it', async (t) => {
  const dataDir = folder(t);
  ensureSecrets(embedded(dataDir));
  const path = join(dataDir, 'secrets.json');
  t.equal(statSync(path).mode & 0o777, 0o600);
  chmodSync(path, 0o644);
  ensureSecrets(embedded(dataDir));
  t.equal(statSync(path).mode & 0o777, 0o600);
});

t.test('what is configured wins and leaves no file', async (t) => {
  const dataDir = folder(t);
  const config = { ...embedded(dataDir), authSecret: 'x'.repeat(32), apiKeys: { me: 'y'.repeat(16) } };
  t.match(ensureSecrets(config), { authSecret: 'x'.repeat(32), apiKeys: { me: 'y'.repeat(16) }, newApiKeys: {} });
  t.match(ensureSecrets({ ...embedded(dataDir), redisUrl: 'redis://a', authPublicKeys: ['pem'] }), {
    authSecret: null,
    apiKeys: {},
  });
  t.notOk(existsSync(dataDir));
});

t.test('with public keys no signing secret comes into being behind the back of the identity provider', async (t) => {
  const made = ensureSecrets({ ...embedded(folder(t)), authPublicKeys: ['pem'] });
  t.equal(made.authSecret, null);
  t.same(Object.keys(made.apiKeys), ['host']);
});

t.test('a damaged file is an error that says what to do, and is not overwritten', async (t) => {
  const dataDir = folder(t);
  ensureSecrets(embedded(dataDir));
  const path = join(dataDir, 'secrets.json');
  for (const text of ['{"authSecret":', '{}', '[]', 'null', '{"authSecret":"short","apiKeys":{}}']) {
    writeFileSync(path, text);
    t.throws(() => ensureSecrets(embedded(dataDir)), /secrets\.json is damaged\. Delete it/);
    t.equal(readFileSync(path, 'utf8'), text);
  }
});
