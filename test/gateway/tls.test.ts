/** TLS of the gateway: WebSocket, health, errors and settings. */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { configErrorsText, loadConfig } from '../../src/config/index.ts';
import { selfSigned } from '../support/self-signed.ts';
import { Client, refusedUpgrade } from './client.ts';
import { startWorld } from './harness.ts';

const folder = t.testdir();
const file = (name: string): string => join(folder, name);
const { certFile, keyFile } = selfSigned(folder);
const lockedKeyFile = file('locked-key.pem');
execFileSync('openssl', ['pkcs8', '-topk8', '-in', keyFile, '-out', lockedKeyFile, '-passout', 'pass:open sesame']);

const ca = readFileSync(certFile);
const PLAIN = { certFile, keyFile, passphrase: null };

for (const [what, tls] of [
  ['a key', PLAIN],
  ['an encrypted key', { ...PLAIN, keyFile: lockedKeyFile, passphrase: 'open sesame' }],
] as const) {
  t.test(`the gateway serves wss and https with ${what}`, async (t) => {
    const world = await startWorld(t, { gateway: { tls } });
    const { port } = world.node;
    const url = `wss://127.0.0.1:${port}/v1/shows/${world.show}`;
    const client = new Client(url, ['stampede.v1.json', `token.${world.token('ann')}`], 'json', ca);
    await client.opened;
    t.match(await client.type('welcome'), { you: { user: 'ann' } });
    t.match(await client.request({ t: 'sync', at: 1 }), { t: 'ok' });
    client.terminate();

    t.same(await Promise.all(['/healthz', '/readyz', '/nothing'].map((path) => statusOf(port, path))), [200, 200, 404]);
    t.equal((await refusedUpgrade(url, ['token.forged'], { ca })).status, 401);

    const plain = connect(port, '127.0.0.1');
    plain.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n');
    const received: Buffer[] = [];
    plain.on('data', (bytes) => received.push(bytes));
    plain.on('error', () => {});
    await once(plain, 'close');
    t.notMatch(String(Buffer.concat(received)), /HTTP/, 'nothing is served without TLS');
  });
}

async function statusOf(port: number, path: string): Promise<number | undefined> {
  const [response] = await once(get({ host: '127.0.0.1', port, path, ca, agent: false }), 'response');
  return response.resume().statusCode;
}

t.test('invalid TLS settings are configuration errors', async (t) => {
  const load = (...[cert, key, passphrase]: Array<string | undefined>) => {
    const env = { TLS_CERT_FILE: cert, TLS_KEY_FILE: key, TLS_KEY_PASSPHRASE: passphrase };
    return loadConfig({ argv: [], env: Object.fromEntries(Object.entries(env).filter(([, value]) => value)) });
  };
  const good = load(certFile, lockedKeyFile, 'open sesame');
  t.match(good.ok && good.config.tls, { certFile, passphrase: 'open sesame' });
  t.equal(load().ok, true);
  const { keyFile: otherKeyFile } = selfSigned(folder, 'other');
  const bad: ReadonlyArray<[Array<string | undefined>, RegExp]> = [
    [[certFile], /TLS_KEY_FILE: is needed with TLS_CERT_FILE/],
    [[undefined, keyFile], /TLS_CERT_FILE: is needed with TLS_KEY_FILE/],
    [[undefined, undefined, 'x'], /TLS_KEY_PASSPHRASE: opens nothing without TLS_KEY_FILE/],
    [[file('absent.pem'), keyFile], /TLS_CERT_FILE: .*absent\.pem cannot be read \(ENOENT\)/],
    [[certFile, folder], /TLS_KEY_FILE: .* cannot be read \(EISDIR\)/],
    [[keyFile, keyFile], /TLS_CERT_FILE: .*key\.pem is not a PEM certificate/],
    [[certFile, certFile], /TLS_KEY_FILE: .*cert\.pem is not a PEM private key/],
    [[certFile, otherKeyFile], /TLS_KEY_FILE: .*other-key\.pem is not the key of the certificate/],
    [[certFile, lockedKeyFile], /TLS_KEY_FILE: .*opens without a passphrase/],
    [[certFile, lockedKeyFile, 'wrong'], /TLS_KEY_FILE: .*that TLS_KEY_PASSPHRASE opens/],
  ];
  for (const [files, expected] of bad) {
    const loaded = load(...files);
    const text = loaded.ok ? '' : configErrorsText(loaded.errors);
    t.match(text, expected);
    t.notMatch(text, /wrong|sesame/, 'a passphrase is never repeated');
  }
});
