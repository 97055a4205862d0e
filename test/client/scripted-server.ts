/** A WebSocket server that follows a script, for situations that a gateway does not produce. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { WebSocket, WebSocketServer } from 'ws';
import { type ClientOptions, connect, type StampedeClient } from '../../src/client/index.ts';
import type { ClientMessage, Frame, ServerMessage, Welcome } from '../../src/protocol/messages.ts';
import { showView } from '../support/show-view.ts';

export interface Visit {
  readonly url: URL;
  readonly protocols: string[];
  readonly socket: WebSocket;
  readonly received: ClientMessage[];
  say(message: ServerMessage): void;
}

export interface ScriptedServer {
  readonly url: string;
  readonly visits: Visit[];
  /** Resolves with the connection of this index. */
  visit(index: number): Promise<Visit>;
}

export const WELCOME: Welcome = {
  t: 'welcome',
  v: 1,
  at: 1_000,
  node: 'n1',
  epoch: 'e1',
  offset: 3,
  chat: [],
  you: { user: 'u1', name: 'Ana', role: 'buyer', expiresAt: null, reservations: [], waits: [] },
  limits: {
    frameBytes: 16_384,
    chatChars: 280,
    chatPerSecond: 1,
    requestsPerSecond: 1,
    heartbeatMs: 25_000,
    idleMs: 60_000,
  },
  snapshot: { epoch: 'e1', offset: 3, products: [], sales: [], state: {}, show: showView({ title: 'Demo' }) },
};

export const frame = (more: Partial<Frame>): Frame => ({ t: 'frame', at: 1, epoch: 'e1', ...more });
/** Returns a frame of announcements with these offsets; the text is `n` and the offset. */
export const announcements = (...offsets: number[]): Frame =>
  frame({ events: offsets.map((offset) => ({ offset, at: 1, type: 'announcement', data: { text: `n${offset}` } })) });

/** `greet` runs for every connection, `onMessage` for every message except clock exchanges. */
interface Script {
  greet?: (visit: Visit, index: number) => void;
  onMessage?: (visit: Visit, message: ClientMessage) => void;
  /** Clock exchanges get no reply. */
  ignoresSync?: boolean;
}

export async function serve(t: Test, script: Script = {}): Promise<ScriptedServer> {
  const handleProtocols = (offered: Set<string>): string | false => [...offered][0] ?? false;
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols });
  t.teardown(async () => {
    for (const socket of server.clients) socket.terminate();
    await new Promise((closed) => server.close(closed));
  });
  await once(server, 'listening');
  const visits: Visit[] = [];
  const waiting: Array<() => void> = [];
  server.on('connection', (socket, request) => {
    const visit: Visit = {
      url: new URL(request.url ?? '/', 'ws://x'),
      protocols: (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim()),
      socket,
      received: [],
      say: (message) => socket.send(JSON.stringify(message)),
    };
    visits.push(visit);
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as ClientMessage;
      if (message.t === 'sync' && script.ignoresSync) return;
      if (message.t === 'sync')
        return visit.say({ t: 'ok', id: message.id, at: Date.now(), data: { received: Date.now(), sent: Date.now() } });
      visit.received.push(message);
      script.onMessage?.(visit, message);
    });
    (script.greet ?? ((one) => one.say(WELCOME)))(visit, visits.length - 1);
    for (const wake of waiting.splice(0)) wake();
  });
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    visits,
    async visit(index) {
      for (;;) {
        const visit = visits[index];
        if (visit !== undefined) return visit;
        await new Promise<void>((wake) => waiting.push(wake));
      }
    },
  };
}

/** Connects without jitter. */
export function join(t: Test, url: string, more: Partial<ClientOptions> = {}): StampedeClient {
  const client = connect({ url, show: 'demo', token: 'abc.def.ghi', WebSocket, random: () => 0, ...more });
  t.teardown(() => client.close());
  return client;
}

/** Serves a script and connects a client that has its welcome. */
export async function joined(t: Test, script: Script = {}, more: Partial<ClientOptions> = {}) {
  const server = await serve(t, script);
  const client = join(t, server.url, more);
  await new Promise((resolve) => client.once('welcome', resolve));
  return { server, client };
}
