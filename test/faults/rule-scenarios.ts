/** Clocks that are wrong, and ends that race. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type BackOffice, replyOf } from '../../bench/users/back-office.ts';
import type { Reply } from '../../bench/users/buyer.ts';
import { LIMITS } from '../../src/limits.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';
import { SHOW } from './engine-under-test.ts';
import { SALE, SKUS, signToken } from './flash-sale.ts';
import { PlainClient } from './plain-client.ts';
import { type Scene, scenario, shown } from './scenario.ts';
import { type FaultBuyer, outcomeOf, type Users } from './virtual-users.ts';

const MINUTE_MS = 60_000;
/** Far below the minute by which clocks are off, far above what a slow machine takes. */
const NEAR_MS = 2_000;
/** A press is early with at least this much time left until the opening. */
const EARLY_MS = 500;

const SHIFTED = { shiftMsOf: (name: string) => (name === 'gateway-1' ? -MINUTE_MS : MINUTE_MS) };

type Near = (what: string, value: unknown, truth: number, boundMs?: number) => void;

export const clockOff = scenario('clock of a node off by a minute', SHIFTED, async (scene) => {
  const { join, expect } = scene;
  const near: Near = (what, value, truth, boundMs = NEAR_MS) => {
    const isNear = typeof value === 'number' && Math.abs(value - truth) < boundMs;
    expect(isNear, `I5: ${what} is ${String(value)}, ${Number(value) - truth} ms off`);
  };
  const sentAt = Date.now();
  const users = await join({ units: 14, opensInMs: 4_000, durationMs: 4_000 }, { viewers: 2 });
  const { staged } = users.world;
  near('opensAt', staged.opensAt, sentAt + 4_000);
  const tokenEnds = await checkTokens(scene, near);
  const minted = await staged.office.mint(SHOW, 'm', 'M', 'buyer', 600);
  near('expiresAt of a minted token', minted.expiresAt, Date.now() + 600_000);
  await checkEarlyReserves(scene, users, near);
  await users.rush();
  for (const viewer of users.viewers) {
    const { node, events } = viewer;
    const find = (type: string) => events.find((event) => event.type === type);
    expect(await viewer.until(() => find('sale.ended') !== undefined, 8_000), `no close on ${node}`);
    for (const [type, moment] of Object.entries({ 'sale.opened': staged.opensAt, 'sale.ended': staged.closesAt })) {
      near(`${type} on ${node}`, find(type)?.at, moment, 1_000);
      near(`the receipt of ${type} on ${node}`, find(type)?.seenAt, moment);
    }
  }
  await Promise.all(tokenEnds);
  return { unbroken: users.clients };
});

/** Tokens expire by Redis time, on each node. Returns the ends of those that are still valid. */
async function checkTokens({ engine, prng, expect }: Scene, near: Near): Promise<Promise<void>[]> {
  const ends: Promise<void>[] = [];
  for (const { port, name } of engine.gateways) {
    const urls = [`ws://127.0.0.1:${port}`];
    const valid = new PlainClient({ urls, show: SHOW, token: signToken('short', 3_000), prng });
    const endsAt = (Math.floor(Date.now() / 1_000) + 3) * 1_000;
    await Promise.race([valid.connect(), sleep(2_000)]);
    expect(valid.connected, `${name} refused a token that is valid for 3 s: ${JSON.stringify(valid.lastRefusal)}`);
    const ended = async (): Promise<void> => {
      await valid.until(() => !valid.connected, 8_000);
      near(`the end of a token on ${name}`, Date.now(), endsAt);
      expect(valid.lastClose?.code === 4201, `H-6: closed with ${JSON.stringify(valid.lastClose)}`);
    };
    ends.push(ended());
    const expired = new PlainClient({ urls, show: SHOW, token: signToken('late', -10_000), prng });
    await Promise.race([expired.connect(), expired.until(() => expired.lastClose !== null, 2_000)]);
    const refusal = expired.lastClose?.code;
    expect(refusal === 4201, `H-4: ${name} replied to a token that expired 10 s ago with ${refusal}`);
    await expired.close();
  }
  return ends;
}

