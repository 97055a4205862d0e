/**
 * A show that goes on while things break: chat from several people, announcements, and what became
 * of each.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectedStore } from '../../src/redis/index.ts';
import type { Client } from './harness.ts';

const CHAT_EVERY_MS = 350;
const ANNOUNCE_EVERY_MS = 60;
const ANSWER_MS = 15_000;

export class Conversation {
  /** Texts that were accepted with `ok`. */
  readonly accepted: string[] = [];
  readonly announced: string[] = [];
  /** Codes of what was refused, chat and announcements. */
  readonly refusals = new Set<string>();
  #over = false;
  readonly #running: Promise<unknown>;

  /** Goes on until `end`. */
  constructor(talkers: readonly Client[], store: ConnectedStore, show: string) {
    this.#running = Promise.all([...talkers.map((talker, i) => this.#talk(talker, i)), this.#announce(store, show)]);
  }

  /** Resolves when everything is answered. */
  async end(): Promise<void> {
    this.#over = true;
    await this.#running;
  }

  async #talk(talker: Client, who: number): Promise<void> {
    for (let n = 0; !this.#over; n += 1) {
      const text = `talker ${who} says ${n}`;
      const answer = await talker.ask({ t: 'chat', text }, ANSWER_MS);
      if (answer.t === 'ok') this.accepted.push(text);
      else this.refusals.add(String(answer.code));
      await sleep(CHAT_EVERY_MS);
    }
  }

  async #announce(store: ConnectedStore, show: string): Promise<void> {
    for (let n = 0; !this.#over; n += 1) {
      const told = await store.announce(show, `announcement ${n}`, 'test');
      if (told.ok) this.announced.push(`announcement ${n}`);
      else this.refusals.add(told.error.code);
      await sleep(ANNOUNCE_EVERY_MS);
    }
  }
}
