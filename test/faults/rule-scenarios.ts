/** Clocks that are wrong, and ends that race. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../../src/limits.ts';
import { answerOf, outcomeOf } from './buyer.ts';
import { createFlashSaleShow, SALE, SKUS } from './flash-sale.ts';
import { type Answer, type Fields, PlainClient } from './plain-client.ts';
import { call, must, signToken } from './plain-http.ts';
import { judge } from './run-checker.ts';
import { scenario } from './scenario.ts';
import { gather } from './virtual-users.ts';

const MINUTE_MS = 60_000;
/**
 * The bound for a moment told by a node: far below the minute its clock is off, far above what a
 * slow machine takes.
 */
const NEAR_MS = 2_000;
/** A press is early with at least this much left until it opens. */
const EARLY_MS = 500;

const SHIFTS: Readonly<Record<string, number>> = {
  'gateway-0': MINUTE_MS,
  'gateway-1': -MINUTE_MS,
  'other-0': MINUTE_MS,
};

export const clockOff = scenario(
  'clock of a node off by a minute',
  { shiftMsOf: (name) => SHIFTS[name] ?? 0 },
  async ({ house, prng, expect }) => {
    const near = (what: string, told: unknown, truth: number, boundMs = NEAR_MS): void =>
      expect(
        typeof told === 'number' && Math.abs(told - truth) < boundMs,
        `I5: ${what} is ${String(told)}, ${Number(told) - truth} ms off`,
      );
    const asked = Date.now();
    const staged = await createFlashSaleShow(house, 'clock', { units: 14, opensInMs: 4_000, durationMs: 4_000 });
    near('opensAt', staged.opensAt, asked + 4_000);
    const crowd = await gather(house, staged, prng, { watchers: 2 });

    // Tokens live by Redis time, on whatever node.
    const tokenEnds: Promise<void>[] = [];
    for (const { port, name } of house.gateways) {
      const url = [`ws://127.0.0.1:${port}`];
      const ends = new PlainClient({
        urls: url,
        show: staged.show,
        token: signToken(staged.show, 'short', 3_000),
        prng,
      });
      const endsAt = (Math.floor(Date.now() / 1_000) + 3) * 1_000;
      await Promise.race([ends.connect(), sleep(2_000)]);
      expect(ends.connected, `a token with 3 s to live was refused by ${name}: ${JSON.stringify(ends.lastRefusal)}`);
      tokenEnds.push(
        ends
          .until(() => !ends.connected, 8_000)
          .then(() => {
            near(`the end of a token on ${name}`, Date.now(), endsAt);
            expect(ends.lastClose?.code === 4201, `H-6: closed with ${JSON.stringify(ends.lastClose)}`);
          }),
      );
      const late = new PlainClient({
        urls: url,
        show: staged.show,
        token: signToken(staged.show, 'late', -10_000),
        prng,
      });
      await Promise.race([late.connect(), late.until(() => late.lastRefusal !== null, 2_000)]);
      const { status, code } = late.lastRefusal ?? {};
      expect(
        status === 401 && code === 'token_expired',
        `H-4: a token that expired 10 s ago was answered by ${name} with ${status} ${code}`,
      );
      await late.close();
    }
    const minted = await must(staged.control, 'POST', `/v1/shows/${staged.show}/tokens`, {
      user: 'm',
      name: 'M',
      role: 'buyer',
      ttlSeconds: 600,
    });
    near('expiresAt of a minted token', minted.expiresAt, Date.now() + 600_000);

    // Early refusals, and the clock as it is told.
    for (const client of crowd.clients.slice(0, 6)) {
      const before = Date.now();
      const sync = await client.request({ t: 'sync', id: 0, at: before });
      if (sync.t === 'ok') near(`sync on ${client.node}`, sync.data?.received, before);
      // On a machine so busy that it opens meanwhile, the press would be a purchase nobody reckons
      // with.
      if (Date.now() > staged.opensAt - EARLY_MS) continue;
      const early = await client.request({ t: 'reserve', key: 'early', sale: SALE, lines: [{ sku: SKUS[0], qty: 1 }] });
      if (Date.now() < staged.opensAt - 200) {
        expect(
          early.t === 'error' && early.code === 'sale_not_open',
          `T-4: an early reserve on ${client.node} got ${JSON.stringify(early).slice(0, 200)}`,
        );
        if (early.t === 'error' && early.retryAfterMs !== undefined)
          near('retryAfterMs', early.retryAfterMs, staged.opensAt - Date.now());
      }
    }
    await crowd.rush();
    for (const watcher of crowd.watchers) {
      expect(
        await watcher.until(() => watcher.events.some(({ type }) => type === 'sale.ended'), 8_000),
        `no close on ${watcher.node}`,
      );
      const opened = watcher.events.find(({ type }) => type === 'sale.opened');
      const ended = watcher.events.find(({ type }) => type === 'sale.ended');
      near(`sale.opened on ${watcher.node}`, opened?.at, staged.opensAt, 1_000);
      near(`the sight of sale.opened on ${watcher.node}`, opened?.seenAt, staged.opensAt);
      near(`sale.ended on ${watcher.node}`, ended?.at, staged.closesAt, 1_000);
      near(`the sight of sale.ended on ${watcher.node}`, ended?.seenAt, staged.closesAt);
    }
    await Promise.all(tokenEnds);
    const verdict = await judge(house, crowd, { unbroken: crowd.clients });
    await crowd.leave();
    return verdict;
  },
);

