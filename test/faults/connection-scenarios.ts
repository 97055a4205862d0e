/** Connections that break, and requests that come twice. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../bench/generator/prng.ts';
import { type Cut, TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { replyOf } from '../../bench/users/back-office.ts';
import { isReplayed, type Reply, reservationOf } from '../../bench/users/buyer.ts';
import type { Item, ReservationView } from '../../src/protocol/messages.ts';
import { SHOW } from './engine-under-test.ts';
import { type FlashSaleShow, SALE, SKUS, signToken } from './flash-sale.ts';
import { type Fields, PlainClient } from './plain-client.ts';
import { type Scene, scenario } from './scenario.ts';
import { type FaultBuyer, outcomeOf, type Users } from './virtual-users.ts';

const CUTS: readonly Cut[] = ['now', 'before the reply', 'before the reply', 'after a silence'];
const shown = (value: unknown): string => JSON.stringify(value).slice(0, 300);

/** Events continue while connections break, so that there is something to miss. */
async function announceUntil({ office }: FlashSaleShow, everyMs: number, untilMs: number): Promise<void> {
  for (let n = 0; Date.now() < untilMs; n++) {
    await office.announce(SHOW, `Announcement ${n}`);
    await sleep(everyMs);
  }
}

export const redisConnectionCut = scenario(
  'connection to Redis cut',
  { proxied: (name) => name.startsWith('gateway') },
  async ({ engine: { redisProxy }, prng, join, expect, note }) => {
    const users = await join({ units: 14 }, { spreadMs: 1_500 });
    const { staged } = users.world;
    const rushEnd = staged.opensAt + 3_000;
    const cut = async (): Promise<void> => {
      await users.opening(-100);
      while (Date.now() < rushEnd) {
        await sleep(prng.int(50, 700));
        redisProxy.cut(prng.pick(CUTS));
      }
    };
    await users.rush(() => Promise.all([cut(), announceUntil(staged, 60, rushEnd)]));
    expect(redisProxy.cuts > 0, 'no connection was cut');
    note(`${redisProxy.cuts} connections cut`);
    return { unbroken: users.clients };
  },
);

export const clientConnectionsDropped = scenario(
  'client connections dropped for 2 s',
  {},
  async ({ engine, prng, join, onEnd, note }) => {
    const proxies = await Promise.all(engine.gateways.map(({ port }) => TcpProxy.to({ port })));
    onEnd(() => Promise.all(proxies.map((proxy) => proxy.close())));
    const gatewayUrls = proxies.map(({ port }) => `ws://127.0.0.1:${port}`);
    const users = await join({ units: 14 }, { spreadMs: 4_000, gatewayUrls });
    const { staged } = users.world;
    const drop = async (proxy: TcpProxy, at: number): Promise<void> => {
      const draw = prng.fork(at);
      await users.opening();
      await sleep(draw.int(-200, 700));
      for (let drops = 0; drops < 2; drops++) {
        await proxy.blackout(2_000);
        await sleep(draw.int(200, 800));
      }
    };
    await users.rush(() => Promise.all([...proxies.map(drop), announceUntil(staged, 40, staged.opensAt + 5_500)]));
    const sum = (of: (client: PlainClient) => number): number =>
      users.clients.reduce((total, client) => total + of(client), 0);
    const afterCheck = (): void =>
      note(
        `${sum(({ losses }) => losses)} connections lost, ${sum(({ resumed }) => resumed)} resumed, ` +
          `${sum(({ snapshots }) => snapshots)} snapshots`,
      );
    return { afterCheck };
  },
);

/** Sends each request of a buyer twice at once, over two connections to two nodes, with one key. */
class TwinConnections {
  readonly second: PlainClient;
  readonly #buyer: FaultBuyer;
  readonly #users: Users;
  readonly #prng: Prng;
  readonly #scene: Scene;

  constructor(buyer: FaultBuyer, users: Users, scene: Scene, prng: Prng) {
    this.#buyer = buyer;
    this.#users = users;
    this.#prng = prng;
    this.#scene = scene;
    const { gatewayUrls } = users.world;
    const port = scene.engine.gateways.find(({ name }) => name === buyer.client.node)?.port ?? 0;
    const urls = gatewayUrls.filter((url) => !url.endsWith(`:${port}`));
    this.second = new PlainClient({ urls, show: SHOW, token: signToken(buyer.user), prng });
  }

