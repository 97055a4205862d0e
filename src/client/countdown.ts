/** A countdown that ticks on the clock of the server, without a framework. */
import type { StampedeClient } from './client.ts';
import type { CountdownReading } from './types.ts';

/** A reading of less than this shows tenths of a second. */
const TENTHS_BELOW_MS = 10_000;
/** A clock that was corrected by more ticks at once. */
const MOVED_MS = 50;

/** Returns when the shown number changes next. */
function untilNextTick(remainingMs: number): number {
  const step = remainingMs <= TENTHS_BELOW_MS ? 100 : 1_000;
  return Math.max(10, remainingMs % step || step);
}

/**
 * Calls `onTick` at once, each second, ten times a second below ten seconds, and when the times of
 * the sale change. It gets null while the sale is unknown or neither opens nor closes. Returns a
 * function that ends it; call that before `close`.
 *
 *     const stop = watchCountdown(client, 'drop', (reading) => {
 *       if (reading) label.textContent = `${reading.to}s in ${reading.remainingMs / 1000} s`;
 *     });
 */
export function watchCountdown(
  client: Pick<StampedeClient, 'countdown' | 'on'>,
  sale: string,
  onTick: (reading: CountdownReading | null) => void,
): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let shown: CountdownReading | null = null;
  /** By the local clock. */
  let endsAtMs = 0;

  const tick = (reading: CountdownReading | null): void => {
    clearTimeout(timer);
    shown = reading;
    endsAtMs = performance.now() + (reading?.remainingMs ?? 0);
    if (reading !== null && reading.remainingMs > 0)
      timer = setTimeout(() => tick(client.countdown(sale)), untilNextTick(reading.remainingMs));
    onTick(reading);
  };
  const off = client.on('change', () => {
    const reading = client.countdown(sale);
    const { at, to, remainingMs = 0 } = reading ?? {};
    const isMoved = remainingMs > 0 && Math.abs(performance.now() + remainingMs - endsAtMs) > MOVED_MS;
    if (at !== shown?.at || to !== shown?.to || isMoved) tick(reading);
  });
  tick(client.countdown(sale));
  return () => {
    off();
    clearTimeout(timer);
  };
}
