/**
 * People who talk through the night, and what was left of it with everybody who listened (C-1 to
 * C-5, B-2, R-2, R-6).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../bench/generator/prng.ts';
import type { World } from './buyer.ts';
import { PlainClient } from './plain-client.ts';
import { signToken } from './plain-http.ts';

const PAUSE_MS = [150, 500] as const;

export interface Said {
  readonly epoch: string;
  readonly id: number;
  readonly text: string;
  readonly answeredAt: number;
}

export class Talker {
  readonly client: PlainClient;
  /** What was accepted, as its `ok` told. */
  readonly said: Said[] = [];
  readonly #world: World;
  readonly #prng: Prng;
  readonly #user: string;

  constructor(user: string, world: World, prng: Prng) {
    this.#world = world;
    this.#prng = prng;
    this.#user = user;
    const { show } = world.staged;
    this.client = new PlainClient({
      urls: world.gatewayUrls,
      show,
      token: signToken(show, user, 3_600_000, 'viewer'),
      prng: prng.fork(7),
    });
  }

  /** Says something now and then. What was refused or lost is not said again: chat has no keys. */
  async talk(isOver: () => boolean): Promise<void> {
    for (let n = 1; !isOver() && Date.now() < this.#world.untilMs; n++) {
      const text = `${this.#user} says ${n}`;
      const answer = await this.client.request({ t: 'chat', text });
      if (answer.t === 'ok')
        this.said.push({ epoch: this.client.epoch, id: Number(answer.data?.chat), text, answeredAt: Date.now() });
      await sleep(this.#prng.int(...PAUSE_MS));
    }
  }
}

export interface Conversation {
  readonly epoch: string;
  /** Id of the last message in the show's history. */
  readonly last: number;
  readonly accepted: readonly Said[];
  readonly clients: readonly PlainClient[];
}

/**
 * Everybody heard every message in its place, or was told how many they missed, or was given a
 * snapshot in place of what went before.
 */
export function checkChat({ epoch, last, accepted, clients }: Conversation): string[] {
  const wrong: string[] = [];
  const texts = new Map<string, string>();
  const say = (id: number, text: string, who: string): void => {
    const known = texts.get(`${epoch}/${id}`);
    if (known !== undefined && known !== text)
      wrong.push(`chat: ${who} has ${JSON.stringify(text)} as ${id}, which is ${JSON.stringify(known)} elsewhere`);
    texts.set(`${epoch}/${id}`, text);
  };
  for (const said of accepted) {
    if (said.epoch !== epoch) continue;
    say(said.id, said.text, 'its sender');
    if (said.id > last) wrong.push(`chat: ${said.id} was accepted, the history ends at ${last}`);
  }
  for (const client of clients)
    for (const [place, text] of client.heard)
      if (place.startsWith(`${epoch}/`)) say(Number(place.slice(epoch.length + 1)), text, `a client on ${client.node}`);
  for (const client of clients) {
    const silent = client.chatLeftOut(last);
    if (client.epoch === epoch && silent !== 0)
      wrong.push(
        silent > 0
          ? `chat: ${silent} messages up to ${last} never came to a client on ${client.node}, and nobody told it (last one ${client.chatAt}, ${client.losses} lines lost)`
          : `chat: a client on ${client.node} was told of ${-silent} missed messages too many (B-2)`,
      );
  }
  return wrong;
}