  async play(): Promise<void> {
    const { world } = this.#users;
    const { user } = this.#buyer;
    await this.#users.opening(this.#prng.int(0, 600));
    for (let round = 1; round <= 2; round++) {
      const key = `r-${round}`;
      const lines = [{ sku: this.#prng.pick(SKUS), qty: this.#prng.int(1, 2) }];
      const operation = { do: 'reserve', user, key, sale: SALE, lines } as const;
      const reply = await world.history.record(operation, () => this.#reserve(key, lines), outcomeOf);
      const reservation = reservationOf(reply);
      if (reservation === null) continue;
      this.#buyer.granted(key, reservation);
      await this.#decide(reservation);
    }
  }

  #send(message: Fields): Promise<[Reply, Reply]> {
    return Promise.all([this.#buyer.client.request(message), this.second.request(message)]);
  }

  async #reserve(key: string, lines: readonly Item[]): Promise<Reply> {
    const message = { t: 'reserve', key, sale: SALE, lines };
    let replies = await this.#send(message);
    while (replies.some((reply) => reply.t === 'error' && reply.code === 'sale_not_open')) {
      await sleep(20);
      replies = await this.#send(message);
    }
    const granted = replies.filter((reply) => reply.t === 'ok');
    this.#expectOne(`reserve ${key}`, granted);
    const [first] = granted;
    if (!first) return replies[0];
    // A later repetition returns the recorded result.
    const repeated = await this.second.request(message);
    const isSame = isReplayed(repeated) && reservationOf(repeated)?.id === reservationOf(first)?.id;
    this.#scene.expect(isSame, `I4: ${this.#buyer.user} repeated ${key} and got ${shown(repeated)}`);
    return first;
  }

  async #decide(held: ReservationView): Promise<void> {
    if (this.#prng.chance(0.3)) return void (await this.#buyer.buyer.confirm(held));
    if (this.#prng.chance(0.5)) return;
    const key = `release-${held.id}`;
    const reply = await this.#users.world.history.record(
      { do: 'release', reservation: held.id, key },
      async () => {
        const replies = await this.#send({ t: 'release', key, reservation: held.id });
        const isReleased = replies.every(({ t }) => t === 'ok');
        this.#scene.expect(isReleased, `I4: two releases of ${held.id} with one key returned ${shown(replies)}`);
        this.#expectOne(
          `release ${held.id}`,
          replies.filter(({ t }) => t === 'ok'),
        );
        return replies[0];
      },
      // Both connections together sent it once; the history does not know which was first.
      (given) => (given.t === 'ok' ? { type: 'ok', reservation: held.id } : outcomeOf(given)),
    );
    if (reply.t === 'ok') this.#buyer.end({ id: held.id, state: 'released' });
  }

  /** All replies are about one reservation, and one of them is not a replay. */
  #expectOne(what: string, granted: readonly Reply[]): void {
    const ids = new Set(granted.map((reply) => reservationOf(reply)?.id));
    const fresh = granted.filter((reply) => !isReplayed(reply)).length;
    const { user } = this.#buyer;
    this.#scene.expect(ids.size <= 1, `I4: ${user}: ${what} was granted as ${[...ids].join(' and ')}`);
    this.#scene.expect(granted.length === 0 || fresh === 1, `I4: ${user}: ${what} was executed ${fresh} times`);
  }
}

export const sentTwice = scenario(
  'every request sent twice',
  { others: ['control,jobs', 'control'] },
  async (scene) => {
    const { prng, join, expect, onEnd } = scene;
    const users = await join({ units: 16, opensInMs: 1_800 }, { buyers: 24 });
    const twins = users.buyers.map((buyer, at) => new TwinConnections(buyer, users, scene, prng.fork(500 + at)));
    onEnd(() => Promise.all(twins.map(({ second }) => second.close())));
    await Promise.all(twins.map(({ second }) => second.connect()));
    await Promise.all(twins.map((each) => each.play()));
    for (const [at, { second }] of twins.entries()) {
      const first = users.buyers[at]?.client.mine ?? new Map();
      const isKnown = (): boolean => [...first].every(([id, { state }]) => second.mine.get(id)?.state === state);
      expect(await second.until(isKnown, 3_000), `W-4: the second connection of buyer-${at} lacks a reservation`);
      for (const problem of second.problems) expect(false, `protocol: ${problem}`);
    }
    for (const buyer of users.buyers) {
      const reservation = buyer.grants[0]?.reservation;
      if (reservation === undefined) continue;
      // Over HTTP too: two confirms at once with one key are one, in any processes.
      const { id, amount } = reservation;
      const [orderRef, key] = [`order-${id}`, `confirm-http-${id}`];
      const replies = await Promise.all(
        users.world.staged.offices.map((office) => replyOf(office.confirm(SHOW, id, { orderRef, amount }, key))),
      );
      for (const reply of replies)
        expect(
          reply.t === 'ok' || (reply.t === 'error' && /^(idempotency_in_progress$|reservation_)/.test(reply.code)),
          `I4: two confirms of ${id} at once: ${shown(reply)}`,
        );
      const fresh = replies.filter((reply) => reply.t === 'ok' && !isReplayed(reply)).length;
      expect(fresh <= 1, `I4: a confirm of ${id} was executed ${fresh} times`);
      if (fresh !== 1) continue;
      buyer.end({ id, state: 'confirmed', orderRef });
      await users.world.history.record(
        { do: 'confirm', reservation: id, key },
        async () => {},
        () => ({ type: 'ok', reservation: id }),
      );
    }
    return { unbroken: users.clients };
  },
);
