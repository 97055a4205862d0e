/** Numbers, times and refusals as text. */
import type { ClientFailure } from '../client/index.ts';

export { formatMoney as money } from '../client/index.ts';

/** Returns `1:02:03`, `2:03`, or `9.9` in the last ten seconds. Rounds up: zero appears at zero. */
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
  sold_out: 'Sold out. Units of expired holds become free again: watch this product.',
  units_free: 'Units are free now: buy instead of waiting.',
  already_waiting: 'You are already on the waitlist.',
  not_waiting: 'You were not on the waitlist.',
  sale_not_open: 'The sale is not open yet. Press again.',
  sale_paused: 'The sale is paused. Try again soon.',
  sale_ended: 'The sale has ended.',
  sale_cancelled: 'The sale was cancelled.',
  limit_exceeded: 'That is more than one buyer may have.',
  forbidden: 'Your link does not allow this.',
  muted: 'The host has muted you for a while.',
  rate_limited: 'Too fast. Wait a moment, then try again.',
  unknown_outcome: 'No reply arrived. Press again: you cannot get it twice.',
  disconnected: 'Not connected. Try again in a moment.',
  redis_unavailable: 'The shop is not available. Try again in a moment.',
  overloaded: 'Very busy right now. Try again in a moment.',
  reservation_expired: 'This hold has already expired.',
  reservation_confirmed: 'This is already ordered.',
  reservation_released: 'This was already released.',
};

export const refusalText = ({ code, message }: ClientFailure): string => REFUSALS[code] ?? message;
