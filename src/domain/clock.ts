/** Local time and timers behind a port, so that tests need not wait. */

export type Timer = object;

export interface Clock {
  /** Monotonic milliseconds with fractions, unrelated to the time of day. */
  nowMs(): number;
  setTimer(run: () => void, delayMs: number): Timer;
  clearTimer(timer: Timer): void;
  /** Runs when the event loop has served its sockets: what was published is written. */
  afterWrites(run: () => void): void;
}

/** Node clamps longer delays to 1 ms; callers re-arm. */
const TIMER_DELAY_MAX_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  setTimer: (run, delayMs) => setTimeout(run, Math.max(0, Math.min(delayMs, TIMER_DELAY_MAX_MS))),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
  // uWebSockets.js writes published data when the poll phase ends: after one turn at the latest.
  afterWrites: (run) => void setImmediate(() => setImmediate(run)),
};

/** A timer that can be set again, for one callback. */
export class Alarm {
  private readonly clock: Clock;
  private readonly run: () => void;
  private timer: Timer | null = null;

  constructor(clock: Clock, run: () => void) {
    this.clock = clock;
    this.run = run;
  }

  get isSet(): boolean {
    return this.timer !== null;
  }

  /** Replaces the time that was set before. */
  set(delayMs: number): void {
    this.clear();
    this.timer = this.clock.setTimer(() => {
      this.timer = null;
      this.run();
    }, delayMs);
  }

  clear(): void {
    if (this.timer !== null) this.clock.clearTimer(this.timer);
    this.timer = null;
  }
}

/** Returns a function that passes what `run` throws to `onError`. */
export const guarded = (run: () => void, onError: (error: unknown) => void) => (): void => {
  try {
    run();
  } catch (error) {
    onError(error);
  }
};

/** Returns a clock whose timers are guarded: an error in one must not end the process. */
export const guardedClock = (clock: Clock, onError: (error: unknown) => void): Clock => ({
  nowMs: () => clock.nowMs(),
  setTimer: (run, delayMs) => clock.setTimer(guarded(run, onError), delayMs),
  clearTimer: (timer) => clock.clearTimer(timer),
  afterWrites: (run) => clock.afterWrites(guarded(run, onError)),
});

export const pause = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => void clock.setTimer(resolve, ms));
