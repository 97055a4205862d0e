/** Connections that break, and requests that come twice. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Prng } from '../../bench/generator/prng.ts';
import { type Cut, TcpProxy } from '../../bench/launch/tcp-proxy.ts';
import { replyOf } from '../../bench/users/back-office.ts';
import { isReplayed, type Reply, reservationOf } from '../../bench/users/buyer.ts';
import type { Item, ReservationView } from '../../src/protocol/messages.ts';
import type { Outcome } from '../support/history-checker.ts';
import { SHOW } from './engine-under-test.ts';
import { type FlashSaleShow, SALE, SKUS, signToken } from './flash-sale.ts';
import { type Fields, PlainClient } from './plain-client.ts';
import { type Scene, scenario, shown } from './scenario.ts';
import { type FaultBuyer, outcomeOf, type Users } from './virtual-users.ts';

const CUTS: readonly Cut[] = ['now', 'before the reply', 'before the reply', 'after a silence'];

/** Events continue while connections break, so that there is something to miss. */
async function announceUntil({ office }: FlashSaleShow, everyMs: number, untilMs: number): Promise<void> {
  for (let n = 0; Date.now() < untilMs; n++) {
    await office.announce(SHOW, `Announcement ${n}`);
    await sleep(everyMs);
  }
}

const BEHIND_PROXY = { proxied: (name: string) => name.startsWith('gateway') };

export const redisConnectionCut = scenario('connection to Redis cut', BEHIND_PROXY, async (scene) => {
  const { engine, prng, join, expect, note } = scene;
  const { redisProxy } = engine;
  const users = await join({ units: 14 }, { spreadMs: 1_500 });
  const { staged } = users.world;
  const rushEnd = staged.opensAt + 3_000;
  const cut = async (): Promise<void> => {
    for (await users.opening(-100); Date.now() < rushEnd; redisProxy.cut(prng.pick(CUTS)))
      await sleep(prng.int(50, 700));
  };
  await users.rush(() => Promise.all([cut(), announceUntil(staged, 60, rushEnd)]));
  expect(redisProxy.cuts > 0, 'no connection was cut');
  note(`${redisProxy.cuts} connections cut`);
  return { unbroken: users.clients };
});

export const clientConnectionsDropped = scenario('client connections dropped for 2 s', {}, async (scene) => {
  const { engine, prng, join, onEnd, note } = scene;
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
  const sum = (what: 'losses' | 'resumed' | 'snapshots'): string =>
    `${users.clients.reduce((total, client) => total + client[what], 0)} ${what}`;
  return { afterCheck: () => note([sum('losses'), sum('resumed'), sum('snapshots')].join(', ')) };
});

