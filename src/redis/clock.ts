/**
 * The Redis clock in this process: a monotonic local clock plus an offset. Each TIME reply bounds
 * the offset by its round trip; the bounds widen with age, as clocks drift, and the bounds of all
 * samples are intersected. A sample outside of the older bounds proves a step: it replaces them.
 */
import { performance } from 'node:perf_hooks';
import { Cluster, type Redis } from 'ioredis';
import type { RedisClient } from './client.ts';

const FIRST_SAMPLES = 5;
const SAMPLE_EVERY_MS = 5_000;
const WATCH_EVERY_MS = 100;
/** Crystal clocks drift by up to 100 parts per million each. */
const DRIFT_PER_MS = 0.0002;
/** TIME is truncated to microseconds, `now()` is rounded to milliseconds. */
const TIME_UNIT_MS = 0.001;
const ROUNDING_MS = 0.5;
/** The wall clock jumps against the monotonic one: a suspend, or the wall clock was set. */
const JUMP_MIN_MS = 20;
/** After a suspend the wall clock is read from a hardware clock of whole seconds. */
const SUSPEND_ERROR_MS = 1_000;
/** After a smaller step back `now()` waits: countdowns and frames do not jump back. */
const HOLD_MAX_MS = 100;

/** A server whose clock decides: the standalone server, or each master of a cluster. */
export interface ClockServer {
  readonly id: string;
  time(): Promise<readonly [seconds: number | string, micros: number | string]>;
}

/** The clocks of this host. `monotonicMs` does not run during a suspend (nodejs/node#47724). */
export interface LocalClocks {
  monotonicMs(): number;
  wallMs(): number;
}

export interface RedisClockOptions {
  readonly local?: LocalClocks;
  /** Called when a sample contradicts the older ones, with the difference in milliseconds. */
  readonly onStep?: (stepMs: number) => void;
}

interface Bounds {
  readonly low: number;
  readonly high: number;
  readonly atMs: number;
  /** This host was perhaps suspended since: the next sample replaces the bounds. */
  readonly isStale?: boolean;
}

const hostClocks: LocalClocks = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };

const serverOf = (id: string, redis: Redis): ClockServer => ({
  id,
  time: async () => (await redis.time()) as [number | string, number | string],
});

export const clockServers = (client: RedisClient): ClockServer[] =>
  client instanceof Cluster
    ? client.nodes('master').map((master) => serverOf(`${master.options.host}:${master.options.port}`, master))
    : [serverOf('', client)];

/** Returns the bounds of the offset at a later time. */
function aged(bounds: Bounds, nowMs: number): Bounds {
  const driftMs = (nowMs - bounds.atMs) * DRIFT_PER_MS;
  return { ...bounds, low: bounds.low - driftMs, high: bounds.high + driftMs, atMs: nowMs };
}

