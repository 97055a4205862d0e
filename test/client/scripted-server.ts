/** A WebSocket server that follows a script, for situations that a gateway does not produce. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ClientMessage, ServerMessage, Welcome } from '../../src/protocol/messages.ts';
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

/** `greet` runs for every connection, `onMessage` for every message except clock exchanges. */
export async function startScriptedServer(
  script: {
    greet?: (visit: Visit, index: number) => void;
    onMessage?: (visit: Visit, message: ClientMessage) => void;
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
      received: [],
      say: (message) => socket.send(JSON.stringify(message)),
    };
    visits.push(visit);
    socket.on('message', (data) => {
      const message = JSON.parse(String(data)) as ClientMessage;
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
    async close() {
      for (const socket of server.clients) socket.terminate();
      await new Promise((closed) => server.close(closed));
    },
  };
}
