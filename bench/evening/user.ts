/** A virtual user of the load tester: a viewer, a clock, and its state. */
import { ClockSync } from '../generator/clock.ts';
import type { Timers } from '../generator/timers.ts';
import type { Viewer } from '../generator/viewer.ts';
import type { Reply, UserConnection, UserRequest } from '../users/buyer.ts';

const NOT_CONNECTED: Reply = { t: 'error', at: Number.NaN, code: 'not_connected' };

export class EveningUser implements UserConnection {
  readonly viewer: Viewer;
  readonly clock = new ClockSync();
  /** Has been welcomed before: the next join is a reconnect. */
  hasJoined = false;
  isStalled = false;
  /** Messages due before it were held up by a stall. */
  slowUntilMs = 0;
  /** From the last `bye`. */
  reconnectAfterMs: number | null = null;
  /** Consecutive failures to connect. */
  failures = 0;
  readonly sales = new Set<string>();
  readonly unknownKeys = new Set<string>();
  sent = 0;
  replies = 0;
  readonly #timers: Timers;
  readonly #onWelcome: Array<() => void> = [];

  constructor(viewer: Viewer, timers: Timers) {
    this.viewer = viewer;
    this.#timers = timers;
  }

  nowMs(): number {
    return this.#timers.nowMs();
  }

  /** Sends a request whose reply goes to the listener of the viewer. */
  send(request: UserRequest, dueMs: number): boolean {
    if (!this.viewer.welcomed || !this.viewer.send(request, dueMs)) return false;
    this.sent++;
    return true;
  }

  async request(request: UserRequest, dueMs: number): Promise<Reply> {
    if (!this.viewer.welcomed) return NOT_CONNECTED;
    this.sent++;
    const reply = await this.viewer.request(request, dueMs);
    if (reply.t !== 'lost') this.replies++;
    return reply;
  }

  connected(): Promise<void> {
    return this.viewer.welcomed ? Promise.resolve() : new Promise((resolve) => this.#onWelcome.push(resolve));
  }

  welcomed(): void {
    for (const resolve of this.#onWelcome.splice(0)) resolve();
  }

  /** Never resolves when the timers are cleared first: the run is over. */
  waitUntil(atMs: number): Promise<boolean> {
    return new Promise((resolve) => this.#timers.at(atMs, () => resolve(true)));
  }
}
