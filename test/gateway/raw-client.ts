/** A hostile client: a plain socket that upgrades and then sends any bytes. */
import type { Socket } from 'node:net';
import { textFrame } from '../../bench/generator/websocket.ts';
import { until } from '../support/until.ts';
import { sendUpgrade } from './client.ts';
import type { Engine, Node } from './harness.ts';

export interface RawOptions {
  readonly node?: Node;
  /** Null: a guest. */
  readonly user?: string | null;
  readonly token?: string;
  readonly show?: string;
}

export class RawClient {
  readonly socket: Socket;
  /** Everything that the server sent, as latin1. */
  received = '';
  isClosed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => {
      this.received += bytes.toString('latin1');
    });
    socket.on('close', () => {
      this.isClosed = true;
    });
  }

  /** HTTP status of the response to the upgrade. */
  get status(): number {
    return Number(this.received.slice(9, 12));
  }

  send(...messages: unknown[]): void {
    this.socket.write(Buffer.concat(messages.map((message) => textFrame(JSON.stringify(message)))));
  }

  /** How often the server sent this text. */
  count(text: string): number {
    return this.received.split(text).length - 1;
  }

  /** Waits until the server sent this text so many times. */
  async has(text: string, times = 1): Promise<void> {
    await until(() => this.count(text) >= times, `${times} x ${text}, got ${this.received.slice(-400)}`, 15_000);
  }

  /** Waits until the server has closed the connection. */
  async closed(): Promise<void> {
    await until(() => this.isClosed, `a close, got ${this.received.slice(-400)}`, 15_000);
  }
}

/** Sends the upgrade and resolves when the server has replied. */
export async function rawClient(world: Engine, options: RawOptions = {}): Promise<RawClient> {
  const { node = world.node, user = 'eve', show = world.show } = options;
  const token = options.token ?? (user === null ? null : world.token(user));
  const protocols = `stampede.v1.json${token === null ? '' : `, token.${token}`}`;
  const headers = [`Sec-WebSocket-Protocol: ${protocols}`];
  const client = new RawClient(await sendUpgrade(node.port, { path: `/v1/shows/${show}`, headers }));
  await client.has('\r\n\r\n');
  return client;
}

/** Resolves when the viewer is welcome. */
export async function rawViewer(world: Engine, options: RawOptions = {}): Promise<RawClient> {
  const client = await rawClient(world, options);
  await client.has('"t":"welcome"');
  return client;
}
