/**
 * Finds out how soon service is back after a fault: every process is ready, each gateway takes a
 * reserve, a sale without viewers opens by a job, and viewers get what is announced.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { reservationOf } from '../../bench/users/buyer.ts';
import type { ReadyReport } from '../../src/telemetry/readiness.ts';
import { holdsIn } from '../support/until.ts';
import { readBooks } from './books.ts';
import { type EngineUnderTest, SHOW } from './engine-under-test.ts';
import { createFlashSaleShow, SALE, SKUS, signToken } from './flash-sale.ts';
import { PlainClient } from './plain-client.ts';
import type { Scene } from './scenario.ts';
import type { Users } from './virtual-users.ts';

const BACK_MS_MAX = 5_000;
/** A check that takes longer than allowed goes on, so that a violation can say how long. */
const WATCHED_MS = 15_000;
const RETRY_MS = 100;
const PROBED = 'probed';
/** A show without viewers. */
const QUIET = 'quiet';

/** Returns what /readyz of each gateway and control process reports. */
export function readiness({ gateways, controlUrls }: EngineUnderTest) {
  const urls = [...gateways.map(({ port }) => `http://127.0.0.1:${port}`), ...controlUrls];
  const ask = async (url: string) => {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(20_000) });
    const { redis } = (await response.json()) as ReadyReport;
    return { status: response.status, redis: redis.state };
  };
  return Promise.all(urls.map((url) => ask(url).catch(() => ({ status: 0, redis: 'no response' }))));
}

/** A gateway whose Redis is away returns 200, because its viewers stay. */
const isReady = async (engine: EngineUnderTest): Promise<boolean> =>
  (await readiness(engine)).every(({ status, redis }) => status === 200 && redis === 'ok');

/** Repeats a call until it does not fail. */
async function repeated<T>(call: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + WATCHED_MS; ; await sleep(RETRY_MS))
    try {
      return await call();
    } catch (error) {
      if (Date.now() > until) throw error;
    }
}

export type ServiceProbe = Awaited<ReturnType<typeof startServiceProbe>>;

/** Must start before the fault. */
export async function startServiceProbe(scene: Scene) {
  const { engine, prng, expect, note, onEnd } = scene;
  await holdsIn(WATCHED_MS, () => isReady(engine), RETRY_MS);
  const { office } = await createFlashSaleShow(engine, { show: PROBED, units: 1_000, opensInMs: 0 });
  await createFlashSaleShow(engine, { show: QUIET, units: 1_000 });
  const clients = [0, 1].map((at) => {
    const urls = [engine.gatewayUrls[at % engine.gatewayUrls.length] as string];
    const token = signToken(`probe-${at}`, 3_600_000, 'buyer', PROBED);
    return new PlainClient({ urls, show: PROBED, token, prng: prng.fork(7_000 + at) });
  });
  onEnd(() => Promise.all(clients.map((client) => client.close())));
  await Promise.all(clients.map((client) => client.connect()));

  /** One reserve and its release, each until it is accepted. */
  async function reserve(client: PlainClient, key: string): Promise<boolean> {
    let id = '';
    const accepted = async (message: Readonly<Record<string, unknown>>): Promise<boolean> => {
      const reply = await client.request(message);
      id = reservationOf(reply)?.id ?? id;
      return reply.t === 'ok';
    };
    const lines = [{ sku: SKUS[0], qty: 1 }];
    const isHeld = () => accepted({ t: 'reserve', key, sale: SALE, lines });
    const isReleased = () => accepted({ t: 'release', key: `release-${key}`, reservation: id });
    return (await holdsIn(WATCHED_MS, isHeld, RETRY_MS)) && (await holdsIn(WATCHED_MS, isReleased, RETRY_MS));
  }

  async function opens(sale: string): Promise<boolean> {
    const skus = [{ sku: SKUS[0], product: 'tee', price: 1_000, quantity: 1 }];
    const spec = { id: sale, title: sale, currency: 'EUR', perBuyer: 1, holdMs: 60_000, skus };
    await repeated(() => office.createSale(QUIET, { ...spec, opensInMs: 300, durationMs: 60_000 }, `create-${sale}`));
    const isOpen = async (): Promise<boolean> => {
      const events = [...(await readBooks(engine.redis.admin, QUIET)).events.values()];
      return events.some(({ type, data }) => type === 'sale.opened' && (data.sale as { id: string }).id === sale);
    };
    return holdsIn(WATCHED_MS, isOpen, 20);
  }

  async function reachesViewers({ viewers }: Users, text: string): Promise<boolean> {
    await repeated(() => office.announce(SHOW, text));
    const { epoch, offset } = await readBooks(engine.redis.admin);
    const hasIt = (client: PlainClient) => client.epoch === epoch && client.offset >= offset;
    return holdsIn(WATCHED_MS, () => viewers.every(hasIt));
  }

  const becomesReady = () => holdsIn(WATCHED_MS, () => isReady(engine), 50);

  return {
    /** Checks that all works again in time after `sinceMs`. */
    async expectBack(users: Users, fault: string, sinceMs: number): Promise<void> {
      const name = `after-${fault.replaceAll(/\W+/g, '-')}`;
      const took: string[] = [];
      const measure = async (what: string, done: Promise<boolean>): Promise<void> => {
        const isDone = await done.catch(() => false);
        const ms = Date.now() - sinceMs;
        took.push(`${what} ${ms} ms`);
        expect(isDone && ms <= BACK_MS_MAX, `${fault}: ${what} after ${ms} ms${isDone ? '' : ' (never)'}`);
      };
      const reserves = clients.map((client, at) => measure(`reserve ${at}`, reserve(client, name)));
      await Promise.all([
        ...reserves,
        measure('ready', becomesReady()),
        measure('job', opens(name)),
        measure('viewers', reachesViewers(users, `${fault} is over`)),
      ]);
      note(`${fault}: ${took.join(', ')}`);
    },
    /** No connection broke, no reply is missing, and the books of the probed shows balance. */
    async check({ viewers }: Users): Promise<void> {
      for (const { problems, losses, lastClose } of clients) {
        for (const problem of problems) expect(false, `protocol: ${problem}`);
        expect(losses === 0, `R-7: a connection of the probe broke: ${JSON.stringify(lastClose)}`);
      }
      for (const { losses, lastClose } of viewers)
        expect(losses === 0, `R-7: a viewer lost its connection: ${JSON.stringify(lastClose)}`);
      for (const show of [PROBED, QUIET])
        for (const violation of (await office.verify(show)).violations) expect(false, `I1: ${show}: ${violation}`);
    },
  };
}

/** After a restart or failover: a new epoch, a recovery in the log, the sale paused meanwhile. */
export async function checkRecovery({ engine, expect }: Scene, users: Users, epochBefore: string): Promise<void> {
  const books = await readBooks(engine.redis.admin);
  const types = [...books.events.values()].map(({ type }) => type);
  expect(books.epoch !== epochBefore, 'E-4: the epoch is the same after another server took over');
  expect(types.includes('show.recovered'), `show.recovered is not in the log: ${types.join(', ')}`);
  const hasResumed = types.lastIndexOf('sale.resumed') > types.lastIndexOf('sale.paused');
  expect(!types.includes('sale.opened') || hasResumed, `the sale did not resume: ${types.join(', ')}`);
  const stale = users.clients.filter(({ epoch, snapshots }) => epoch !== books.epoch || snapshots === 0);
  expect(stale.length === 0, `E-4: ${stale.length} clients got no snapshot of the new epoch`);
}
