/**
 * A line to Redis that breaks where a test wants it to: after the request arrived and before the
 * reply is back, before the request arrives, or that delivers a request twice.
 */
import { createServer, connect as dial, type Server, type Socket } from 'node:net';

type Fault = 'lose the reply' | 'lose the request' | 'deliver twice' | 'never reply';

interface Trap {
  fault: Fault;
  text: string;
  /** So many requests of the kind pass first. */
  skip: number;
  sprung(): void;
}

export class CuttingProxy {
  readonly #target: string;
  readonly #server: Server;
  readonly #lines = new Set<{ near: Socket; far: Socket }>();
  #trap: Trap | null = null;
  #port = 0;
  #accepting = true;

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((near) => this.#join(near));
  }

  /** @param target the unix socket of the real Redis. */
  static async open(target: string): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    const address = proxy.#server.address();
    proxy.#port = typeof address === 'object' && address ? address.port : 0;
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.#port}`;
  }

  /** The next request that holds `text` meets the fault; resolves when it did. */
  next(fault: Fault, text: string, { skip = 0 } = {}): Promise<void> {
    return new Promise((sprung) => {
      this.#trap = { fault, text, skip, sprung };
    });
  }

  /** Every line breaks; with `down` nobody gets a new one until `up()`. */
  cutAll({ down = false } = {}): void {
    this.#accepting = !down;
    for (const { near, far } of this.#lines) {
      near.destroy();
      far.destroy();
    }
  }

  up(): void {
    this.#accepting = true;
  }

  async close(): Promise<void> {
    this.cutAll({ down: true });
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: Socket): void {
    if (!this.#accepting) {
      near.destroy();
      return;
    }
    const far = dial({ path: this.#target });
    const line = { near, far };
    this.#lines.add(line);
    let muted: Trap | null = null;
    const end = (): void => {
      near.destroy();
      far.destroy();
      this.#lines.delete(line);
    };
    for (const socket of [near, far]) {
      socket.on('error', end);
      socket.on('close', end);
    }
    near.on('data', (bytes) => {
      const trap = this.#trap;
      if (!trap || !bytes.includes(trap.text) || trap.skip-- > 0) return void far.write(bytes);
      this.#trap = null;
      if (trap.fault === 'lose the request') {
        end();
        return trap.sprung();
      }
      if (trap.fault === 'deliver twice') this.#again(bytes, trap.sprung);
      else muted = trap;
      far.write(bytes);
    });
    far.on('data', (bytes) => {
      if (!muted) return void near.write(bytes);
      // The script has run: its reply is here, and goes nowhere.
      const { sprung, fault } = muted;
      muted = null;
      if (fault === 'lose the reply') end();
      sprung();
    });
  }

  /** The same bytes over another line, as a client that resends after a reconnect would. */
  #again(bytes: Buffer, delivered: () => void): void {
    const second = dial({ path: this.#target });
    second.on('error', delivered);
    second.once('data', () => {
      second.destroy();
      delivered();
    });
    second.write(bytes);
  }
}
