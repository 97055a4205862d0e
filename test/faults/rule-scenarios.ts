/** Clocks that are wrong, and ends that race. */
import { setTimeout as sleep } from 'node:timers/promises';
import { replyOf } from '../../bench/users/back-office.ts';
import type { Reply } from '../../bench/users/buyer.ts';
import { LIMITS } from '../../src/limits.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';
import { SHOW } from './engine-under-test.ts';
import { type FlashSaleShow, SALE, SKUS, signToken } from './flash-sale.ts';
import { PlainClient } from './plain-client.ts';
import { type Scene, scenario } from './scenario.ts';
import { type FaultBuyer, outcomeOf, type Users } from './virtual-users.ts';

const MINUTE_MS = 60_000;
/** Far below the minute by which clocks are off, far above what a slow machine takes. */
const NEAR_MS = 2_000;
/** A press is early with at least this much time left until the opening. */
const EARLY_MS = 500;

const SHIFTS: Readonly<Record<string, number>> = {
  'gateway-0': MINUTE_MS,
  'gateway-1': -MINUTE_MS,
  'other-0': MINUTE_MS,
};

type Near = (what: string, value: unknown, truth: number, boundMs?: number) => void;

export const clockOff = scenario(
  'clock of a node off by a minute',
  { shiftMsOf: (name) => SHIFTS[name] ?? 0 },
  async (scene) => {
    const { join, expect } = scene;
    const near: Near = (what, value, truth, boundMs = NEAR_MS) =>
      expect(
        typeof value === 'number' && Math.abs(value - truth) < boundMs,
        `I5: ${what} is ${String(value)}, ${Number(value) - truth} ms off`,
      );
    const sentAt = Date.now();
    const users = await join({ units: 14, opensInMs: 4_000, durationMs: 4_000 }, { viewers: 2 });
    const { staged } = users.world;
    near('opensAt', staged.opensAt, sentAt + 4_000);
    const tokenEnds = await checkTokens(scene, near);
    const minted = await staged.office.mint(SHOW, 'm', 'M', 'buyer', 600);
    near('expiresAt of a minted token', minted.expiresAt, Date.now() + 600_000);
    await checkEarlyReserves(scene, staged, users, near);
    await users.rush();
    for (const viewer of users.viewers) {
      const { node, events } = viewer;
      const find = (type: string) => events.find((event) => event.type === type);
      expect(await viewer.until(() => find('sale.ended') !== undefined, 8_000), `no close on ${node}`);
      for (const [type, moment] of [
        ['sale.opened', staged.opensAt],
        ['sale.ended', staged.closesAt],
      ] as const) {
        near(`${type} on ${node}`, find(type)?.at, moment, 1_000);
        near(`the receipt of ${type} on ${node}`, find(type)?.seenAt, moment);
      }
    }
    await Promise.all(tokenEnds);
    return { unbroken: users.clients };
  },
);

/** Tokens expire by Redis time, on each node. Returns the ends of those that are still valid. */
async function checkTokens({ engine, prng, expect }: Scene, near: Near): Promise<Promise<void>[]> {
  const ends: Promise<void>[] = [];
  for (const { port, name } of engine.gateways) {
    const urls = [`ws://127.0.0.1:${port}`];
    const valid = new PlainClient({ urls, show: SHOW, token: signToken('short', 3_000), prng });
    const endsAt = (Math.floor(Date.now() / 1_000) + 3) * 1_000;
    await Promise.race([valid.connect(), sleep(2_000)]);
    expect(valid.connected, `${name} refused a token that is valid for 3 s: ${JSON.stringify(valid.lastRefusal)}`);
    ends.push(
      valid
        .until(() => !valid.connected, 8_000)
        .then(() => {
          near(`the end of a token on ${name}`, Date.now(), endsAt);
          expect(valid.lastClose?.code === 4201, `H-6: closed with ${JSON.stringify(valid.lastClose)}`);
        }),
    );
    const expired = new PlainClient({ urls, show: SHOW, token: signToken('late', -10_000), prng });
    await Promise.race([expired.connect(), expired.until(() => expired.lastRefusal !== null, 2_000)]);
    const { status, code } = expired.lastRefusal ?? {};
    expect(
      status === 401 && code === 'token_expired',
      `H-4: ${name} replied to a token that expired 10 s ago with ${status} ${code}`,
    );
    await expired.close();
  }
  return ends;
}

/** Reserves before the opening are refused with the time left, and `sync` returns Redis time. */
async function checkEarlyReserves(
  { expect }: Scene,
  { opensAt }: FlashSaleShow,
  users: Users,
  near: Near,
): Promise<void> {
  for (const client of users.clients.slice(0, 6)) {
    const before = Date.now();
    const sync = await client.request({ t: 'sync', id: 0, at: before });
    if (sync.t === 'ok') near(`sync on ${client.node}`, sync.data?.received, before);
    // On a busy machine the sale may open meanwhile: then the reserve would buy.
    if (Date.now() > opensAt - EARLY_MS) continue;
    const early = await client.request({ t: 'reserve', key: 'early', sale: SALE, lines: [{ sku: SKUS[0], qty: 1 }] });
    if (Date.now() >= opensAt - 200) continue;
    expect(
      early.t === 'error' && early.code === 'sale_not_open',
      `T-4: an early reserve on ${client.node} got ${JSON.stringify(early).slice(0, 200)}`,
    );
    if (early.t === 'error' && early.retryAfterMs !== undefined)
      near('retryAfterMs', early.retryAfterMs, opensAt - Date.now());
  }
}

