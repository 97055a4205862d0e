/** A TCP proxy that breaks or slows connections, and loses or repeats a request or its reply. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type Pace, SlowPipe } from './slow-pipe.ts';

export type Cut = 'now' | 'before the reply' | 'after a silence';
export type Fault = 'lose the reply' | 'lose the request' | 'deliver twice' | 'never reply';
export type ProxyTarget = { readonly port: number } | { readonly path: string };

interface Connection {
  readonly near: Socket;
  readonly far: Socket;
  /** The way back to the client. */
  readonly back: SlowPipe;
  /** Bytes from the target are dropped. */
  isMuted: boolean;
  /** Nothing passes in either direction. */
  isSilent: boolean;
  /** Neither end learns that the other one closes. */
  isHalfOpen: boolean;
  /** The next request passes, its reply does not. */
  losesReply: boolean;
  /** Fires at the next bytes from the target. */
  trap: Trap | null;
  isSubscriber: boolean;
}

interface Trap {
  readonly fault: Fault;
  readonly text: string;
  /** So many matching requests pass first. */
  skip: number;
  fired(): void;
}

const REPLY_LOST_MS = 15;
const SILENCE_MS = 700;
/** Bytes that were written to the target still arrive: a broken connection loses no request. */
const FAR_END_MS = 50;

export class TcpProxy {
  readonly #server: Server;
  #target: ProxyTarget;
  readonly #connections = new Set<Connection>();
  #isDown = false;
  #trap: Trap | null = null;
  #pace: Pace | null = null;
  cuts = 0;

  private constructor(target: ProxyTarget) {
    this.#target = target;
    this.#server = createServer({ noDelay: true }, (near) => this.#join(near));
  }

  static async to(target: ProxyTarget): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    return address && typeof address === 'object' ? address.port : 0;
  }

  get redisUrl(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** The next request that contains `text` meets the fault; resolves when it did. */
  next(fault: Fault, text: string, { skip = 0 } = {}): Promise<void> {
    return new Promise((fired) => {
      this.#trap = { fault, text, skip, fired };
    });
  }

  cut(how: Cut = 'now'): void {
    for (const connection of [...this.#connections]) {
      this.cuts++;
      if (how === 'now') this.#break(connection);
      else if (how === 'before the reply') connection.losesReply = true;
      else {
        connection.isSilent = true;
        setTimeout(() => this.#break(connection), SILENCE_MS).unref();
      }
    }
  }

  /** Nothing passes on the present connections any more, and they stay open. */
  silence(which: 'all' | 'subscribers' = 'all'): void {
    for (const connection of this.#connections)
      if (which === 'all' || connection.isSubscriber) connection.isSilent = true;
  }

  /** The present connections are dead, and neither end learns it: no FIN, no RST. */
  loseAll(): void {
    for (const connection of this.#connections) connection.isSilent = connection.isHalfOpen = true;
  }

  /** What the target sends arrives at this pace; null = at once. */
  slow(pace: Pace | null): void {
    this.#pace = pace;
  }

  /** Breaks all connections and refuses new ones until `up`. */
  down(): void {
    this.#isDown = true;
    this.cut('now');
  }

  up(): void {
    this.#isDown = false;
  }

  /** Connects to another target from now on. Existing connections stay, as after a DNS change. */
  moveTo(target: ProxyTarget): void {
    this.#target = target;
  }

  async blackout(forMs: number): Promise<void> {
    this.down();
    await new Promise((resolve) => setTimeout(resolve, forMs));
    this.up();
  }

  async close(): Promise<void> {
    this.down();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #dial(): Socket {
    const target = 'path' in this.#target ? this.#target : { ...this.#target, host: '127.0.0.1', noDelay: true };
    return connect(target).on('error', () => {});
  }

  #join(near: Socket): void {
    near.on('error', () => {});
    if (this.#isDown) return void near.destroy();
    const far = this.#dial();
    const connection: Connection = {
      near,
      far,
      back: new SlowPipe(far, near),
      isMuted: false,
      isSilent: false,
      isHalfOpen: false,
      losesReply: false,
      trap: null,
      isSubscriber: false,
    };
    this.#connections.add(connection);
    near.on('data', (bytes: Buffer) => this.#onRequest(connection, bytes));
    far.on('data', (bytes: Buffer) => this.#onReply(connection, bytes));
    for (const end of [near, far])
      end.on('close', () => {
        if (!connection.isHalfOpen) this.#break(connection);
      });
  }

  #onRequest(connection: Connection, bytes: Buffer): void {
    if (connection.isSilent) return;
    connection.isSubscriber ||= bytes.includes('ssubscribe');
    if (connection.losesReply && !connection.isMuted) {
      connection.isMuted = true;
      setTimeout(() => this.#break(connection), REPLY_LOST_MS).unref();
    }
    const trap = this.#trap;
    if (!trap || !bytes.includes(trap.text) || trap.skip-- > 0) return void connection.far.write(bytes);
    this.#trap = null;
    if (trap.fault === 'lose the request') {
      this.#break(connection);
      return trap.fired();
    }
    if (trap.fault === 'deliver twice') this.#deliverAgain(bytes, trap);
    else connection.trap = trap;
    connection.far.write(bytes);
  }

  #onReply(connection: Connection, bytes: Buffer): void {
    const { trap } = connection;
    if (trap === null) {
      if (connection.isSilent || connection.isMuted) return;
      if (this.#pace !== null || !connection.back.isEmpty) connection.back.write(bytes, this.#pace ?? {});
      else connection.near.write(bytes);
      return;
    }
    // The script has run; its reply is dropped.
    connection.trap = null;
    if (trap.fault === 'lose the reply') this.#break(connection);
    trap.fired();
  }

  /** Sends the bytes over a second connection, as a client does that resends after a reconnect. */
  #deliverAgain(bytes: Buffer, { fired }: Trap): void {
    const second = this.#dial();
    second.on('error', fired);
    second.once('data', () => {
      second.destroy();
      fired();
    });
    second.write(bytes);
  }

  #break(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    const { near, far } = connection;
    near.destroy();
    far.end();
    setTimeout(() => far.destroy(), FAR_END_MS).unref();
  }
}
