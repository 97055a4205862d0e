/** The gateway speaks TLS itself: WebSocket, health, and the same refusals. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { WebSocket } from 'ws';
import { configErrorsText, loadConfig } from '../../src/config/index.ts';
import { Client, startWorld } from './harness.ts';

const folder = mkdtempSync(join(tmpdir(), 'stampede-tls-'));
const file = (name: string): string => join(folder, name);
t.teardown(() => rmSync(folder, { recursive: true }));
const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-days', '2', '-subj', '/CN=localhost'];
openssl(
  'req',
  '-x509',
  ...NEW_KEY,
  '-addext',
  'subjectAltName=IP:127.0.0.1',
  '-nodes',
  '-keyout',
  'key.pem',
  '-out',
  'cert.pem',
);
openssl('req', '-x509', ...NEW_KEY, '-nodes', '-keyout', 'other-key.pem', '-out', 'other-cert.pem');
openssl('pkcs8', '-topk8', '-in', 'key.pem', '-out', 'locked-key.pem', '-passout', 'pass:open sesame');

const ca = readFileSync(file('cert.pem'));
const PLAIN = { certFile: file('cert.pem'), keyFile: file('key.pem'), passphrase: null };

for (const [what, tls] of [
  ['a key', PLAIN],
  ['an encrypted key', { ...PLAIN, keyFile: file('locked-key.pem'), passphrase: 'open sesame' }],
] as const) {
  t.test(`wss and https with ${what}`, async (t) => {
    const world = await startWorld(t, { gateway: { tls } });
    const { port } = world.node;
    const client = new Client(
      `wss://127.0.0.1:${port}/v1/shows/${world.show}`,
      ['stampede.v1.json', `token.${world.token('ann')}`],
      'json',
      ca,
    );
    await client.opened;
    t.match(await client.type('welcome'), { you: { user: 'ann' } });
    t.match(await client.ask({ t: 'sync', at: 1 }), { t: 'ok' });
    client.cut();

    t.same(await Promise.all(['/healthz', '/readyz', '/nothing'].map((path) => statusOf(port, path))), [200, 200, 404]);
    const refused = new WebSocket(
      `wss://127.0.0.1:${port}/v1/shows/${world.show}`,
      ['stampede.v1.json', 'token.forged'],
      { ca },
    );
    refused.on('error', () => {});
    const [, response] = (await once(refused, 'unexpected-response')) as [unknown, { statusCode: number }];
    t.equal(response.statusCode, 401);

    const plain = connect(port, '127.0.0.1');
    plain.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    let said = '';
    plain.on('data', (bytes) => {
      said += bytes.toString('latin1');
    });
    plain.on('error', () => {});
    await once(plain, 'close');
    t.notMatch(said, /HTTP/, 'nothing is served in the clear');
  });
}

function statusOf(port: number, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, ca, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on('error', reject);
  });
}

t.test('settings: both files or none, and what is wrong with them is said before anything starts', async (t) => {
  const load = (env: Record<string, string>) => loadConfig({ argv: [], env });
  const good = load({
    TLS_CERT_FILE: file('cert.pem'),
    TLS_KEY_FILE: file('locked-key.pem'),
    TLS_KEY_PASSPHRASE: 'open sesame',
  });
  t.match(good.ok && good.config.tls, { certFile: file('cert.pem'), passphrase: 'open sesame' });
  t.equal(load({}).ok, true);
  const bad: ReadonlyArray<[Record<string, string>, RegExp]> = [
    [{ TLS_CERT_FILE: file('cert.pem') }, /TLS_KEY_FILE: is needed with TLS_CERT_FILE/],
    [{ TLS_KEY_FILE: file('key.pem') }, /TLS_CERT_FILE: is needed with TLS_KEY_FILE/],
    [{ TLS_KEY_PASSPHRASE: 'x' }, /TLS_KEY_PASSPHRASE: opens nothing without TLS_KEY_FILE/],
    [
      { TLS_CERT_FILE: file('absent.pem'), TLS_KEY_FILE: file('key.pem') },
      /TLS_CERT_FILE: .*absent\.pem cannot be read \(ENOENT\)/,
    ],
    [{ TLS_CERT_FILE: file('cert.pem'), TLS_KEY_FILE: folder }, /TLS_KEY_FILE: .* cannot be read \(EISDIR\)/],
    [
      { TLS_CERT_FILE: file('key.pem'), TLS_KEY_FILE: file('key.pem') },
      /TLS_CERT_FILE: .*key\.pem is not a PEM certificate/,
    ],
    [
      { TLS_CERT_FILE: file('cert.pem'), TLS_KEY_FILE: file('cert.pem') },
      /TLS_KEY_FILE: .*cert\.pem is not a PEM private key/,
    ],
    [
      { TLS_CERT_FILE: file('cert.pem'), TLS_KEY_FILE: file('other-key.pem') },
      /TLS_KEY_FILE: .*other-key\.pem is not the key of the certificate/,
    ],
    [
      { TLS_CERT_FILE: file('cert.pem'), TLS_KEY_FILE: file('locked-key.pem') },
      /TLS_KEY_FILE: .*opens without a passphrase/,
    ],
    [
      { TLS_CERT_FILE: file('cert.pem'), TLS_KEY_FILE: file('locked-key.pem'), TLS_KEY_PASSPHRASE: 'wrong' },
      /TLS_KEY_FILE: .*that TLS_KEY_PASSPHRASE opens/,
    ],
  ];
  for (const [env, says] of bad) {
    const loaded = load(env);
    t.match(loaded.ok ? '' : configErrorsText(loaded.errors), says);
    t.notMatch(loaded.ok ? '' : configErrorsText(loaded.errors), /wrong|sesame/, 'a passphrase is never repeated');
  }
});
