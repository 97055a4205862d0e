/** Peers that are installed programs: NATS over WebSocket, and Nchan in nginx. */
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../launch/free-port.ts';
import { MESSAGE_BYTES, messageText } from './message.ts';
import { publishing } from './pace.ts';
import type { Peer, RunningPeer } from './peer.ts';
import { findProgram, startForeignProgram } from './processes.ts';

const HOST = '127.0.0.1';
const ROOM = 'room';
/** An unprivileged user id on common systems. */
const UNPRIVILEGED = 65_534;
const FORK_MS_MAX = 5_000;

export const nats: Peer = {
  name: 'nats',
  about: 'nats-server, subscribers over WebSocket, the publisher over TCP',
  startPerSecond: 200,
  missing: async () =>
    findProgram('nats-server') === null ? 'nats-server is not installed (apt-get install nats-server)' : null,
  async start() {
    const [port, webPort] = [await freePort(), await freePort()];
    return inFolder(async (folder) => {
      const conf = join(folder, 'nats.conf');
      writeFileSync(conf, natsConf(folder, port, webPort));
      const [name, command] = ['nats-server', findProgram('nats-server') ?? ''];
      const server = await startForeignProgram({ name, command, args: ['-c', conf], port: webPort, uid: UNPRIVILEGED });
      const socket = await openTcp(port, (text) => {
        if (text.includes('PING')) socket.write('PONG\r\n');
      });
      socket.write('CONNECT {"verbose":false,"pedantic":false,"lang":"bench","version":"1","protocol":1}\r\n');
      return {
        subscription: { host: HOST, port: webPort, path: '/', protocols: [], dialect: { kind: 'nats', subject: ROOM } },
        processes: [{ name: 'nats-server', pid: server.pid }],
        ...publishing(outletOf(socket), publication, server.stop),
      };
    });
  },
};

const publication = (number: number, due: number): Buffer =>
  latin1(`PUB ${ROOM} ${MESSAGE_BYTES}\r\n${messageText(number, due)}\r\n`);

const natsConf = (folder: string, port: number, webPort: number): string => `host: "${HOST}"
port: ${port}
max_connections: 20000
pid_file: "${join(folder, 'nats.pid')}"
websocket { host: "${HOST}", port: ${webPort}, no_tls: true, compression: false }
`;

const NCHAN_MODULES = ['lib', 'lib64', 'local/lib'].map((folder) => `/usr/${folder}/nginx/modules/ngx_nchan_module.so`);
/** A second of messages at the highest rate: with fewer, a slow subscriber would miss some. */
const NCHAN_BUFFERED_MESSAGES = 5_000;

export const nchan: Peer = {
  name: 'nchan',
  about: 'Nchan in nginx with one worker, published to over one pipelined connection',
  startPerSecond: 20,
  async missing() {
    if (findProgram('nginx') === null) return 'nginx is not installed (apt-get install nginx libnginx-mod-nchan)';
    return NCHAN_MODULES.some(existsSync)
      ? null
      : 'the nginx module nchan is not installed (apt-get install libnginx-mod-nchan)';
  },
  async start() {
    const port = await freePort();
    return inFolder(async (folder) => {
      const conf = join(folder, 'nginx.conf');
      writeFileSync(conf, nchanConf(folder, port));
      const command = findProgram('nginx') ?? '';
      const server = await startForeignProgram({ name: 'nginx', command, args: ['-p', folder, '-c', conf], port });
      const worker = await onlyChildOf(server.pid);
      let refusal = '';
      const socket = await openTcp(port, (text) => {
        if (/HTTP\/1\.1 [45]/.test(text)) refusal = text.slice(0, text.indexOf('\r\n'));
      });
      const head = `POST /say HTTP/1.1\r\nHost: ${HOST}\r\nContent-Type: text/plain\r\nContent-Length: `;
      const post = (number: number, due: number): Buffer =>
        latin1(`${head}${MESSAGE_BYTES}\r\n\r\n${messageText(number, due)}`);
      const { offer, stop } = publishing(outletOf(socket), post, server.stop);
      return {
        subscription: { host: HOST, port, path: '/listen', protocols: [], dialect: { kind: 'plain' } },
        processes: [
          { name: 'nginx worker', pid: worker },
          { name: 'nginx master', pid: server.pid },
        ],
        async offer(wanted) {
          const offered = await offer(wanted);
          if (refusal !== '') throw new Error(`nchan refused a message: ${refusal}`);
          return offered;
        },
        stop,
      };
    });
  },
};

function nchanConf(folder: string, port: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `  ${name}_temp_path ${join(folder, name)};`)
    .join('\n');
  // The temporary folder of the module is fixed when nginx is built. The master creates it, so the
  // worker needs a user with access to it.
  const group = readFileSync('/etc/group', 'utf8').includes('nogroup:') ? 'nogroup' : 'nobody';
  const user = process.getuid?.() === 0 ? `user nobody ${group};\n` : '';
  return `${user}load_module ${NCHAN_MODULES.find(existsSync)};
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid ${join(folder, 'nginx.pid')};
error_log stderr warn;
events { worker_connections 16000; }
http {
${temporary}
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  nchan_shared_memory_size 256M;
  server {
    listen ${HOST}:${port} backlog=4096;
    location = /say {
      nchan_publisher http;
      nchan_channel_id ${ROOM};
      nchan_message_buffer_length ${NCHAN_BUFFERED_MESSAGES};
      nchan_message_timeout 10s;
    }
    location = /listen {
      nchan_subscriber websocket;
      nchan_channel_id ${ROOM};
      nchan_subscriber_first_message newest;
    }
  }
}
`;
}

/** Starts a server with a temporary folder, which is removed with it. */
async function inFolder(start: (folder: string) => Promise<RunningPeer>): Promise<RunningPeer> {
  const folder = mkdtempSync(join(tmpdir(), 'stampede-peer-'));
  if (process.getuid?.() === 0) chownSync(folder, UNPRIVILEGED, UNPRIVILEGED);
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const running = await start(folder);
    return { ...running, stop: () => running.stop().then(remove) };
  } catch (error) {
    remove();
    throw error;
  }
}

const openTcp = (port: number, onText: (text: string) => void): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: HOST, port, noDelay: true }, () => resolve(socket));
    socket.setEncoding('latin1').on('data', (text) => onText(String(text)));
    socket.on('error', reject);
  });

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

const outletOf = (socket: Socket) => ({
  write: (bytes: Buffer) => socket.write(bytes),
  waitingBytes: () => socket.writableLength,
  close: () => void socket.destroy(),
});

/** nginx accepts connections before it forks its worker; the master only waits. */
async function onlyChildOf(pid: number): Promise<number> {
  for (const until = performance.now() + FORK_MS_MAX; performance.now() < until; await sleep(10)) {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    if (child) return Number(child);
  }
  throw new Error('nginx started no worker');
}
