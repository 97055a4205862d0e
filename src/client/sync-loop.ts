/** Exchanges clocks with the server while a connection is open. Doubles as its heartbeat. */
import type { Ok } from '../protocol/messages.ts';
import { boundedMs } from './backoff.ts';
import type { ServerClock } from './clock.ts';
import type { Outcome } from './outcome.ts';

interface SyncLoopOptions {
  readonly clock: ServerClock;
  /** Sends one `sync` that carries the local time. */
  readonly exchange: (at: number) => Promise<Outcome<Ok>>;
  /** Returns how long nothing arrived. */
  readonly silentMs: () => number;
  /** A large message may be on its way, which is not seen before it is complete. */
  readonly isPatient: () => boolean;
  /** Nothing arrived since an exchange was sent: the connection is dead. */
  readonly onTimeout: () => void;
  readonly random: () => number;
}

/** Several exchanges at the start, because the shortest round trip counts. */
const FIRST_EXCHANGES = 4;
const FIRST_PAUSE_MS = 150;
const PATIENT_MS = 30_000;
/** If the server says none. */
const HEARTBEAT_MS = 25_000;

export class SyncLoop {
  readonly #options: SyncLoopOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Identifies the loop of this connection: late replies to an earlier one are ignored. */
  #run = 0;
  #heartbeatMs = 0;

  constructor(options: SyncLoopOptions) {
    this.#options = options;
  }

  /** Starts the loop of a new connection. Heartbeats are jittered, so that clients do not align. */
  start(heartbeatMs: number): void {
    this.stop();
    this.#heartbeatMs = boundedMs(heartbeatMs, HEARTBEAT_MS);
    this.#schedule(this.#run, FIRST_EXCHANGES, 0);
  }

  /** Asks at once whether the connection is alive, and what time it is. */
  probe(): void {
    this.start(this.#heartbeatMs);
  }

  stop(): void {
    this.#run += 1;
    clearTimeout(this.#timer);
  }

  #schedule(run: number, remaining: number, pauseMs: number): void {
    this.#timer = setTimeout(() => {
      void this.#exchange().then((alive) => {
        if (run !== this.#run) return;
        if (!alive) this.#options.onTimeout();
        else if (remaining > 1) this.#schedule(run, remaining - 1, FIRST_PAUSE_MS);
        else this.#schedule(run, 1, this.#heartbeatMs * (0.75 + this.#options.random() / 4));
      });
    }, pauseMs);
  }

  /** Returns false if the connection is dead. On a slow one the reply waits behind messages. */
  async #exchange(): Promise<boolean> {
    const { clock, exchange, silentMs, isPatient } = this.#options;
    const sentAt = clock.localNow();
    const outcome = await exchange(sentAt);
    if (!outcome.ok)
      return (
        outcome.error.code !== 'unknown_outcome' || silentMs() < (isPatient() ? PATIENT_MS : clock.localNow() - sentAt)
      );
    const { at, data } = outcome.value;
    clock.add(sentAt, Number(data?.received ?? at), Number(data?.sent ?? at), clock.localNow());
    return true;
  }
}
