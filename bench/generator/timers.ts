/** Timers at moments of the fleet's clock, all of which can be cleared. */
export class Timers {
  readonly nowMs: () => number;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  /** Runs never early (a press before zero is refused), and at once when the moment has passed. */
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
