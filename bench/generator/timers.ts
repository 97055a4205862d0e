/** Timers on the fleet's clock. */
export class Timers {
  readonly nowMs: () => number;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  /** Calls `run` at this time, never earlier: a press before the opening is refused. */
  at(atMs: number, run: (atMs: number) => void): void {
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        run(atMs);
      },
      Math.max(0, Math.ceil(atMs - this.nowMs())),
    );
    this.#timers.add(timer);
  }

  clear(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
