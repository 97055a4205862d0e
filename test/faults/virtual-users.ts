/** The seeded crowd of a scenario: buyers in a rush, people who talk, and people who only watch. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../bench/generator/prng.ts';
import { HistoryRecorder } from '../support/history-checker.ts';
import { Buyer, type World } from './buyer.ts';
import { Talker } from './chat-user.ts';
import type { House } from './engine-under-test.ts';
import type { FlashSaleShow } from './flash-sale.ts';
import { PlainClient } from './plain-client.ts';
import { signToken } from './plain-http.ts';

/** One buyer in so many has a second device. */
const DEVICE_EVERY = 3;

export interface CrowdPlan {
  readonly buyers?: number;
  readonly watchers?: number;
  readonly talkers?: number;
  readonly spreadMs?: number;
  /** How long after the opening somebody may still repeat what was lost. */
  readonly patienceMs?: number;
  readonly gatewayUrls?: readonly string[];
}

export interface Crowd {
  readonly world: World;
  readonly buyers: readonly Buyer[];
  readonly watchers: readonly PlainClient[];
  readonly talkers: readonly Talker[];
  /** Second devices of some buyers, that ask for nothing and must know everything. */
  readonly devices: ReadonlyArray<{ user: string; client: PlainClient }>;
  readonly clients: readonly PlainClient[];
  /** Everybody plays; resolves when everything is decided. */
  rush(): Promise<void>;
  leave(): Promise<void>;
}

export async function gather(house: House, staged: FlashSaleShow, prng: Prng, plan: CrowdPlan = {}): Promise<Crowd> {
  const {
    buyers: count = 40,
    watchers: watching = 4,
    talkers: talking = 3,
    spreadMs = 600,
    patienceMs = 30_000,
    gatewayUrls = house.gatewayUrls,
  } = plan;
  const world: World = {
    staged,
    gatewayUrls,
    controlUrls: house.controlUrls,
    history: new HistoryRecorder(),
    untilMs: staged.opensAt + patienceMs,
    spreadMs,
  };
  const buyers = Array.from({ length: count }, (_, at) => new Buyer(`buyer-${at}`, world, prng.fork(at)));
  const watchers = Array.from(
    { length: watching },
    // Each node has its own: a watcher never moves, so that a line kept is a line kept.
    (_, at) =>
      new PlainClient({
        urls: [gatewayUrls[at % gatewayUrls.length] ?? ''],
        show: staged.show,
        token: null,
        prng: prng.fork(1_000 + at),
      }),
  );
  const devices = buyers
    .filter((_, at) => at % DEVICE_EVERY === 0)
    .map(({ user }, at) => ({
      user,
      client: new PlainClient({
        urls: gatewayUrls,
        show: staged.show,
        token: signToken(staged.show, user),
        prng: prng.fork(2_000 + at),
      }),
    }));
  const talkers = Array.from({ length: talking }, (_, at) => new Talker(`talker-${at}`, world, prng.fork(3_000 + at)));
  const clients = [...[...buyers, ...devices, ...talkers].map(({ client }) => client), ...watchers];
  await Promise.all(clients.map((client) => client.connect()));
  return {
    world,
    buyers,
    watchers,
    talkers,
    devices,
    clients,
    rush: async () => {
      let over = false;
      const talk = talkers.map((talker) => talker.talk(() => over));
      await Promise.all(buyers.map((buyer) => buyer.play()));
      over = true;
      await Promise.all(talk);
      // News of the last decisions is still on its way.
      await sleep(50);
    },
    leave: async () => {
      await Promise.all(clients.map((client) => client.close()));
    },
  };
}
