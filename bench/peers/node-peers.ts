/**
 * Peers that are programs of ours around a library: the bare socket server, the `ws` package,
 * Socket.IO.
 */
import type { ChildProcess, Serializable } from 'node:child_process';
import { Line } from './line.ts';
import { messageText } from './message.ts';
import { type Offered, pace } from './pace.ts';
import type { Peer, RunningPeer } from './peer.ts';
import { findProgram, hasLibrary, type ServerProcess, startServerOnRedis, startServerProgram } from './processes.ts';
import type { BareOffer } from './servers/bare-uws.ts';
import { clientText, type FrameHandler } from './websocket-frames.ts';

const HOST = '127.0.0.1';
/** More than this waiting to be written, and the server is no longer taking what it is sent. */
export const WAITING_BYTES_MAX = 32 * 1024 * 1024;

export const bareUws: Peer = {
  name: 'bare-uws',
  about: 'uWebSockets.js with no application: the limit of this machine for frames of the same size',
  startPerSecond: 2_000,
  missing: async () => (hasLibrary('uWebSockets.js') ? null : 'the package uWebSockets.js is not installed'),
  async start({ messagesPerFrame, bytesPerMessage }) {
    const server = await startServerProgram('bare-uws');
    let number = 0;
    return {
      subscription: {
        host: HOST,
        port: server.port,
        path: '/',
        protocols: [],
        dialect: { kind: 'packed', messageBytes: bytesPerMessage },
      },
      processes: [{ name: 'bare-uws', pid: server.pid }],
      async offer(offer) {
        const told: BareOffer = { ...offer, firstNumber: number, messagesPerFrame, bytesPerMessage };
        const offered = await answerOf<Offered>(server.child, told);
        number += offered.sent;
        // Publisher and server are one process: late means busy, and that stands in the latency.
        return { ...offered, late: 0 };
      },
      stop: server.stop,
    };
  },
};

export const plainWs: Peer = {
  name: 'ws',
  about: 'the ws package and a loop over all sockets',
  startPerSecond: 20,
  missing: async () => (hasLibrary('ws') ? null : 'the package ws is not installed (npm install in a clone)'),
  async start() {
    const server = await startServerProgram('ws');
    const line = await openLine(server.port, '/say');
    return {
      subscription: { host: HOST, port: server.port, path: '/listen', protocols: [], dialect: { kind: 'plain' } },
      processes: [{ name: 'ws', pid: server.pid }],
      ...publishing(line, (text) => clientText(text), server),
    };
  },
};

export const socketIo: Peer = {
  name: 'socketio',
  about: 'Socket.IO with its Redis adapter and a Redis of its own',
  startPerSecond: 10,
  async missing() {
    const library = ['socket.io', '@socket.io/redis-adapter'].find((name) => !hasLibrary(name));
    if (library !== undefined) return `the package ${library} is not installed (npm install in a clone)`;
    return findProgram('redis-server') === null ? 'redis-server is not installed' : null;
  },
  async start() {
    const server = await startServerOnRedis('socketio', 'off');
    try {
      const line = await openSocketIo(server.port);
      return {
        subscription: {
          host: HOST,
          port: server.port,
          path: SOCKETIO_PATH,
          protocols: [],
          dialect: { kind: 'socketio' },
        },
        processes: [
          { name: 'socketio', pid: server.pid },
          { name: 'redis', pid: server.redis.pid },
        ],
        ...publishing(line, (text) => clientText(`42["say","${text}"]`), server),
      };
    } catch (error) {
      await server.stop();
      throw error;
    }
  },
};

const SOCKETIO_PATH = '/socket.io/?EIO=4&transport=websocket';

/** One question, one answer. */
function answerOf<T>(child: ChildProcess, question: Serializable): Promise<T> {
  return new Promise((resolve, reject) => {
    const gone = (): void => reject(new Error('the server ended'));
    child.once('exit', gone);
    child.once('message', (message) => {
      child.off('exit', gone);
      resolve(message as T);
    });
    child.send(question);
  });
}

/** One publisher's line, and messages on it at a steady rate. */
function publishing(
  line: Line,
  frameOf: (text: string) => Buffer,
  server: ServerProcess,
): Pick<RunningPeer, 'offer' | 'stop'> {
  let number = 0;
  let frames: Buffer[] = [];
  return {
    async offer(offer) {
      const offered = await pace({
        ...offer,
        firstNumber: number,
        publish: (next, dueMicros) => frames.push(frameOf(messageText(next, dueMicros))),
        flush() {
          if (frames.length > 0) line.write(Buffer.concat(frames));
          frames = [];
          return line.waitingBytes > WAITING_BYTES_MAX;
        },
      });
      number += offered.sent;
      return offered;
    },
    async stop() {
      line.destroy();
      await server.stop();
    },
  };
}

function openLine(port: number, path: string, onFrame: (line: Line) => FrameHandler = () => () => {}): Promise<Line> {
  return new Promise((resolve, reject) => {
    const line: Line = new Line(
      { host: HOST, port, path },
      {
        onOpen: () => resolve(line),
        onFrame: (...frame) => onFrame(line)(...frame),
        onClose: (why) => reject(new Error(`the publisher: ${why}`)),
      },
    );
  });
}

/** Connected means answered `40`; pings (`2`) are answered as long as the line lives. */
async function openSocketIo(port: number): Promise<Line> {
  let connected: () => void = () => {};
  const done = new Promise<void>((resolve) => {
    connected = resolve;
  });
  const line = await openLine(port, `${SOCKETIO_PATH}&publisher=1`, (own) => (_opcode, bytes, from, to) => {
    const packet = bytes.toString('latin1', from, Math.min(to, from + 2));
    if (packet.startsWith('0')) own.write(clientText('40'));
    else if (packet === '40') connected();
    else if (packet === '2') own.write(clientText('3'));
  });
  await done;
  return line;
}
