/** What callers get: replies of the server and readings of the model in their typed form. */
import type { Ok, ReservationView, SaleView } from '../protocol/messages.ts';
import type { ClockReading } from './clock.ts';
import type { ShowModel } from './model.ts';
import { failed, type Outcome } from './outcome.ts';
import type { CountdownReading, Durability, ReserveResult, WaitlistResult } from './types.ts';

export function reservationResult(
  outcome: Outcome<Ok>,
  key: string,
  { reservations }: ShowModel,
): Outcome<ReserveResult> {
  if (!outcome.ok) return outcome;
  const { reservation, replayed, durability = 'unknown' } = outcome.value.data ?? {};
  if (reservation === undefined) return failed('invalid_message', 'The reply has no reservation.');
  const replied = reservation as ReservationView;
  return {
    ok: true,
    value: {
      reservation: reservations.get(replied.id) ?? replied,
      replayed: replayed === true,
      durability: durability as Durability,
      key,
    },
  };
}

/** Refuses text above the limit of the server, which is Infinity before the first welcome. */
export const chatRefusal = (text: unknown, max: number) => {
  if (typeof text !== 'string') return failed('invalid_message', 'An argument has a wrong type.');
  return text.length > max
    ? failed('invalid_message', `It has ${text.length} characters; at most ${max} are allowed.`)
    : null;
};

export function waitlistResult(outcome: Outcome<Ok>, key: string): Outcome<WaitlistResult> {
  if (!outcome.ok) return outcome;
  const { place, waiting, replayed } = outcome.value.data ?? {};
  return { ok: true, value: { place: Number(place), waiting: Number(waiting), replayed: replayed === true, key } };
}

export function countdownOf(sale: SaleView | undefined, { now, errorMs }: ClockReading): CountdownReading | null {
  if (!sale) return null;
  const { state, opensAt, closesAt } = sale;
  const toOpen = state === 'scheduled';
  const at = toOpen ? opensAt : state === 'open' || state === 'paused' ? closesAt : null;
  return at === null ? null : { to: toOpen ? 'open' : 'close', at, remainingMs: Math.max(0, at - now), errorMs };
}
