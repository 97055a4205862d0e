/** Chat of several users and announcements, sent continuously while a test breaks something. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectedStore } from '../../src/redis/index.ts';
import type { Client } from './client.ts';

const CHAT_EVERY_MS = 350;
const ANNOUNCE_EVERY_MS = 60;
const REPLY_TIMEOUT_MS = 15_000;

export class Conversation {
  /** Texts whose reply was `ok`. */
  readonly accepted: string[] = [];
  readonly announced: string[] = [];
  /** Error codes of chat and announcements. */
  readonly refusals = new Set<string>();
  readonly #running: Promise<unknown>;
  #stopped = false;

  constructor(writers: readonly Client[], store: ConnectedStore, show: string) {
    this.#running = Promise.all([...writers.map((writer, i) => this.#chat(writer, i)), this.#announce(store, show)]);
  }

  /** Resolves when every message has a reply. */
  async end(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #chat(writer: Client, index: number): Promise<void> {
    for (let n = 0; !this.#stopped; n += 1) {
      const text = `writer ${index}: ${n}`;
      const reply = await writer.say(text, REPLY_TIMEOUT_MS);
      if (reply.t === 'ok') this.accepted.push(text);
      else this.refusals.add(String(reply.code));
      await sleep(CHAT_EVERY_MS);
    }
  }

  async #announce(store: ConnectedStore, show: string): Promise<void> {
    for (let n = 0; !this.#stopped; n += 1) {
      const result = await store.announce(show, `announcement ${n}`, 'test');
      if (result.ok) this.announced.push(`announcement ${n}`);
      else this.refusals.add(result.error.code);
      await sleep(ANNOUNCE_EVERY_MS);
    }
  }
}
