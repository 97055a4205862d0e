/** Peers that are Node programs of this repository: bare socket server, `ws` package, Socket.IO. */
import type { ChildProcess, Serializable } from 'node:child_process';
import { RawSocket, textFrame } from '../generator/websocket.ts';
import { messageText } from './message.ts';
import { type Offered, publishing } from './pace.ts';
import type { Peer, RunningPeer } from './peer.ts';
import { findProgram, hasLibrary, type ServerProcess, startServerOnRedis, startServerProgram } from './processes.ts';
import type { BareOffer } from './servers/bare-uws.ts';

const HOST = '127.0.0.1';
const SOCKETIO_PATH = '/socket.io/?EIO=4&transport=websocket';

export const bareUws: Peer = {
  name: 'bare-uws',
  about: 'uWebSockets.js without an application: the limit of this machine for frames of the same size',
  startPerSecond: 2_000,
  missing: async () => (hasLibrary('uWebSockets.js') ? null : 'the package uWebSockets.js is not installed'),
  async start({ messagesPerFrame, bytesPerMessage }) {
    const server = await startServerProgram('bare-uws');
    let number = 0;
    return {
      subscription: subscriptionTo(server, '/', { kind: 'packed', messageBytes: bytesPerMessage }),
      processes: [{ name: 'bare-uws', pid: server.pid }],
      async offer(offer) {
        const order: BareOffer = { ...offer, firstNumber: number, messagesPerFrame, bytesPerMessage };
        const offered = await request<Offered>(server.child, order);
        number += offered.sent;
        // Publisher and server are one process: its delay is part of the latency.
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
    const publisher = await openPublisher(server.port, '/say');
    return {
      subscription: subscriptionTo(server, '/listen', { kind: 'plain' }),
      processes: [{ name: 'ws', pid: server.pid }],
      ...publishing(outletOf(publisher), (number, due) => textFrame(messageText(number, due)), server.stop),
    };
  },
};

export const socketIo: Peer = {
  name: 'socketio',
  about: 'Socket.IO with its Redis adapter and a dedicated Redis',
  startPerSecond: 10,
  async missing() {
    const library = ['socket.io', '@socket.io/redis-adapter'].find((name) => !hasLibrary(name));
    if (library !== undefined) return `the package ${library} is not installed (npm install in a clone)`;
    return findProgram('redis-server') === null ? 'redis-server is not installed' : null;
  },
  async start() {
    const server = await startServerOnRedis('socketio', 'off');
    try {
      return {
        subscription: subscriptionTo(server, SOCKETIO_PATH, { kind: 'socketio' }),
        processes: [
          { name: 'socketio', pid: server.pid },
          { name: 'redis', pid: server.redis.pid },
        ],
        ...publishing(outletOf(await openSocketIo(server.port)), sayPacket, server.stop),
      };
    } catch (error) {
      await server.stop();
      throw error;
    }
  },
};

const sayPacket = (number: number, due: number): Buffer => textFrame(`42["say","${messageText(number, due)}"]`);

const subscriptionTo = (
  { port }: ServerProcess,
  path: string,
  dialect: RunningPeer['subscription']['dialect'],
): RunningPeer['subscription'] => ({ host: HOST, port, path, protocols: [], dialect });

const request = <T>(child: ChildProcess, message: Serializable): Promise<T> =>
  new Promise((resolve, reject) => {
    const onExit = (): void => reject(new Error('the server ended'));
    child.once('exit', onExit);
    child.once('message', (reply) => {
      child.off('exit', onExit);
      resolve(reply as T);
    });
    child.send(message);
  });

export const outletOf = (socket: RawSocket) => ({
  write: (frames: Buffer) => socket.sendFrames(frames),
  waitingBytes: () => socket.waitingBytes,
  close: () => socket.destroy(),
});

type OnMessage = (socket: RawSocket, payload: Buffer) => void;
const openPublisher = (port: number, path: string, onMessage: OnMessage = () => {}): Promise<RawSocket> =>
  new Promise((resolve, reject) => {
    const socket: RawSocket = new RawSocket(
      { host: HOST, port, path, protocols: [] },
      {
        onOpen: () => resolve(socket),
        onMessage: (payload) => onMessage(socket, payload),
        onClose: (code) => reject(new Error(`the publisher's connection closed with ${code}`)),
      },
    );
  });

/** Resolves after `40`, the reply to the connect packet. Replies to pings (`2`) with `3`. */
const openSocketIo = (port: number): Promise<RawSocket> =>
  new Promise((resolve, reject) =>
    openPublisher(port, `${SOCKETIO_PATH}&publisher=1`, (socket, payload) => {
      const packet = payload.toString('latin1', 0, 2);
      if (packet.startsWith('0')) socket.sendFrames(textFrame('40'));
      else if (packet === '40') resolve(socket);
      else if (packet === '2') socket.sendFrames(textFrame('3'));
    }).catch(reject),
  );
