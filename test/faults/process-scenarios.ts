/** Processes of the engine that die or freeze: a gateway, control and jobs, a worker. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { replyOf } from '../../bench/users/back-office.ts';
import { LIMITS } from '../../src/limits.ts';
import { type Books, readBooks } from './books.ts';
import { SHOW } from './engine-under-test.ts';
import { SALE } from './flash-sale.ts';
import type { PlainClient } from './plain-client.ts';
import { scenario, shown } from './scenario.ts';
import { outcomeOf } from './virtual-users.ts';

const FREED_WITHIN_MS = 1_000;
/** Takes milliseconds on an idle machine; the bound distinguishes a timer from a sweep. */
const PUNCTUAL_MS = 500;

const expiredIn = ({ reservations }: Books) => [...reservations.values()].filter(({ state }) => state === 'expired');

export const gatewayKilled = scenario('gateway killed', {}, async ({ engine, prng, join, expect, note }) => {
  const users = await join({ units: 14 });
  const victim = prng.pick(engine.gateways);
  const survivors = users.clients.filter(({ node }) => node !== victim.name);
  expect(survivors.length < users.clients.length, 'no client was on the killed gateway');
  await users.rush(async () => {
    await users.opening(prng.int(0, 500));
    await victim.kill();
    await sleep(prng.int(200, 1_500));
    await victim.start();
  });
  const afterCheck = (): void =>
    note(`${users.clients.filter(({ resumed }) => resumed > 0).length} resumed, ${survivors.length} survived`);
  return { unbroken: survivors, afterCheck };
});

export const controlKilled = scenario('control and jobs killed', {}, async ({ engine, prng, join, expect, note }) => {
  const durationMs = 3_000;
  const users = await join({ units: 14, durationMs, holdMs: LIMITS.holdMinMs }, { patienceMs: 40_000 });
  const { staged } = users.world;
  const victim = engine.other('control,jobs');
  const [viewer] = users.viewers as [PlainClient];
  const redis = engine.redis.admin;
  await users.rush(async () => {
    // Before the opening or among the confirms: only gateways open, close and expire meanwhile.
    await users.opening(prng.pick([-300, prng.int(50, 500)]));
    await victim.kill();
    const hasClosed = (): boolean => viewer.events.some(({ type }) => type === 'sale.ended');
    expect(await viewer.until(hasClosed, durationMs + 6_000), 'the sale did not close by itself');
    // Confirms wait for a control process, which starts when the first holds have expired.
    const deadline = staged.opensAt + LIMITS.holdMinMs + LIMITS.confirmGraceMs + FREED_WITHIN_MS;
    while (Date.now() < deadline + 3_000 && expiredIn(await readBooks(redis)).length === 0) await sleep(200);
    await victim.start();
  });

  for (const [type, moment] of Object.entries({ 'sale.opened': staged.opensAt, 'sale.ended': staged.closesAt })) {
    const event = viewer.events.find((seen) => seen.type === type);
    const isPunctual = event !== undefined && event.at >= moment && event.at - moment < PUNCTUAL_MS;
    expect(isPunctual, `I5: ${type} at ${event?.at}, planned for ${moment}`);
  }

  // Abandoned holds, and those that could not be confirmed in time.
  let books = await readBooks(redis);
  const held = () => [...books.reservations.values()].filter(({ state }) => state === 'held');
  while (held().some(({ heldUntil }) => Date.now() < heldUntil + 4_000)) {
    await sleep(200);
    books = await readBooks(redis);
  }
  expect(held().length === 0, `${held().length} holds did not expire`);
  const lateMs = expiredIn(books).map(({ id, heldUntil, endedAt = 0 }) => {
    const late = endedAt - heldUntil - LIMITS.confirmGraceMs;
    expect(late >= 0 && late < FREED_WITHIN_MS, `${id} was freed ${late} ms after deadline and grace`);
    return late;
  });

  // A process that never saw the first request returns the recorded result.
  for (const { ended } of users.buyers)
    for (const [id, { state, orderRef = '' }] of ended) {
      if (state !== 'confirmed') continue;
      const amount = books.reservations.get(id)?.amount ?? 0;
      const confirm = staged.office.confirm(SHOW, id, { orderRef, amount }, `confirm-http-${id}`);
      const repeated = outcomeOf(await replyOf(confirm));
      const isSame = repeated.type === 'ok' && repeated.replayed === true && repeated.reservation === id;
      expect(isSame, `I4: a repeated confirm of ${id} returned ${shown(repeated)}`);
    }
  for (const { client } of users.buyers)
    await client.until(() => [...client.mine.values()].every(({ state }) => state !== 'held'), 3_000);
  note(`${lateMs.length} expired, the latest ${Math.max(0, ...lateMs)} ms after grace`);
  return { unbroken: users.clients };
});

/** Longer than the lock of BullMQ: the jobs of the paused process run elsewhere, and again late. */
const PAUSED_MS = 36_000;

const TWO_WORKERS = { gateways: 1, others: ['control', 'jobs', 'jobs'] };

export const workerPaused = scenario('worker paused past its lock', TWO_WORKERS, async (scene) => {
  const { engine, prng, join, expect, note } = scene;
  const worker = engine.other('jobs');
  const users = await join({ units: 14, durationMs: 20_000, holdMs: LIMITS.holdMinMs });
  await users.rush(async () => {
    await users.opening(prng.int(-400, 400));
    worker.signal('SIGSTOP');
    await sleep(PAUSED_MS);
  });
  const before = await readBooks(engine.redis.admin);
  worker.signal('SIGCONT');
  await sleep(5_000);
  const after = await readBooks(engine.redis.admin);
  expect(before.offset === after.offset, `late jobs appended events ${before.offset + 1} to ${after.offset}`);
  expect(isDeepStrictEqual(before.reservations, after.reservations), 'late jobs changed reservations');
  const { state } = await users.world.staged.office.getSale(SHOW, SALE);
  expect(state === 'ended', `the sale is ${state} at the end`);
  for (const { id, state } of after.reservations.values()) expect(state !== 'held', `${id} did not expire`);
  note(`${expiredIn(after).length} expired meanwhile`);
  return { unbroken: users.clients };
});