export class RedisClock {
  readonly #servers: () => readonly ClockServer[];
  readonly #local: LocalClocks;
  readonly #onStep: ((stepMs: number) => void) | undefined;
  readonly #bounds = new Map<string, Bounds>();
  /** The local clock is the best guess until Redis replies once. */
  #offsetMs: number;
  #errorMs = Number.POSITIVE_INFINITY;
  /** Wall clock minus monotonic clock when they were last compared. */
  #gapMs: number;
  #lastMs = 0;
  #steps = 0;
  #watches = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(servers: () => readonly ClockServer[], { local = hostClocks, onStep }: RedisClockOptions = {}) {
    this.#servers = servers;
    this.#local = local;
    this.#onStep = onStep;
    this.#gapMs = this.#gap();
    this.#offsetMs = this.#gapMs;
  }

  now(): number {
    const nowMs = Math.round(this.#local.monotonicMs() + this.#offsetMs);
    if (nowMs < this.#lastMs && this.#lastMs - nowMs <= HOLD_MAX_MS) return this.#lastMs;
    this.#lastMs = nowMs;
    return nowMs;
  }

  /**
   * Returns the largest error of `now()`, for each server of a cluster. It includes no step of a
   * Redis clock since the last sample, or that is shorter than the round trip of that sample. A
   * field, because each reserve reads it.
   */
  errorMs(): number {
    return this.#errorMs;
  }

  /** How often a sample contradicted the older ones. */
  get steps(): number {
    return this.#steps;
  }

  /** Drops all samples: a new connection may be a new server with another clock. */
  async restart(): Promise<void> {
    this.stop();
    this.#bounds.clear();
    this.#errorMs = Number.POSITIVE_INFINITY;
    this.#gapMs = this.#gap();
    await this.sample(FIRST_SAMPLES);
    this.stop();
    this.#timer = setInterval(() => this.watch(), WATCH_EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Asks each server for its time; a server that fails once is not asked again in this call. */
  async sample(times = 1): Promise<void> {
    const servers = this.#servers();
    for (const id of this.#bounds.keys()) if (!servers.some((server) => server.id === id)) this.#bounds.delete(id);
    await Promise.all(
      servers.map(async (server) => {
        for (let i = 0; i < times; i++) if (!(await this.#ask(server))) return;
      }),
    );
  }

  /** Notices a suspend of this host, lets the error grow, and takes a sample when it is time. */
  watch(): void {
    if (this.#hasJumped()) void this.sample(FIRST_SAMPLES);
    else if (++this.#watches % (SAMPLE_EVERY_MS / WATCH_EVERY_MS) === 0) void this.sample();
    this.#update();
  }

  #gap(): number {
    return this.#local.wallMs() - this.#local.monotonicMs();
  }

  /**
   * Compares the clocks of this host. If the wall clock is ahead, either it was set or this host
   * was suspended: until the next sample both are possible.
   */
  #hasJumped(): boolean {
    const jumpMs = this.#gap() - this.#gapMs;
    if (Math.abs(jumpMs) < JUMP_MIN_MS) return false;
    this.#gapMs += jumpMs;
    if (jumpMs > 0)
      for (const [id, bounds] of this.#bounds) {
        const high = bounds.high + jumpMs * (1 + DRIFT_PER_MS) + SUSPEND_ERROR_MS;
        this.#bounds.set(id, { ...bounds, high, isStale: true });
      }
    return true;
  }

  async #ask(server: ClockServer): Promise<boolean> {
    const sentMs = this.#local.monotonicMs();
    const gapMs = this.#gap();
    try {
      const [seconds, micros] = await server.time();
      const receivedMs = this.#local.monotonicMs();
      // Suspended between request and reply: the round trip is unknown.
      if (Math.abs(this.#gap() - gapMs) >= JUMP_MIN_MS) return false;
      this.#add(server.id, sentMs, receivedMs, Number(seconds) * 1000 + Number(micros) / 1000);
      return true;
    } catch {
      // The connection reports the error. The bounds widen.
      return false;
    }
  }

  #add(id: string, sentMs: number, receivedMs: number, serverMs: number): void {
    const driftMs = (receivedMs - sentMs) * DRIFT_PER_MS;
    const low = serverMs - receivedMs - driftMs;
    const high = serverMs - sentMs + driftMs + TIME_UNIT_MS;
    const sample = { low, high, atMs: receivedMs };
    const known = this.#bounds.get(id);
    const older = known === undefined || known.isStale ? sample : aged(known, receivedMs);
    const both = { low: Math.max(low, older.low), high: Math.min(high, older.high), atMs: receivedMs };
    const isContradiction = both.low > both.high;
    this.#bounds.set(id, isContradiction ? sample : both);
    if (isContradiction) {
      this.#steps += 1;
      this.#onStep?.((low + high - older.low - older.high) / 2);
    }
    const offsets = [...this.#bounds.values()].map((bounds) => (bounds.low + bounds.high) / 2).sort((a, b) => a - b);
    this.#offsetMs = offsets[offsets.length >> 1] as number;
    this.#update();
  }

  /** The offset is that of the median server, the error covers all of them. */
  #update(): void {
    if (this.#bounds.size === 0) return;
    const localMs = this.#local.monotonicMs();
    // Valid until the next watch.
    const all = [...this.#bounds.values()].map((bounds) => aged(bounds, localMs + WATCH_EVERY_MS));
    const aheadMs = Math.max(...all.map(({ high }) => high)) - this.#offsetMs;
    const behindMs = this.#offsetMs - Math.min(...all.map(({ low }) => low));
    const heldMs = this.#lastMs - (localMs + this.#offsetMs);
    const isHeld = heldMs > 0 && heldMs <= HOLD_MAX_MS;
    this.#errorMs = ROUNDING_MS + Math.max(aheadMs, behindMs + (isHeld ? heldMs : 0));
  }
}
