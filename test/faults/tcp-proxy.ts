/**
 * A TCP proxy that breaks lines the way networks do: at once, after the request went through and
 * before its answer, or after a silence.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

export type Cut = 'now' | 'before the answer' | 'after a silence';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  /** Bytes from the far side are thrown away. */
  deaf: boolean;
  /** Nothing passes in either direction. */
  silent: boolean;
  /** The next request goes through, its answer does not. */
  doomed: boolean;
}

const ANSWER_LOST_MS = 15;
const SILENCE_MS = 700;

export class TcpProxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #dark = false;
  cuts = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Listens on a loopback port of its own and connects to a port or a unix socket. */
  static async to(target: { port: number } | { path: string }): Promise<TcpProxy> {
    const server = createServer({ noDelay: true });
    const proxy = new TcpProxy(server);
    server.on('connection', (near) => proxy.#join(near, target));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    return address && typeof address === 'object' ? address.port : 0;
  }

  get lines(): number {
    return this.#pairs.size;
  }

  /** Breaks every line there is now; new ones are let through. */
  cut(how: Cut = 'now'): void {
    for (const pair of [...this.#pairs]) {
      this.cuts++;
      if (how === 'now') this.#break(pair);
      else if (how === 'before the answer') pair.doomed = true;
      else {
        pair.silent = true;
        setTimeout(() => this.#break(pair), SILENCE_MS).unref();
      }
    }
  }

  /** Breaks every line and refuses new ones for a while. */
  async blackout(forMs: number): Promise<void> {
    this.#dark = true;
    this.cut('now');
    await new Promise((resolve) => setTimeout(resolve, forMs));
    this.#dark = false;
  }

  async close(): Promise<void> {
    for (const pair of [...this.#pairs]) this.#break(pair);
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: Socket, target: { port: number } | { path: string }): void {
    near.on('error', () => {});
    if (this.#dark) return void near.destroy();
    const far =
      'path' in target
        ? connect({ path: target.path })
        : connect({ port: target.port, host: '127.0.0.1', noDelay: true });
    far.on('error', () => {});
    const pair: Pair = { near, far, deaf: false, silent: false, doomed: false };
    this.#pairs.add(pair);
    near.on('data', (bytes: Buffer) => {
      if (pair.silent) return;
      if (pair.doomed && !pair.deaf) {
        pair.deaf = true;
        setTimeout(() => this.#break(pair), ANSWER_LOST_MS).unref();
      }
      far.write(bytes);
    });
    far.on('data', (bytes: Buffer) => {
      if (!pair.silent && !pair.deaf) near.write(bytes);
    });
    near.on('close', () => this.#break(pair));
    far.on('close', () => this.#break(pair));
  }

  #break(pair: Pair): void {
    if (!this.#pairs.delete(pair)) return;
    pair.near.destroy();
    // What was written to the far side still arrives there: a cut line does not take a request
    // back.
    pair.far.end();
    setTimeout(() => pair.far.destroy(), 50).unref();
  }
}
