/** A viewer on the SDK, and what it was told over all its connections. */
import { WebSocket } from 'ws';
import { connect, type StampedeClient } from '../../src/client/index.ts';

/** Full jitter after a few losses in a row is a wait of many seconds; a test has not got them. */
const EAGER = 0.08;

export class SdkViewer {
  readonly client: StampedeClient;
  readonly problems: string[] = [];
  readonly events: string[] = [];
  readonly byes: Array<{ reconnectAfterMs?: number; pass?: string }> = [];
  snapshots = 0;
  missed = 0;
  readonly heard = new Map<number, string>();
  #offset: number | null = null;
  #epoch: string | null = null;

  constructor(options: { url: string; show: string; token: string; variant?: 'json' | 'msgpack' }) {
    this.client = connect({ ...options, WebSocket, random: () => Math.random() * EAGER });
    this.client.on('snapshot', ({ epoch, offset }) => {
      this.snapshots += 1;
      if (epoch !== this.#epoch) this.heard.clear();
      this.#epoch = epoch;
      this.#offset = offset;
    });
    this.client.on('event', ({ offset, data }) => {
      if (this.#offset === null || offset !== this.#offset + 1)
        this.problems.push(`event ${offset} after ${this.#offset}`);
      this.#offset = offset;
      if (typeof data['text'] === 'string') this.events.push(data['text']);
    });
    this.client.on('chat', ({ messages }) => {
      for (const { id, text } of messages) this.heard.set(id, text);
    });
    this.client.on('missed', (count) => {
      this.missed += count;
    });
    this.client.on('bye', (bye) => this.byes.push(bye));
  }

  welcomed(): Promise<void> {
    return new Promise((resolve) => void this.client.once('welcome', () => resolve()));
  }

  /**
   * Messages up to `last` that neither came nor were told to be missed, counted from the first one
   * that came.
   */
  silent(last: number): number {
    const first = Math.min(...this.heard.keys(), last + 1);
    return last - first + 1 - this.heard.size - this.missed;
  }
}
