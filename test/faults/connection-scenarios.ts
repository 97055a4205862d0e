/** Lines that break, and requests that come twice. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../bench/generator/prng.ts';
import { type Buyer, outcomeOf } from './buyer.ts';
import { createFlashSaleShow, type FlashSaleShow, SALE, SKUS } from './flash-sale.ts';
import { type Answer, PlainClient, type Reservation } from './plain-client.ts';
import { call, must, signToken } from './plain-http.ts';
import { judge } from './run-checker.ts';
import { type Scene, scenario } from './scenario.ts';
import { type Cut, TcpProxy } from './tcp-proxy.ts';
import { type Crowd, gather } from './virtual-users.ts';

const CUTS: readonly Cut[] = ['now', 'before the answer', 'before the answer', 'after a silence'];

/** Events go on while lines break, so that there is something to miss. */
async function announceAllAlong({
  staged,
  everyMs,
  untilMs,
}: {
  staged: FlashSaleShow;
  everyMs: number;
  untilMs: number;
}): Promise<number> {
  let told = 0;
  for (; Date.now() < untilMs; told++) {
    await must(staged.control, 'POST', `/v1/shows/${staged.show}/announcements`, { text: `Announcement ${told}` });
    await sleep(everyMs);
  }
  return told;
}

export const redisLineCut = scenario(
  'line to Redis cut',
  { proxied: (name) => name.startsWith('gateway') },
  async ({ house, prng, expect, note }) => {
    const staged = await createFlashSaleShow(house, 'cut', { units: 14, opensInMs: 1_500 });
    const crowd = await gather(house, staged, prng, { spreadMs: 1_500 });
    const rushEnd = staged.opensAt + 3_000;
    const cutting = (async () => {
      await sleep(Math.max(0, staged.opensAt - Date.now() - 100));
      while (Date.now() < rushEnd) {
        await sleep(prng.int(50, 700));
        house.redisLine.cut(prng.pick(CUTS));
      }
    })();
    await Promise.all([crowd.rush(), cutting, announceAllAlong({ staged, everyMs: 60, untilMs: rushEnd })]);
    expect(house.redisLine.cuts > 0, 'no line was cut');
    const verdict = await judge(house, crowd, { unbroken: crowd.clients });
    note(`${house.redisLine.cuts} lines cut`);
    await crowd.leave();
    return verdict;
  },
);

export const clientLinesDropped = scenario('client lines dropped for 2 s', {}, async ({ house, prng, note }) => {
  const staged = await createFlashSaleShow(house, 'drop', { units: 14, opensInMs: 1_500 });
  const proxies = await Promise.all(house.gateways.map(({ port }) => TcpProxy.to({ port })));
  try {
    const crowd = await gather(house, staged, prng, {
      spreadMs: 4_000,
      gatewayUrls: proxies.map(({ port }) => `ws://127.0.0.1:${port}`),
    });
    const rushEnd = staged.opensAt + 5_500;
    const dropping = proxies.map(async (proxy, at) => {
      const draw = prng.fork(at);
      await sleep(Math.max(0, staged.opensAt - Date.now()) + draw.int(-200, 700));
      for (let drop = 0; drop < 2; drop++) {
        await proxy.blackout(2_000);
        await sleep(draw.int(200, 800));
      }
    });
    await Promise.all([crowd.rush(), ...dropping, announceAllAlong({ staged, everyMs: 40, untilMs: rushEnd })]);
    const verdict = await judge(house, crowd);
    note(
      `${sum(crowd, ({ losses }) => losses)} lines lost, ${sum(crowd, ({ resumed }) => resumed)} resumed, ${sum(crowd, ({ snapshots }) => snapshots)} snapshots`,
    );
    await crowd.leave();
    return verdict;
  } finally {
    for (const proxy of proxies) await proxy.close();
  }
});

const sum = ({ clients }: Crowd, of: (client: PlainClient) => number): number =>
  clients.reduce((total, client) => total + of(client), 0);

