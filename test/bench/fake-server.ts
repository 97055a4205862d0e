/**
 * Speaks just enough of the protocol to be loaded, with a known delay, a known loss and stalls on
 * command: what the generator says about it can be checked.
 */
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Gate } from '../../bench/scenarios/target.ts';
import { CODECS } from '../../src/protocol/codec.ts';
import type { ServerMessage, Variant } from '../../src/protocol/messages.ts';

export interface FakeServer {
  readonly gate: Gate;
  /** Who wrote what, in the order it came. */
  readonly heard: Array<{ readonly user: string; readonly text: string }>;
  readonly lost: number;
  /** Nothing is answered for so long; then everything at once. */
  stall(forMs: number): void;
  close(): Promise<void>;
}

export interface FakeServerOptions {
  /** From hearing a chat message to its answer and to its delivery. */
  readonly delayMs?: number;
  /** Every so many-th chat message is neither answered nor delivered. */
  readonly loseEvery?: number;
  /** Delivered to nobody, though answered: a silent gap. */
  readonly gapEvery?: number;
}

/** The user of an unsigned look at the token: nothing is verified here. */
const userOf = (protocols: string): string => {
  const payload = /token\.[^.]+\.([^.,]+)\./.exec(protocols)?.[1];
  return payload === undefined
    ? 'guest'
    : (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sub: string }).sub;
};

export async function startFakeServer({
  delayMs = 0,
  loseEvery = 0,
  gapEvery = 0,
}: FakeServerOptions = {}): Promise<FakeServer> {
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    handleProtocols: (offered) => [...offered].find((name) => name.startsWith('stampede.')) ?? false,
  });
  await new Promise((resolve) => server.once('listening', resolve));
  const viewers = new Map<WebSocket, Variant>();
  const heard: FakeServer['heard'] = [];
  let lost = 0;
  let ids = 0;
  let stalledUntilMs = 0;
  const send = (socket: WebSocket, message: unknown): void => {
    const codec = CODECS[viewers.get(socket) ?? 'json'];
    socket.send(codec.encode(message as ServerMessage), { binary: codec.binary });
  };
  const later = (work: () => void): void => {
    const waitMs = Math.max(delayMs, stalledUntilMs - performance.now());
    if (waitMs > 0) setTimeout(work, waitMs);
    else work();
  };
  server.on('connection', (socket, request) => {
    const user = userOf(request.headers['sec-websocket-protocol'] ?? '');
    viewers.set(socket, socket.protocol.replace('stampede.v1.', '') as Variant);
    socket.on('error', () => {});
    socket.on('close', () => viewers.delete(socket));
    later(() => send(socket, { t: 'welcome', v: 1, at: Date.now(), node: 'fake', epoch: 'e', offset: 0, chat: [] }));
    socket.on('message', (data: Buffer, binary) => {
      const decoded = CODECS[viewers.get(socket) ?? 'json'].decode(binary ? data : data.toString());
      if (!decoded.ok) throw new Error('the generator sent something that is no message');
      const { t, id, text } = decoded.value as { t: string; id: number; text: string };
      if (t !== 'chat') return;
      heard.push({ user, text });
      if (loseEvery > 0 && heard.length % loseEvery === 0) {
        lost++;
        return;
      }
      const chat = ++ids;
      later(() => {
        send(socket, { t: 'ok', id, at: Date.now(), data: { chat } });
        if (gapEvery > 0 && chat % gapEvery === 0) return;
        for (const viewer of viewers.keys())
          send(viewer, { t: 'frame', at: Date.now(), chat: [[chat, Date.now(), [[0, 0, user, text]]]] });
      });
    });
  });
  return {
    gate: { host: '127.0.0.1', port: (server.address() as AddressInfo).port, pathPrefix: '' },
    heard,
    get lost() {
      return lost;
    },
    stall(forMs) {
      stalledUntilMs = performance.now() + forMs;
    },
    close() {
      for (const socket of viewers.keys()) socket.terminate();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
