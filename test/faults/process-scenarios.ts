/** Processes of ours that die or stand still: a gateway, control and jobs, a worker. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LIMITS } from '../../src/limits.ts';
import { answerOf, outcomeOf } from './buyer.ts';
import { createFlashSaleShow, SALE } from './flash-sale.ts';
import type { PlainClient } from './plain-client.ts';
import { call, must } from './plain-http.ts';
import { judge, readBooks } from './run-checker.ts';
import { scenario } from './scenario.ts';
import { gather } from './virtual-users.ts';

const FREED_WITHIN_MS = 1_000;
/** Milliseconds on a quiet machine; the bound tells a timer from a sweep that comes by. */
const ON_THE_DOT_MS = 500;

export const gatewayKilled = scenario('gateway killed', {}, async ({ house, prng, expect, note }) => {
  const staged = await createFlashSaleShow(house, 'gw', { units: 14, opensInMs: 1_500 });
  const crowd = await gather(house, staged, prng);
  const victim = prng.pick(house.gateways);
  const survivors = crowd.clients.filter(({ node }) => node !== victim.name);
  expect(survivors.length < crowd.clients.length, 'nobody was on the gateway that dies');
  const killing = (async () => {
    await sleep(Math.max(0, staged.opensAt - Date.now()) + prng.int(0, 500));
    await victim.kill();
    await sleep(prng.int(200, 1_500));
    await victim.start();
  })();
  await Promise.all([crowd.rush(), killing]);
  const verdict = await judge(house, crowd, { unbroken: survivors });
  note(`${crowd.clients.filter(({ resumed }) => resumed > 0).length} resumed, ${survivors.length} survived`);
  await crowd.leave();
  return verdict;
});

export const controlKilled = scenario('control and jobs killed', {}, async ({ house, prng, expect, note }) => {
  const durationMs = 3_000;
  const staged = await createFlashSaleShow(house, 'ctl', {
    units: 14,
    opensInMs: 1_500,
    durationMs,
    holdMs: LIMITS.holdMinMs,
  });
  const crowd = await gather(house, staged, prng, { patienceMs: 40_000 });
  const victim = house.other('control,jobs');
  const [watcher] = crowd.watchers as [PlainClient];
  const killing = (async () => {
    // Before the opening or while confirms come in: nobody but the gateways is there for the
    // opening, the close and the lapses.
    await sleep(Math.max(0, staged.opensAt - Date.now()) + prng.pick([-300, prng.int(50, 500)]));
    await victim.kill();
    const closed = await watcher.until(
      () => watcher.events.some(({ type }) => type === 'sale.ended'),
      durationMs + 6_000,
    );
    expect(closed, 'the sale did not close by itself');
    // Confirms wait for a control process; it comes back when the first holds have lapsed.
    const redis = house.redis.client();
    const deadline = staged.opensAt + LIMITS.holdMinMs + LIMITS.confirmGraceMs + FREED_WITHIN_MS;
    const someLapsed = async (): Promise<boolean> =>
      [...(await readBooks(redis, staged.show)).reservations.values()].some(({ state }) => state === 'expired');
    while (Date.now() < deadline + 3_000 && !(await someLapsed())) await sleep(200);
    await victim.start();
  })();
  await Promise.all([crowd.rush(), killing]);

  const onTheDot = (type: string, moment: number): void => {
    const event = watcher.events.find((seen) => seen.type === type);
    expect(
      event !== undefined && event.at >= moment && event.at - moment < ON_THE_DOT_MS,
      `I5: ${type} at ${event?.at}, planned for ${moment}`,
    );
  };
  onTheDot('sale.opened', staged.opensAt);
  onTheDot('sale.ended', staged.closesAt);

  // Holds of those who walked away, and of those who could not confirm in time.
  const redis = house.redis.client();
  let books = await readBooks(redis, staged.show);
  const open = (): number[] =>
    [...books.reservations.values()].filter(({ state }) => state === 'held').map(({ heldUntil }) => heldUntil);
  while (open().length > 0 && Date.now() < Math.max(...open()) + 4_000) {
    await sleep(200);
    books = await readBooks(redis, staged.show);
  }
  expect(open().length === 0, `${open().length} holds did not lapse`);
  let latestMs = 0;
  for (const { id, state, heldUntil, endedAt = 0 } of books.reservations.values()) {
    if (state !== 'expired') continue;
    const lateMs = endedAt - heldUntil - LIMITS.confirmGraceMs;
    latestMs = Math.max(latestMs, lateMs);
    expect(lateMs >= 0 && lateMs < FREED_WITHIN_MS, `${id} was freed ${lateMs} ms after deadline and grace`);
  }

  // The recorded answer, from a process that never saw the first request.
  for (const buyer of crowd.buyers)
    for (const [id, { state, orderRef }] of buyer.ended) {
      if (state !== 'confirmed') continue;
      const amount = books.reservations.get(id)?.amount;
      const again = outcomeOf(
        answerOf(
          await call(
            staged.control,
            'POST',
            `/v1/shows/${staged.show}/reservations/${id}/confirm`,
            { orderRef, amount },
            `confirm-http-${id}`,
          ),
        ),
      );
      expect(
        again.type === 'ok' && again.replayed === true && again.reservation === id,
        `I4: a repeated confirm of ${id} was answered with ${JSON.stringify(again)}`,
      );
    }
  for (const { client } of crowd.buyers)
    await client.until(() => [...client.mine.values()].every(({ state }) => state !== 'held'), 3_000);
  const verdict = await judge(house, crowd, { unbroken: crowd.clients });
  note(
    `${[...books.reservations.values()].filter(({ state }) => state === 'expired').length} lapsed, the latest ${latestMs} ms after grace`,
  );
  await crowd.leave();
  return verdict;
});

/**
 * Longer than BullMQ's lock: the work of the paused process is given to the other one, and done
 * again late.
 */
const PAUSED_MS = 36_000;

export const workerPaused = scenario(
  'worker paused past its lock',
  { gateways: 1, others: ['control', 'jobs', 'jobs'] },
  async ({ house, prng, expect, note }) => {
    const worker = house.other('jobs');
    const staged = await createFlashSaleShow(house, 'jobs', {
      units: 14,
      opensInMs: 1_500,
      durationMs: 20_000,
      holdMs: LIMITS.holdMinMs,
    });
    const crowd = await gather(house, staged, prng);
    const freezing = (async () => {
      await sleep(Math.max(0, staged.opensAt - Date.now()) + prng.int(-400, 400));
      worker.signal('SIGSTOP');
      await sleep(PAUSED_MS);
    })();
    await Promise.all([crowd.rush(), freezing]);
    const redis = house.redis.client();
    const before = await readBooks(redis, staged.show);
    worker.signal('SIGCONT');
    await sleep(5_000);
    const after = await readBooks(redis, staged.show);
    expect(before.offset === after.offset, `late jobs appended events ${before.offset + 1} to ${after.offset}`);
    expect(
      JSON.stringify([...before.reservations]) === JSON.stringify([...after.reservations]),
      'late jobs changed reservations',
    );
    const { state } = await must(staged.control, 'GET', `/v1/shows/${staged.show}/sales/${SALE}`);
    expect(state === 'ended', `the sale is ${String(state)} in the end`);
    let lapsed = 0;
    for (const { id, state } of after.reservations.values()) {
      expect(state !== 'held', `${id} did not lapse`);
      if (state !== 'expired') continue;
      lapsed++;
    }
    const verdict = await judge(house, crowd, { unbroken: crowd.clients });
    note(`${lapsed} lapsed meanwhile`);
    await crowd.leave();
    return verdict;
  },
);