/** Every request goes out twice at once, on two lines of the buyer to two nodes, with one key. */
class Twins {
  readonly #buyer: Buyer;
  readonly #second: PlainClient;
  readonly #crowd: Crowd;
  readonly #prng: Prng;
  readonly #scene: Scene;

  constructor(buyer: Buyer, crowd: Crowd, scene: Scene, prng: Prng) {
    this.#buyer = buyer;
    this.#crowd = crowd;
    this.#prng = prng;
    this.#scene = scene;
    const { staged, gatewayUrls } = crowd.world;
    const other = gatewayUrls.filter((url) => !url.endsWith(`:${this.#portOf(buyer)}`));
    this.#second = new PlainClient({ urls: other, show: staged.show, token: signToken(staged.show, buyer.user), prng });
  }

  #portOf({ client }: Buyer): number {
    return this.#scene.house.gateways.find(({ name }) => name === client.node)?.port ?? 0;
  }

  get second(): PlainClient {
    return this.#second;
  }

  async play(): Promise<void> {
    const { world } = this.#crowd;
    await sleep(Math.max(0, world.staged.opensAt - Date.now() + this.#prng.int(0, 600)));
    for (let round = 1; round <= 2; round++) {
      const key = `r-${round}`;
      const lines = [{ sku: this.#prng.pick(SKUS), qty: this.#prng.int(1, 2) }];
      const operation = { do: 'reserve', user: this.#buyer.user, key, sale: SALE, lines } as const;
      const answer = await world.history.record(operation, () => this.#reserveTwice(key, lines), outcomeOf);
      if (answer.t !== 'ok') continue;
      const reservation = answer.data?.reservation as Reservation;
      this.#buyer.grants.push({ key, reservation, answeredAt: Date.now() });
      await this.#end(reservation);
    }
  }

  async #reserveTwice(key: string, lines: ReadonlyArray<{ sku: string; qty: number }>): Promise<Answer> {
    const message = { t: 'reserve', key, sale: SALE, lines };
    const both = () => Promise.all([this.#buyer.client.request(message), this.#second.request(message)]);
    let answers = await both();
    while (answers.some((answer) => answer.t === 'error' && answer.code === 'sale_not_open')) {
      await sleep(20);
      answers = await both();
    }
    const granted = answers.filter((answer) => answer.t === 'ok');
    this.#once(`reserve ${key}`, granted);
    const [first] = granted;
    if (!first) return answers[0];
    // And once more, later: whatever either line was told, the key has an answer now.
    const again = await this.#second.request(message);
    const same = again.t === 'ok' && again.data?.replayed === true && idOf(again) === idOf(first);
    this.#scene.expect(same, `I4: ${this.#buyer.user} repeated ${key} and got ${JSON.stringify(again).slice(0, 200)}`);
    return first;
  }

  async #end(held: Reservation): Promise<void> {
    const { world } = this.#crowd;
    if (this.#prng.chance(0.3)) return this.#buyer.confirm(held);
    if (this.#prng.chance(0.5)) return;
    const key = `release-${held.id}`;
    const message = { t: 'release', key, reservation: held.id };
    const operation = { do: 'release', reservation: held.id, key } as const;
    const answer = await world.history.record(
      operation,
      async () => {
        const answers = await Promise.all([this.#buyer.client.request(message), this.#second.request(message)]);
        this.#scene.expect(
          answers.every(({ t }) => t === 'ok'),
          `I4: ${this.#buyer.user} released ${held.id} twice with one key and got ${JSON.stringify(answers).slice(0, 300)}`,
        );
        this.#once(
          `release ${held.id}`,
          answers.filter((given) => given.t === 'ok'),
        );
        return answers[0];
      },
      // Both lines together decided it once; which of them was first is not for the history to
      // know.
      (given) => (given.t === 'ok' ? { type: 'ok', reservation: held.id } : outcomeOf(given)),
    );
    if (answer.t === 'ok') this.#buyer.ended.set(held.id, { state: 'released', answeredAt: Date.now() });
  }

  #once(what: string, granted: ReadonlyArray<Extract<Answer, { t: 'ok' }>>): void {
    const ids = new Set(granted.map(idOf));
    const fresh = granted.filter(({ data }) => data?.replayed !== true);
    this.#scene.expect(ids.size <= 1, `I4: ${this.#buyer.user}: ${what} was granted as ${[...ids].join(' and ')}`);
    this.#scene.expect(
      granted.length === 0 || fresh.length === 1,
      `I4: ${this.#buyer.user}: ${what} was decided ${fresh.length} times`,
    );
  }
}

const idOf = ({ data }: Extract<Answer, { t: 'ok' }>): string | undefined =>
  (data?.reservation as Reservation | undefined)?.id;

export const sentTwice = scenario(
  'every request sent twice',
  { others: ['control,jobs', 'control'] },
  async (scene) => {
    const { house, prng, expect } = scene;
    const staged = await createFlashSaleShow(house, 'twice', { units: 16, opensInMs: 1_800 });
    const crowd = await gather(house, staged, prng, { buyers: 24 });
    const twins = crowd.buyers.map((buyer, at) => new Twins(buyer, crowd, scene, prng.fork(500 + at)));
    await Promise.all(twins.map(({ second }) => second.connect()));
    await Promise.all(twins.map((each) => each.play()));
    for (const [at, { second }] of twins.entries()) {
      const first = crowd.buyers[at]?.client.mine ?? new Map<string, Reservation>();
      const told = await second.until(
        () => [...first].every(([id, { state }]) => second.mine.get(id)?.state === state),
        3_000,
      );
      expect(told, `W-4: the second line of buyer-${at} does not know what the first one knows`);
      for (const problem of second.problems) expect(false, `protocol: ${problem}`);
    }
    const confirms = crowd.buyers.flatMap(({ grants }) => grants.slice(0, 1));
    for (const { reservation } of confirms) {
      // Over HTTP, too: two at once with one key are one, whichever processes they reach.
      const path = `/v1/shows/${staged.show}/reservations/${reservation.id}/confirm`;
      const body = { orderRef: `order-${reservation.id}`, amount: reservation.amount };
      const key = `confirm-http-${reservation.id}`;
      const answers = await Promise.all(house.controlUrls.map((control) => call(control, 'POST', path, body, key)));
      for (const answer of answers)
        expect(
          answer.t === 'answer' &&
            (answer.status === 200 ||
              answer.body.code === 'idempotency_in_progress' ||
              String(answer.body.code).startsWith('reservation_')),
          `I4: two confirms of ${reservation.id} at once: ${JSON.stringify(answer).slice(0, 300)}`,
        );
      const fresh = answers.filter(
        (answer) => answer.t === 'answer' && answer.status === 200 && answer.body.replayed === false,
      );
      expect(fresh.length <= 1, `I4: a confirm of ${reservation.id} was decided ${fresh.length} times`);
      const buyer = crowd.buyers.find(({ user }) => user === reservation.user);
      if (fresh.length === 1 && buyer) {
        buyer.ended.set(reservation.id, { state: 'confirmed', orderRef: body.orderRef, answeredAt: Date.now() });
        crowd.world.history.entries.push({
          id: 1_000_000 + crowd.world.history.entries.length,
          invoke: { do: 'confirm', reservation: reservation.id, key },
        });
        const id = 1_000_000 + crowd.world.history.entries.length - 1;
        crowd.world.history.entries.push({ id, done: { type: 'ok', reservation: reservation.id } });
      }
    }
    const verdict = await judge(house, crowd, { unbroken: crowd.clients });
    await Promise.all(twins.map(({ second }) => second.close()));
    await crowd.leave();
    return verdict;
  },
);
