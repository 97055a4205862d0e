/** Work at moments of the fleet's clock, all of which can be called off. */
export class Alarms {
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /**
   * Never early (a press before zero is refused), at once when the moment is over. `run` is told
   * the moment it was due.
   */
  at(atMs: number, run: (atMs: number) => void): void {
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        run(atMs);
      },
      Math.max(0, Math.ceil(atMs - this.#nowMs())),
    );
    this.#timers.add(timer);
  }

  clear(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