interface Ended {
  readonly answer: Answer;
  readonly key: string;
  readonly orderRef: string | null;
}

export const endsRace = scenario(
  'two ends of one hold race',
  { gateways: 1, others: ['control', 'control'] },
  async ({ house, prng, expect, note }) => {
    const staged = await createFlashSaleShow(house, 'race', { units: 60, opensInMs: 1_500 });
    const crowd = await gather(house, staged, prng, { buyers: 30, watchers: 2 });
    await sleep(Math.max(0, staged.opensAt - Date.now()));
    let confirmsWon = 0;
    const race = async (at: number): Promise<void> => {
      const buyer = crowd.buyers[at];
      const held = await buyer?.reserve('r-1');
      if (!buyer || !held) return expect(false, `buyer-${at} got no hold`);
      const [one = '', two = ''] = house.controlUrls;
      const byPhone = async (base: string, what: 'confirm' | 'release', tag: string): Promise<Ended> => {
        await sleep(prng.int(0, 2));
        const key = `${what}-${tag}-${held.id}`;
        const orderRef = what === 'confirm' ? `order-${tag}-${held.id}` : null;
        const body: Fields = orderRef === null ? {} : { orderRef, amount: held.amount };
        const answer = await crowd.world.history.record(
          { do: what, reservation: held.id, key },
          async () =>
            answerOf(await call(base, 'POST', `/v1/shows/${staged.show}/reservations/${held.id}/${what}`, body, key)),
          outcomeOf,
        );
        return { answer, key, orderRef };
      };
      const byHand = async (): Promise<Ended> => {
        const key = `release-${held.id}`;
        const answer = await crowd.world.history.record(
          { do: 'release', reservation: held.id, key },
          () => buyer.client.request({ t: 'release', key, reservation: held.id }),
          outcomeOf,
        );
        return { answer, key, orderRef: null };
      };
      const rival = prng.pick(['confirm', 'release', 'by hand'] as const);
      const ends = await Promise.all([
        byPhone(one, 'confirm', 'a'),
        rival === 'by hand' ? byHand() : byPhone(two, rival, 'b'),
      ]);
      const winners = ends.filter(({ answer }) => answer.t === 'ok');
      expect(
        winners.length === 1,
        `I3: ${held.id} was ended ${winners.length} times: ${JSON.stringify(ends).slice(0, 400)}`,
      );
      const [winner] = winners;
      const loser = ends.find((end) => end !== winner);
      if (!winner || !loser) return;
      const state = winner.orderRef === null ? 'released' : 'confirmed';
      if (state === 'confirmed') confirmsWon++;
      const told = loser.answer;
      expect(
        told.t === 'error' && told.code === `reservation_${state}`,
        `I3: the loser of ${held.id} was told ${JSON.stringify(told).slice(0, 200)}`,
      );
      if (told.t === 'error' && winner.orderRef !== null)
        expect(
          told.details?.orderRef === winner.orderRef,
          `I3: the loser of ${held.id} was told of ${String(told.details?.orderRef)}, ${winner.orderRef} won`,
        );
      buyer.ended.set(held.id, {
        state,
        ...(winner.orderRef === null ? {} : { orderRef: winner.orderRef }),
        answeredAt: Date.now(),
      });
    };
    await Promise.all(crowd.buyers.map((_, at) => race(at)));
    const verdict = await judge(house, crowd, { unbroken: crowd.clients });
    note(`${confirmsWon} of ${crowd.buyers.length} won by a confirm`);
    await crowd.leave();
    return verdict;
  },
);

/** How far around the end of the grace a confirm is sent. */
const AROUND_MS = 300;

export const confirmRacesDeadline = scenario(
  'confirm races the deadline',
  {},
  async ({ house, prng, expect, note }) => {
    const staged = await createFlashSaleShow(house, 'deadline', {
      units: 60,
      opensInMs: 1_500,
      holdMs: LIMITS.holdMinMs,
    });
    const crowd = await gather(house, staged, prng, { buyers: 30, watchers: 2, patienceMs: 40_000 });
    await sleep(Math.max(0, staged.opensAt - Date.now()));
    let won = 0;
    const race = async (at: number): Promise<void> => {
      const buyer = crowd.buyers[at];
      const held = await buyer?.reserve('r-1');
      if (!buyer || !held) return expect(false, `buyer-${at} got no hold`);
      const lapsesAt = held.heldUntil + LIMITS.confirmGraceMs;
      await sleep(lapsesAt - Date.now() + prng.int(-AROUND_MS, AROUND_MS));
      const sentAt = Date.now();
      await buyer.confirm(held);
      const confirmed = buyer.ended.get(held.id)?.state === 'confirmed';
      if (confirmed) won++;
      else
        expect(
          buyer.refused.get('reservation_expired') === 1,
          `I3: ${held.id} was neither confirmed nor expired: ${JSON.stringify([...buyer.refused])}`,
        );
      // One machine, one clock: what was sent after the end came too late, what was answered before
      // it did not.
      if (sentAt > lapsesAt + 1)
        expect(!confirmed, `${held.id} was confirmed ${sentAt - lapsesAt} ms after deadline and grace`);
      if (Date.now() < lapsesAt) expect(confirmed, `${held.id} was refused ${lapsesAt - Date.now()} ms before the end`);
    };
    await Promise.all(crowd.buyers.map((_, at) => race(at)));
    const verdict = await judge(house, crowd, { unbroken: crowd.clients });
    note(`${won} of ${crowd.buyers.length} won by a confirm`);
    await crowd.leave();
    return verdict;
  },
);