/** Sends each request of a buyer twice at once, over two connections to two nodes, with one key. */
function twinConnections(buyer: FaultBuyer, users: Users, { engine, expect }: Scene, prng: Prng) {
  const { user, client } = buyer;
  const { world } = users;
  const port = engine.gateways.find(({ name }) => name === client.node)?.port ?? 0;
  const urls = world.gatewayUrls.filter((url) => !url.endsWith(`:${port}`));
  const second = new PlainClient({ urls, show: SHOW, token: signToken(user), prng });
  const send = (message: Fields): Promise<[Reply, Reply]> =>
    Promise.all([client.request(message), second.request(message)]);

  /** All replies are about one reservation, and one of them is not a replay. */
  const expectOne = (what: string, granted: readonly Reply[]): void => {
    const ids = new Set(granted.map((reply) => reservationOf(reply)?.id));
    const fresh = granted.filter((reply) => !isReplayed(reply)).length;
    expect(ids.size <= 1, `I4: ${user}: ${what} was granted as ${[...ids].join(' and ')}`);
    expect(granted.length === 0 || fresh === 1, `I4: ${user}: ${what} was executed ${fresh} times`);
  };

  const reserve = async (key: string, lines: readonly Item[]): Promise<Reply> => {
    const message = { t: 'reserve', key, sale: SALE, lines };
    let replies = await send(message);
    while (replies.some((reply) => reply.t === 'error' && reply.code === 'sale_not_open')) {
      await sleep(20);
      replies = await send(message);
    }
    const granted = replies.filter(({ t }) => t === 'ok');
    expectOne(`reserve ${key}`, granted);
    const [first] = granted;
    if (!first) return replies[0];
    // A later repetition returns the recorded result.
    const repeated = await second.request(message);
    const isSame = isReplayed(repeated) && reservationOf(repeated)?.id === reservationOf(first)?.id;
    expect(isSame, `I4: ${user} repeated ${key} and got ${shown(repeated)}`);
    return first;
  };

  const decide = async (held: ReservationView): Promise<void> => {
    const { id } = held;
    if (prng.chance(0.3)) return void (await buyer.buyer.confirm(held));
    if (prng.chance(0.5)) return;
    const key = `release-${id}`;
    const release = async (): Promise<Reply> => {
      const replies = await send({ t: 'release', key, reservation: id });
      const granted = replies.filter(({ t }) => t === 'ok');
      expect(granted.length === 2, `I4: two releases of ${id} with one key returned ${shown(replies)}`);
      expectOne(`release ${id}`, granted);
      return replies[0];
    };
    // Both connections together sent it once; the history does not know which was first.
    const outcome = (given: Reply) =>
      given.t === 'ok' ? ({ type: 'ok', reservation: id } as const) : outcomeOf(given);
    const reply = await world.history.record({ do: 'release', reservation: id, key }, release, outcome);
    if (reply.t === 'ok') buyer.end({ id, state: 'released' });
  };

  const play = async (): Promise<void> => {
    await users.opening(prng.int(0, 600));
    for (const key of ['r-1', 'r-2']) {
      const lines = [{ sku: prng.pick(SKUS), qty: prng.int(1, 2) }];
      const operation = { do: 'reserve', user, key, sale: SALE, lines } as const;
      const reply = await world.history.record(operation, () => reserve(key, lines), outcomeOf);
      const reservation = reservationOf(reply);
      if (reservation === null) continue;
      buyer.granted(key, reservation);
      await decide(reservation);
    }
  };
  return { first: client, second, play };
}

const TWICE = { others: ['control,jobs', 'control'] };

export const sentTwice = scenario('every request sent twice', TWICE, async (scene) => {
  const { prng, join, expect, onEnd } = scene;
  const users = await join({ units: 16, opensInMs: 1_800 }, { buyers: 24 });
  const { staged, history } = users.world;
  const twins = users.buyers.map((buyer, at) => twinConnections(buyer, users, scene, prng.fork(500 + at)));
  onEnd(() => Promise.all(twins.map(({ second }) => second.close())));
  await Promise.all(twins.map(({ second }) => second.connect()));
  await Promise.all(twins.map(({ play }) => play()));
  for (const [at, { first, second }] of twins.entries()) {
    const isKnown = (): boolean => [...first.mine].every(([id, { state }]) => second.mine.get(id)?.state === state);
    expect(await second.until(isKnown, 3_000), `W-4: the second connection of buyer-${at} lacks a reservation`);
    for (const problem of second.problems) expect(false, `protocol: ${problem}`);
  }
  for (const buyer of users.buyers) {
    const reservation = buyer.grants[0]?.reservation;
    if (reservation === undefined) continue;
    // Over HTTP too: two confirms at once with one key are one, in any processes.
    const { id, amount } = reservation;
    const [orderRef, key] = [`order-${id}`, `confirm-http-${id}`];
    const confirms = staged.offices.map((office) => replyOf(office.confirm(SHOW, id, { orderRef, amount }, key)));
    const replies = await Promise.all(confirms);
    for (const reply of replies) {
      const code = reply.t === 'error' ? reply.code : '';
      const isExpected = reply.t === 'ok' || /^(idempotency_in_progress$|reservation_)/.test(code);
      expect(isExpected, `I4: two confirms of ${id} at once: ${shown(reply)}`);
    }
    const fresh = replies.filter((reply) => reply.t === 'ok' && !isReplayed(reply)).length;
    expect(fresh <= 1, `I4: a confirm of ${id} was executed ${fresh} times`);
    if (fresh !== 1) continue;
    buyer.end({ id, state: 'confirmed', orderRef });
    const ok = (): Outcome => ({ type: 'ok', reservation: id });
    const operation = { do: 'confirm', reservation: id, key } as const;
    await history.record(operation, async () => {}, ok);
  }
  return { unbroken: users.clients };
});
