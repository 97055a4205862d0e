/**
 * A WebSocket server that says exactly what a test tells it to: for the moments a real gateway does
 * not produce on demand.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ClientMessage, ServerMessage, Welcome } from '../../src/protocol/messages.ts';
import { showView } from '../support/show-view.ts';

export interface Visit {
  readonly url: URL;
  readonly protocols: string[];
  readonly socket: WebSocket;
  readonly heard: ClientMessage[];
  say(message: ServerMessage): void;
}

export interface ScriptedServer {
  readonly url: string;
  readonly visits: Visit[];
  /** The n-th visit, 0 first; waits for it. */
  visit(index: number): Promise<Visit>;
  close(): Promise<void>;
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
    frameBytes: 16384,
    chatChars: 280,
    chatPerSecond: 3,
    requestsPerSecond: 20,
    heartbeatMs: 25_000,
    idleMs: 60_000,
  },
  snapshot: {
    epoch: 'e1',
    offset: 3,
    products: [],
    sales: [],
    state: {},
    show: showView({ id: 'demo', title: 'Demo' }),
  },
};

/**
 * `greet` runs for every connection; `answer` for every message that is not a clock exchange (those
 * are answered here).
 */
export async function startScriptedServer(
  script: {
    greet?: (visit: Visit, index: number) => void;
    answer?: (visit: Visit, message: ClientMessage) => void;
  } = {},
): Promise<ScriptedServer> {
  const server = new WebSocketServer({
    port: 0,
    host: '127.0.0.1',
    handleProtocols: (offered) => [...offered][0] ?? false,
  });
  await once(server, 'listening');
  const visits: Visit[] = [];
  const waiting: Array<() => void> = [];
  server.on('connection', (socket, request) => {
    const visit: Visit = {
      url: new URL(request.url ?? '/', 'ws://x'),
      protocols: (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim()),
      socket,
      heard: [],
      say: (message) => socket.send(JSON.stringify(message)),
    };
    visits.push(visit);
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as ClientMessage;
      if (message.t === 'sync')
        return visit.say({ t: 'ok', id: message.id, at: Date.now(), data: { received: Date.now(), sent: Date.now() } });
      visit.heard.push(message);
      script.answer?.(visit, message);
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
    async close() {
      for (const socket of server.clients) socket.terminate();
      await new Promise((closed) => server.close(closed));
    },
  };
}
