/**
 * How one person shops: what they press at zero, what they do with what they got. One function a
 * habit.
 */
import type { StampedeClient } from '../../src/client/index.ts';
import type { ReservationView, SaleView } from '../../src/protocol/messages.ts';
import type { Prng } from '../generator/prng.ts';
import type { Tally } from './counters.ts';

/**
 * `steady` presses once after zero; `early` presses before it and again at zero; `repeater` sends
 * the same key several times; `greedy` asks for more than allowed first; `muddled` uses a key again
 * for something else.
 */
export type Habit = 'steady' | 'early' | 'repeater' | 'greedy' | 'muddled';
export type Intent = 'pay' | 'abandon' | 'release';

export interface ShopperDeps {
  readonly client: StampedeClient;
  readonly user: string;
  readonly random: Prng;
  readonly tally: Tally;
  readonly habit: Habit;
  readonly intent: Intent;
  /**
   * Charges the buyer and confirms the reservation over HTTP; answers its new state, or null when
   * it could not.
   */
  readonly pay: (reservation: ReservationView) => Promise<ReservationView | null>;
  /** Resolves after the time, or early with false when the audience goes home. */
  readonly wait: (ms: number) => Promise<boolean>;
}

/**
 * Between zero and the press. A person on the viewer page who waits for it should be able to win.
 */
const REACTION_MEAN_MS = 900;
const TRIES_MAX = 3;
/** How long somebody who found a sale sold out watches for units that come back. */
const WATCH_MS = 25_000;
const WATCH_STEP_MS = 500;

/** Goes through one sale from the wait for zero to the end of the own holds. */
export async function shop(deps: ShopperDeps, saleId: string): Promise<void> {
  const { client, random } = deps;
  if (deps.habit === 'early' && !(await pressEarly(deps, saleId))) return;
  const countdown = client.countdown(saleId);
  const untilOpenMs = countdown?.to === 'open' ? countdown.remainingMs : 0;
  if (!(await deps.wait(untilOpenMs + random.waitMs(REACTION_MEAN_MS)))) return;

  let watchUntil: number | null = null;
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const sale = client.model.sales.get(saleId);
    if (sale === undefined || sale.state === 'ended' || sale.state === 'cancelled') return;
    const got = await press(deps, sale, chooseSku(random, sale));
    if (got !== null) return settle(deps, got);
    if (tries + 1 === TRIES_MAX) return;
    watchUntil ??= performance.now() + WATCH_MS;
    if (!(await unitsComeBack(deps, saleId, watchUntil))) return;
  }
}

/**
 * People want what is shown first: each SKU is about a tenth less wanted than the one before it,
 * and what is gone is not pressed knowingly.
 */
function chooseSku(random: Prng, sale: SaleView): string {
  const withUnits = sale.skus.filter((sku) => sku.left > 0);
  const choice = withUnits.length > 0 && !random.chance(0.1) ? withUnits : sale.skus;
  return random.weighted(choice.map((sku, index) => [sku.sku, 0.9 ** index] as const));
}

async function pressEarly(deps: ShopperDeps, saleId: string): Promise<boolean> {
  const countdown = deps.client.countdown(saleId);
  if (countdown === null || countdown.to !== 'open') return true;
  if (!(await deps.wait(countdown.remainingMs - deps.random.int(80, 2_500)))) return false;
  const sale = deps.client.model.sales.get(saleId);
  if (sale !== undefined) await reserve(deps, sale, [{ sku: chooseSku(deps.random, sale), qty: 1 }]);
  return true;
}

