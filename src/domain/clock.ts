/** Local time and timers behind a port, so that ticks can be tested without waiting. */

export type Timer = object;

export interface Clock {
  /** Monotonic milliseconds with fractions; says nothing about the time of day. */
  nowMs(): number;
  setTimer(run: () => void, delayMs: number): Timer;
  clearTimer(timer: Timer): void;
  /**
   * Runs once the event loop has been through its sockets: what was published before is written by
   * then.
   */
  afterWrites(run: () => void): void;
}

/** Node clamps longer delays to 1 ms; callers re-arm. */
export const TIMER_DELAY_MAX_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  setTimer: (run, delayMs) => setTimeout(run, Math.max(0, Math.min(delayMs, TIMER_DELAY_MAX_MS))),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
  // uWebSockets.js writes what was published when the loop's poll phase ends: one turn may still
  // come before it, two never do.
  afterWrites: (run) => void setImmediate(() => setImmediate(run)),
};
