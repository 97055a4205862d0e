/** Runs nginx and Caddy with the examples of scripts/deploy, which get the ports of the test. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { temporaryFolder } from '../cli/program.ts';
import { selfSigned } from '../support/self-signed.ts';
import { until } from '../support/until.ts';
import { read } from './compose.ts';

export interface Upstreams {
  readonly gatewayPort: number;
  readonly controlPort: number;
}

type Start = (t: Test, port: number, upstreams: Upstreams, edits?: Edits) => Promise<void>;
type Edits = ReadonlyArray<readonly [from: string, to: string]>;

/** Throws if the example does not contain a text. */
function edited(text: string, edits: Edits): string {
  return edits.reduce((all, [from, to]) => {
    if (!all.includes(from)) throw new Error(`the example does not contain ${from}`);
    return all.replaceAll(from, to);
  }, text);
}

const isInstalled = (program: string, flag: string): boolean =>
  spawnSync(program, [flag], { stdio: 'ignore' }).error === undefined;

/** Starts the program and waits for its port. It ends with the test. */
async function run(t: Test, command: readonly string[], env: Record<string, string>, port: number): Promise<void> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text));
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  t.teardown(async () => {
    kill();
    await ended;
    process.off('exit', kill);
  });
  const listens = async (): Promise<boolean> => {
    if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}:\n${output}`);
    return new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.end());
    });
  };
  await until(listens, `${program} listens`);
}

const startNginx: Start = async (t, port, { gatewayPort, controlPort }, edits = []) => {
  const folder = temporaryFolder(t);
  const { certFile, keyFile } = selfSigned(folder, 'nginx');
  const site = edited(read('scripts/deploy/nginx/stampede.conf'), [
    ['127.0.0.1:8080', `127.0.0.1:${gatewayPort}`],
    ['127.0.0.1:8081', `127.0.0.1:${controlPort}`],
    ['listen 443', `listen 127.0.0.1:${port}`],
    ['/etc/ssl/shop.example.pem', certFile],
    ['/etc/ssl/shop.example.key', keyFile],
    ['/var/log/nginx/stampede.log', join(folder, 'access.log')],
    ...edits,
  ]);
  writeFileSync(join(folder, 'site.conf'), site);
  mkdirSync(join(folder, 'temp'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path temp/${name};`,
  );
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid nginx.pid; error_log stderr;
     events { worker_connections 256; }
     http { ${temporary.join(' ')} include site.conf; }`,
  );
  await run(t, ['nginx', '-p', folder, '-c', 'nginx.conf', '-e', 'stderr'], {}, port);
};

const startCaddy: Start = async (t, port, { gatewayPort, controlPort }) => {
  const folder = temporaryFolder(t);
  const { certFile, keyFile } = selfSigned(folder, 'caddy');
  const site = '{$SITE:shop.example} {';
  const options = `{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system ${folder}\n}\n`;
  const edits: Edits = [[site, `${site}\n\ttls ${certFile} ${keyFile}`]];
  const file = join(folder, 'Caddyfile');
  writeFileSync(file, options + edited(read('scripts/deploy/caddy/Caddyfile'), edits));
  const env = {
    SITE: `https://127.0.0.1:${port}`,
    GATEWAY: `127.0.0.1:${gatewayPort}`,
    CONTROL: `127.0.0.1:${controlPort}`,
    XDG_CONFIG_HOME: folder,
  };
  await run(t, ['caddy', 'run', '--config', file, '--adapter', 'caddyfile'], env, port);
};

export const PROXIES: ReadonlyArray<{ name: string; skip: false | string; start: Start }> = [
  { name: 'nginx', skip: isInstalled('nginx', '-v') ? false : 'nginx is not installed', start: startNginx },
  { name: 'Caddy', skip: isInstalled('caddy', 'version') ? false : 'Caddy is not installed', start: startCaddy },
];
