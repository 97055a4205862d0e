/** A viewer, in Node.js or in a page, that notes what contradicts the promises of the SDK. */
import { type ClientOptions, connect, type StampedeClient } from '../../src/client/index.ts';

const SAMPLE_MS = 20;
/** The error of the node's own clock, and the time between two reads. */
const CLOCK_SLACK_MS = 25;

/** What a viewer has, as plain values. */
export interface Facts {
  readonly problems: readonly string[];
  readonly isOpen: boolean;
  readonly offset: number;
  readonly announced: string | undefined;
  readonly products: number;
  readonly isComplete: boolean;
  readonly holds: readonly string[];
  readonly connects: number;
  readonly clockErrorMs: number;
  readonly lastChat: number;
  /** Chat messages that neither arrived nor were reported as missed. */
  readonly lostChat: number;
}

export class FaultViewer {
  readonly #client: StampedeClient;
  readonly #problems: string[] = [];
  readonly #chat = new Set<number>();
  readonly #sampling: ReturnType<typeof setInterval>;
  #missed = 0;
  /** Of the last event; null before the first snapshot. */
  #offset: number | null = null;

  constructor(options: ClientOptions) {
    const client = connect(options);
    this.#client = client;
    client.on('snapshot', ({ offset }) => {
      this.#offset ??= offset;
    });
    client.on('gap', ({ from, to }) => {
      if (from !== this.#offset) this.#problems.push(`a gap from ${from} after ${this.#offset}`);
      this.#offset = to;
    });
    client.on('event', ({ offset }) => {
      if (offset !== (this.#offset ?? 0) + 1) this.#problems.push(`event ${offset} after ${this.#offset}`);
      this.#offset = offset;
    });
    client.on('chat', ({ messages }) => {
      for (const { id } of messages) this.#chat.add(id);
    });
    client.on('missed', (count) => {
      this.#missed += count;
    });
    this.#sampling = setInterval(() => this.#checkClock(), SAMPLE_MS);
  }

  /** Buys one unit with this key. Returns the id of the hold, or the code of the failure. */
  async press(key: string): Promise<string> {
    const outcome = await this.#client.reserve({ sale: 'drop', lines: [{ sku: 'TEE-M', qty: 1 }], key });
    return outcome.ok ? outcome.value.reservation.id : outcome.error.code;
  }

  facts(): Facts {
    const { model, status, stats } = this.#client;
    const first = Math.min(...this.#chat, model.lastChat + 1);
    const silent = this.#offset === model.offset ? [] : [`at ${model.offset} without a notice after ${this.#offset}`];
    return {
      problems: [...this.#problems, ...silent],
      isOpen: status.at === 'open',
      offset: model.offset,
      announced: model.announcement?.text,
      products: model.products.size,
      isComplete: model.isComplete,
      holds: [...model.reservations.values()].flatMap(({ id, state }) => (state === 'held' ? [id] : [])).sort(),
      connects: stats.connects,
      clockErrorMs: this.#client.clock().errorMs,
      lastChat: model.lastChat,
      lostChat: model.lastChat - first + 1 - this.#chat.size - this.#missed,
    };
  }

  close(): void {
    clearInterval(this.#sampling);
    this.#client.close();
  }

  /** Redis has the clock of this machine. */
  #checkClock(): void {
    const before = Date.now();
    const { now, errorMs } = this.#client.clock();
    const after = Date.now();
    const offMs = Math.max(before - now, now - after) - errorMs;
    if (offMs > CLOCK_SLACK_MS) this.#problems.push(`the clock is ${offMs} ms outside of its bound of ${errorMs} ms`);
  }
}