async function press(deps: ShopperDeps, sale: SaleView, sku: string): Promise<ReservationView | null> {
  const { random } = deps;
  const qty = Math.min(sale.perBuyer, random.chance(0.25) ? 2 : 1);
  switch (deps.habit) {
    case 'greedy': {
      const all = await reserve(deps, sale, [{ sku, qty: sale.perBuyer + random.int(1, 3) }]);
      return all ?? reserve(deps, sale, [{ sku, qty }]);
    }
    case 'repeater':
      return pressRepeatedly(deps, sale, sku, qty);
    case 'muddled': {
      const key = `${deps.user}-${sale.id}-mine`;
      const got = await reserve(deps, sale, [{ sku, qty }], key);
      const other = sale.skus.find((candidate) => candidate.sku !== sku);
      if (got !== null && other !== undefined) await expectConflict(deps, sale, other.sku, key);
      return got;
    }
    default:
      return reserve(deps, sale, [{ sku, qty }]);
  }
}

/**
 * An impatient finger, or a client that never heard the answer: the same key must never take units
 * twice.
 */
async function pressRepeatedly(
  deps: ShopperDeps,
  sale: SaleView,
  sku: string,
  qty: number,
): Promise<ReservationView | null> {
  const key = `${deps.user}-${sale.id}-${deps.random.int(1, 1_000_000_000)}`;
  const lines = [{ sku, qty }];
  const answers = await Promise.all([
    reserve(deps, sale, lines, key),
    reserve(deps, sale, lines, key),
    reserve(deps, sale, lines, key),
  ]);
  deps.tally.sent.repeats += 2;
  const got = answers.filter((answer) => answer !== null);
  if (new Set(got.map((answer) => answer.id)).size > 1)
    deps.tally.violation(`key ${key} took more than one reservation: ${got.map((answer) => answer.id).join(', ')}`);
  return got[0] ?? null;
}

async function expectConflict(deps: ShopperDeps, sale: SaleView, sku: string, key: string): Promise<void> {
  const outcome = await deps.client.reserve({ sale: sale.id, lines: [{ sku, qty: 1 }], key });
  deps.tally.sent.reserves += 1;
  if (outcome.ok) deps.tally.violation(`key ${key} was accepted for two different requests`);
  else deps.tally.refused(outcome.error.code);
}

async function reserve(
  deps: ShopperDeps,
  sale: SaleView,
  lines: Array<{ sku: string; qty: number }>,
  key?: string,
): Promise<ReservationView | null> {
  deps.tally.sent.reserves += 1;
  const outcome = await deps.client.reserve({ sale: sale.id, lines, ...(key === undefined ? {} : { key }) });
  if (outcome.ok) {
    deps.tally.accepted(deps.user, outcome.value.reservation, outcome.value.replayed, sale.perBuyer);
    return outcome.value.reservation;
  }
  if (outcome.error.code === 'unknown_outcome') deps.tally.outcomes.unknown += 1;
  deps.tally.refused(outcome.error.code);
  return null;
}

async function unitsComeBack(deps: ShopperDeps, saleId: string, until: number): Promise<boolean> {
  while (performance.now() < until) {
    if (!(await deps.wait(WATCH_STEP_MS * (0.5 + deps.random.next())))) return false;
    const sale = deps.client.model.sales.get(saleId);
    if (sale === undefined || sale.state !== 'open') return false;
    if (sale.skus.some((sku) => sku.left > 0)) return true;
  }
  return false;
}

async function settle(deps: ShopperDeps, reservation: ReservationView): Promise<void> {
  const { client, random, tally } = deps;
  // A repeated key may answer with a hold that has ended since.
  if (reservation.state !== 'held' || deps.intent === 'abandon') return;
  const holdMs = reservation.heldUntil - reservation.createdAt;
  if (!(await deps.wait(random.int(800, Math.round(holdMs * 0.6))))) return;
  if (deps.intent === 'release') {
    tally.sent.releases += 1;
    const outcome = await client.release(reservation.id);
    if (outcome.ok) tally.changed(outcome.value.reservation);
    else tally.refused(outcome.error.code);
    return;
  }
  const paid = await deps.pay(reservation);
  if (paid === null) {
    tally.outcomes.confirmFailed += 1;
    return;
  }
  tally.outcomes.confirmed += 1;
  tally.changed(paid);
}