/** Reserves before the opening are refused with the time left, and `sync` returns Redis time. */
async function checkEarlyReserves({ expect }: Scene, { clients, world }: Users, near: Near): Promise<void> {
  const { opensAt } = world.staged;
  for (const client of clients.slice(0, 6)) {
    const before = Date.now();
    const sync = await client.request({ t: 'sync', id: 0, at: before });
    if (sync.t === 'ok') near(`sync on ${client.node}`, sync.data?.received, before);
    // On a busy machine the sale may open meanwhile: then the reserve would buy.
    if (Date.now() > opensAt - EARLY_MS) continue;
    const early = await client.request({ t: 'reserve', key: 'early', sale: SALE, lines: [{ sku: SKUS[0], qty: 1 }] });
    if (Date.now() >= opensAt - 200) continue;
    const isEarly = early.t === 'error' && early.code === 'sale_not_open';
    expect(isEarly, `T-4: an early reserve on ${client.node} got ${shown(early)}`);
    if (early.t === 'error' && early.retryAfterMs !== undefined)
      near('retryAfterMs', early.retryAfterMs, opensAt - Date.now());
  }
}

/** All buyers take a hold at the opening, and race for its end. */
async function raceHolds({ expect }: Scene, { buyers, opening }: Users, race: Race): Promise<void> {
  await opening();
  const play = async (buyer: FaultBuyer): Promise<void> => {
    const held = await buyer.reserve('r-1');
    if (held) await race(buyer, held);
    else expect(false, `${buyer.user} got no hold`);
  };
  await Promise.all(buyers.map(play));
}

type Race = (buyer: FaultBuyer, held: ReservationView) => Promise<void>;
const TWO_CONTROLS = { gateways: 1, others: ['control', 'control'] };

export const endsRace = scenario('two ends of one hold race', TWO_CONTROLS, async (scene) => {
  const { prng, join, expect, note } = scene;
  const users = await join({ units: 60 }, { buyers: 30, viewers: 2 });
  const { office: first, offices } = users.world.staged;
  const second = offices[1] ?? first;
  let confirmsWon = 0;
  await raceHolds(scene, users, async (buyer, { id, amount }) => {
    const end = async (what: 'confirm' | 'release', key: string, send: () => Promise<Reply>, orderRef?: string) => {
      const reply = await users.world.history.record({ do: what, reservation: id, key }, send, outcomeOf);
      return { reply, orderRef };
    };
    const confirm = async (office: BackOffice, tag: string) => {
      await sleep(prng.int(0, 2));
      const [key, orderRef] = [`confirm-${tag}-${id}`, `order-${tag}-${id}`];
      return end('confirm', key, () => replyOf(office.confirm(SHOW, id, { orderRef, amount }, key)), orderRef);
    };
    const release = async (office: BackOffice, tag: string) => {
      await sleep(prng.int(0, 2));
      const key = `release-${tag}-${id}`;
      return end('release', key, () => replyOf(office.release(SHOW, id, key)));
    };
    const releaseOverSocket = () => {
      const key = `release-${id}`;
      return end('release', key, () => buyer.client.request({ t: 'release', key, reservation: id }));
    };
    const rivals = [() => confirm(second, 'b'), () => release(second, 'b'), releaseOverSocket];
    const ends = await Promise.all([confirm(first, 'a'), prng.pick(rivals)()]);
    const winners = ends.filter(({ reply }) => reply.t === 'ok');
    expect(winners.length === 1, `I3: ${id} was ended ${winners.length} times: ${shown(ends)}`);
    const [winner] = winners;
    const loser = ends.find((end) => end !== winner)?.reply;
    if (!winner || !loser) return;
    const { orderRef } = winner;
    const state = orderRef === undefined ? 'released' : 'confirmed';
    if (state === 'confirmed') confirmsWon++;
    const isRefused = loser.t === 'error' && loser.code === `reservation_${state}`;
    expect(isRefused, `I3: the loser of ${id} got ${shown(loser)}`);
    if (loser.t === 'error' && orderRef !== undefined) {
      const named = (loser.details as { orderRef?: string } | undefined)?.orderRef;
      expect(named === orderRef, `I3: the loser of ${id} got the order ${named}, ${orderRef} won`);
    }
    buyer.end({ id, state, ...(orderRef === undefined ? {} : { orderRef }) });
  });
  note(`${confirmsWon} of ${users.buyers.length} won by a confirm`);
  return { unbroken: users.clients };
});

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
    const isEnded = confirmed || buyer.refused.get('reservation_expired') === 1;
    expect(isEnded, `I3: ${held.id} was neither confirmed nor expired: ${shown([...buyer.refused])}`);
    // One machine, one clock: sent after the end is too late, decided before the end is in time.
    if (sentAt > expiresAt + 1)
      expect(!confirmed, `${held.id} was confirmed ${sentAt - expiresAt} ms after deadline and grace`);
    if (Date.now() < expiresAt) expect(confirmed, `${held.id} was refused ${expiresAt - Date.now()} ms before the end`);
  });
  note(`${won} of ${users.buyers.length} won by a confirm`);
  return { unbroken: users.clients };
});
