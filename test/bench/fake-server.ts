/** A server with a known delay, loss and stalls, which the generator must measure. */
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { CODECS } from '../../src/protocol/codec.ts';
import type { ServerMessage, Variant } from '../../src/protocol/messages.ts';

export type FakeServer = Awaited<ReturnType<typeof startFakeServer>>;

export interface FakeServerOptions {
  /** From a chat message to its reply and its delivery. */
  readonly delayMs?: number;
  /** Every so many-th chat message gets no reply and no delivery. */
  readonly loseEvery?: number;
  /** Every so many-th accepted message is not delivered. */
  readonly gapEvery?: number;
}

/** The user of the token, without verification. */
const userOf = (protocols: string): string => {
  const payload = /token\.[^.]+\.([^.,]+)\./.exec(protocols)?.[1];
  if (payload === undefined) return 'guest';
  return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { sub: string }).sub;
};

export async function startFakeServer({ delayMs = 0, loseEvery = 0, gapEvery = 0 }: FakeServerOptions = {}) {
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    handleProtocols: (offered) => [...offered].find((name) => name.startsWith('stampede.')) ?? false,
  });
  await new Promise((resolve) => server.once('listening', resolve));
  const viewers = new Map<WebSocket, Variant>();
  /** All chat messages in order. */
  const received: Array<{ readonly user: string; readonly text: string }> = [];
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
      if (!decoded.ok) throw new Error('the generator sent no message');
      const { t, id, text } = decoded.value as { t: string; id: number; text: string };
      if (t !== 'chat') return;
      received.push({ user, text });
      if (loseEvery > 0 && received.length % loseEvery === 0) {
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
    gateway: { host: '127.0.0.1', port: (server.address() as AddressInfo).port, pathPrefix: '' },
    received,
    get lost() {
      return lost;
    },
    /** Sends nothing for so long, then everything at once. */
    stall(forMs: number) {
      stalledUntilMs = performance.now() + forMs;
    },
    close(): Promise<void> {
      for (const socket of viewers.keys()) socket.terminate();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
