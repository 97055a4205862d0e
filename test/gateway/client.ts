/** A client of `ws`, JSON and another MessagePack library than the server's; upgrades by hand. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { json } from 'node:stream/consumers';
import { decode as msgpackDecode, encode as msgpackEncode } from '@msgpack/msgpack';
import { WebSocket } from 'ws';
import type {
  ReservationView,
  ShowEvent,
  Snapshot,
  StateView,
  WaitView,
  Welcome,
} from '../../src/protocol/messages.ts';

/** Any server message, typed as if every field were present. */
export interface Message extends Pick<Welcome, 'v' | 'at' | 'node' | 'epoch' | 'offset' | 'you' | 'chat'> {
  t: string;
  id: string | number;
  snapshot: Snapshot;
  resumed: boolean;
  events: ShowEvent[];
  state: Required<StateView>;
  missed: number;
  code: string | number;
  message: string;
  retryAfterMs: number;
  until?: number;
  details: { opensAt: number; field: string };
  data: { chat: number; reservation: ReservationView; replayed: boolean; resumed: boolean };
  reservation: ReservationView;
  waits: WaitView[];
  reason: string;
  reconnectAfterMs: number;
  pass?: string;
}

export type Encoding = 'json' | 'msgpack';

export class Client {
  readonly socket: WebSocket;
  readonly received: Message[] = [];
  readonly opened: Promise<void>;
  readonly closed: Promise<{ code: number; reason: string }>;
  private readonly checks = new Set<() => void>();
  private readonly encoding: Encoding;
  private nextId = 1;

  constructor(url: string, protocols: string[], encoding: Encoding, ca?: Buffer) {
    this.encoding = encoding;
    this.socket = new WebSocket(url, protocols, { perMessageDeflate: false, ...(ca === undefined ? {} : { ca }) });
    this.socket.on('message', (data: Buffer, isBinary: boolean) => {
      const value = isBinary ? msgpackDecode(data) : JSON.parse(data.toString());
      this.received.push(value as Message);
      for (const check of [...this.checks]) check();
    });
    this.closed = new Promise((resolve) =>
      this.socket.once('close', (code, reason) => resolve({ code, reason: reason.toString() })),
    );
    this.opened = new Promise((resolve, reject) => {
      this.socket.once('open', () => resolve());
      this.socket.once('error', reject);
    });
    this.opened.catch(() => {});
    this.socket.on('error', () => {});
  }

  send(message: unknown): void {
    const isJson = this.encoding === 'json';
    this.socket.send(isJson ? JSON.stringify(message) : msgpackEncode(message, { ignoreUndefined: true }));
  }

  /** Resolves with the first message, received or future, for which `matches` is true. */
  async find(matches: (message: Message) => boolean, timeoutMs = 5_000): Promise<Message> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.checks.delete(check);
        reject(new Error(`no such message in ${timeoutMs} ms; got ${JSON.stringify(this.received).slice(-2000)}`));
      }, timeoutMs);
      const check = (): void => {
        const message = this.received.find(matches);
        if (message === undefined) return;
        clearTimeout(timer);
        this.checks.delete(check);
        resolve(message);
      };
      this.checks.add(check);
      check();
    });
  }

  type(t: string, timeoutMs?: number): Promise<Message> {
    return this.find((message) => message.t === t, timeoutMs);
  }

  /** Resolves with the first message that carries an event of this type. */
  event(type: string): Promise<Message> {
    return this.find(({ events = [] }) => events.some((event) => event.type === type));
  }

  /** Sends with a new id and resolves with the reply. */
  async request(message: Record<string, unknown>, timeoutMs?: number): Promise<Message> {
    const id = message['id'] ?? `q${this.nextId++}`;
    this.send({ ...message, id });
    return this.find((reply) => (reply.t === 'ok' || reply.t === 'error') && reply.id === id, timeoutMs);
  }

  say(text: string, timeoutMs?: number): Promise<Message> {
    return this.request({ t: 'chat', text }, timeoutMs);
  }

  /** Reserves one shirt. */
  reserve(sale: string, key: string, timeoutMs?: number): Promise<Message> {
    return this.request({ t: 'reserve', key, sale, lines: [{ sku: 'shirt-m', qty: 1 }] }, timeoutMs);
  }

  /** Returns `[id, name, text]` of all chat so far, in order, with the history of the welcome. */
  chat(): Array<[number, string, string]> {
    return this.received.flatMap(({ chat = [] }) =>
      chat.flatMap(([firstId, , items]) =>
        items.map(([i, , name, text]): [number, string, string] => [firstId + i, name, text]),
      ),
    );
  }

  lastText(): string {
    return this.chat().at(-1)?.[2] ?? '';
  }

  events(): ShowEvent[] {
    return this.received.flatMap(({ events = [] }) => events);
  }

  missed(): number {
    return this.received.reduce((sum, { missed = 0 }) => sum + missed, 0);
  }

  async close(): Promise<void> {
    this.socket.close();
    await this.closed;
  }

  terminate(): void {
    this.socket.terminate();
  }
}

/** Returns the HTTP response to an upgrade that is refused. */
export async function refusedUpgrade(
  url: string,
  protocols: string[],
  options: { headers?: Record<string, string>; ca?: Buffer } = {},
): Promise<{ status: number; body: Message; headers: IncomingMessage['headers'] }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const socket = new WebSocket(url, protocols, options);
    socket.on('error', () => {});
    socket.once('unexpected-response', (_request, response) => resolve(response));
    socket.once('open', () => {
      socket.terminate();
      reject(new Error('the upgrade was accepted'));
    });
  });
  const body = (await json(response)) as Message;
  return { status: response.statusCode ?? 0, body, headers: response.headers };
}

/** Returns the only message to a client that is refused after the upgrade, and the close code. */
export async function refusedAfterUpgrade(
  url: string,
  protocols: string[],
  options: { headers?: Record<string, string>; ca?: Buffer } = {},
): Promise<{ bye: Message; code: number }> {
  const socket = new WebSocket(url, protocols, options);
  const messages: Message[] = [];
  socket.on('message', (data) => messages.push(JSON.parse(String(data)) as Message));
  const [code] = (await once(socket, 'close')) as [number];
  const [bye, ...more] = messages;
  if (bye === undefined || more.length > 0) throw new Error(`${messages.length} messages, closed with ${code}`);
  return { bye, code };
}

export interface RawUpgrade {
  readonly path: string;
  readonly headers?: readonly string[];
  /** Sent before the request. */
  readonly prefix?: Uint8Array;
  readonly localAddress?: string;
}

/** Sends an upgrade request without waiting for the response. */
export async function sendUpgrade(port: number, upgrade: RawUpgrade): Promise<Socket> {
  const { path, headers = [], prefix, localAddress } = upgrade;
  const socket = connect({ host: '127.0.0.1', port, ...(localAddress === undefined ? {} : { localAddress }) });
  socket.on('error', () => {});
  await once(socket, 'connect');
  if (prefix !== undefined) socket.write(prefix);
  const head = [`GET ${path} HTTP/1.1`, 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade'];
  const key = ['Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'];
  socket.write(`${[...head, ...key, ...headers].join('\r\n')}\r\n\r\n`);
  return socket;
}

/** Returns the HTTP status of the response; the socket stays open. */
export async function rawUpgrade(port: number, upgrade: RawUpgrade): Promise<{ status: number; socket: Socket }> {
  const socket = await sendUpgrade(port, upgrade);
  const [first] = (await once(socket, 'data')) as [Buffer];
  return { status: Number(first.toString('latin1', 9, 12)), socket };
}