/** All buyers take a hold at the opening, and race for its end. */
async function raceHolds(
  { expect }: Scene,
  { buyers, opening }: Users,
  race: (buyer: FaultBuyer, held: ReservationView) => Promise<void>,
): Promise<void> {
  await opening();
  await Promise.all(
    buyers.map(async (buyer) => {
      const held = await buyer.reserve('r-1');
      if (held) await race(buyer, held);
      else expect(false, `${buyer.user} got no hold`);
    }),
  );
}

interface End {
  readonly reply: Reply;
  readonly orderRef: string | null;
}

export const endsRace = scenario(
  'two ends of one hold race',
  { gateways: 1, others: ['control', 'control'] },
  async (scene) => {
    const { prng, join, expect, note } = scene;
    const users = await join({ units: 60 }, { buyers: 30, viewers: 2 });
    const { offices, office: first } = users.world.staged;
    let confirmsWon = 0;
    await raceHolds(scene, users, async (buyer, { id, amount }) => {
      const overHttp = async (control: number, what: 'confirm' | 'release', tag: string): Promise<End> => {
        await sleep(prng.int(0, 2));
        const office = offices[control] ?? first;
        const key = `${what}-${tag}-${id}`;
        const orderRef = what === 'confirm' ? `order-${tag}-${id}` : null;
        const send = (): Promise<Reply> =>
          replyOf(
            orderRef === null ? office.release(SHOW, id, key) : office.confirm(SHOW, id, { orderRef, amount }, key),
          );
        const reply = await users.world.history.record({ do: what, reservation: id, key }, send, outcomeOf);
        return { reply, orderRef };
      };
      const overSocket = async (): Promise<End> => {
        const key = `release-${id}`;
        const send = (): Promise<Reply> => buyer.client.request({ t: 'release', key, reservation: id });
        const reply = await users.world.history.record({ do: 'release', reservation: id, key }, send, outcomeOf);
        return { reply, orderRef: null };
      };
      const rival = prng.pick(['confirm', 'release', 'over the socket'] as const);
      const ends = await Promise.all([
        overHttp(0, 'confirm', 'a'),
        rival === 'over the socket' ? overSocket() : overHttp(1, rival, 'b'),
      ]);
      const winners = ends.filter(({ reply }) => reply.t === 'ok');
      expect(
        winners.length === 1,
        `I3: ${id} was ended ${winners.length} times: ${JSON.stringify(ends).slice(0, 400)}`,
      );
      const [winner] = winners;
      const loser = ends.find((end) => end !== winner)?.reply;
      if (!winner || !loser) return;
      const { orderRef } = winner;
      const state = orderRef === null ? 'released' : 'confirmed';
      if (state === 'confirmed') confirmsWon++;
      expect(
        loser.t === 'error' && loser.code === `reservation_${state}`,
        `I3: the loser of ${id} got ${JSON.stringify(loser).slice(0, 200)}`,
      );
      if (loser.t === 'error' && orderRef !== null) {
        const named = (loser.details as { orderRef?: string } | undefined)?.orderRef;
        expect(named === orderRef, `I3: the loser of ${id} got the order ${named}, ${orderRef} won`);
      }
      buyer.end({ id, state, ...(orderRef === null ? {} : { orderRef }) });
    });
    note(`${confirmsWon} of ${users.buyers.length} won by a confirm`);
    return { unbroken: users.clients };
  },
);

/** A confirm is sent this long before or after the end of the grace period. */
const AROUND_MS = 300;

export const confirmRacesDeadline = scenario('confirm races the deadline', {}, async (scene) => {
  const { prng, join, expect, note } = scene;
  const users = await join({ units: 60, holdMs: LIMITS.holdMinMs }, { buyers: 30, viewers: 2, patienceMs: 40_000 });
  let won = 0;
  await raceHolds(scene, users, async (buyer, held) => {
    const expiresAt = held.heldUntil + LIMITS.confirmGraceMs;
    await sleep(expiresAt - Date.now() + prng.int(-AROUND_MS, AROUND_MS));
    const sentAt = Date.now();
    await buyer.buyer.confirm(held);
    const confirmed = buyer.ended.get(held.id)?.state === 'confirmed';
    if (confirmed) won++;
    else
      expect(
        buyer.refused.get('reservation_expired') === 1,
        `I3: ${held.id} was neither confirmed nor expired: ${JSON.stringify([...buyer.refused])}`,
      );
    // One machine, one clock: sent after the end is too late, decided before the end is in time.
    if (sentAt > expiresAt + 1)
      expect(!confirmed, `${held.id} was confirmed ${sentAt - expiresAt} ms after deadline and grace`);
    if (Date.now() < expiresAt) expect(confirmed, `${held.id} was refused ${expiresAt - Date.now()} ms before the end`);
  });
  note(`${won} of ${users.buyers.length} won by a confirm`);
  return { unbroken: users.clients };
});
