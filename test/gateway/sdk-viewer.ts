/** A viewer on the SDK that records what it receives over all its connections. */
import { WebSocket } from 'ws';
import { type ClientCodec, connect, type StampedeClient } from '../../src/client/index.ts';

export class SdkViewer {
  readonly client: StampedeClient;
  readonly problems: string[] = [];
  /** Texts of announcements. */
  readonly events: string[] = [];
  readonly byes: Array<{ reconnectAfterMs?: number; pass?: string }> = [];
  snapshots = 0;
  missed = 0;
  /** Chat texts by id. */
  readonly chat = new Map<number, string>();
  #offset: number | null = null;
  #epoch: string | null = null;

  constructor(options: { url: string; show: string; token: string; codec?: ClientCodec }) {
    // A small jitter shortens the backoff, which reaches many seconds after a few losses.
    this.client = connect({ ...options, WebSocket, random: () => Math.random() * 0.08 });
    this.client.on('snapshot', ({ epoch, offset }) => {
      this.snapshots += 1;
      if (epoch !== this.#epoch) this.chat.clear();
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
      for (const { id, text } of messages) this.chat.set(id, text);
    });
    this.client.on('missed', (count) => {
      this.missed += count;
    });
    this.client.on('bye', (bye) => this.byes.push(bye));
  }

  welcomed(): Promise<void> {
    return new Promise((resolve) => void this.client.once('welcome', () => resolve()));
  }

  /** Counts messages from the first received one to `last` that are missing and not reported. */
  unreported(last: number): number {
    const first = Math.min(...this.chat.keys(), last + 1);
    return last - first + 1 - this.chat.size - this.missed;
  }
}
