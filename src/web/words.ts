/** How numbers and refusals read to a person. */
import type { ClientFailure } from '../client/index.ts';

/** Integer minor units as money: 4900 EUR reads as 49.00. */
export function money(minorUnits: number, currency: string): string {
  try {
    const format = new Intl.NumberFormat(undefined, { style: 'currency', currency });
    return format.format(minorUnits / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
  } catch {
    return `${(minorUnits / 100).toFixed(2)} ${currency}`;
  }
}

/**
 * Time left: `1:02:03`, `2:03`, and with tenths in the last ten seconds. Rounds up, so that zero is
 * shown at zero and not before.
 */
export function clockText(remainingMs: number): string {
  if (remainingMs <= 0) return '0.0';
  if (remainingMs <= 10_000) return (Math.ceil(remainingMs / 100) / 10).toFixed(1);
  const seconds = Math.ceil(remainingMs / 1000);
  const two = (n: number): string => String(n).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes}:${two(seconds % 60)}`
    : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(seconds % 60)}`;
}

const REFUSALS: Readonly<Record<string, string>> = {
  sold_out: 'Sold out. Units come back when somebody lets a hold lapse: keep an eye on it.',
  units_free: 'Units are free right now: buy instead of waiting.',
  already_waiting: 'You are in line already.',
  not_waiting: 'You were not in line.',
  sale_not_open: 'A moment too early: it is not open yet. Press again.',
  sale_paused: 'The sale is paused for a moment.',
  sale_ended: 'The sale has ended.',
  sale_cancelled: 'The sale was cancelled.',
  limit_exceeded: 'That would be more than one buyer may have.',
  forbidden: 'Your pass does not allow this.',
  muted: 'The host has muted you for a while.',
  rate_limited: 'Too fast. Wait a moment.',
  unknown_outcome: 'No answer came. Press again: you cannot get it twice by that.',
  disconnected: 'Not connected right now. Try again in a moment.',
  redis_unavailable: 'The shop does not answer right now. Try again in a moment.',
  overloaded: 'Very busy right now. Try again in a moment.',
  reservation_expired: 'This hold has already lapsed.',
  reservation_confirmed: 'This is already ordered.',
  reservation_released: 'This was already given back.',
};

export const refusalText = (failure: ClientFailure): string => REFUSALS[failure.code] ?? failure.message;
