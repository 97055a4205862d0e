/**
 * What a scenario and its load agree on. A *fleet* is a coordinator (the process that runs the
 * scenario) and its *workers* (processes on this machine or on others). A *workload* is a module
 * every worker runs with a shard of the work; it writes what it sees into a *recorder*, and the
 * coordinator gets a *sample* of that once a second from every worker. All moments are milliseconds
 * on the fleet's clock: CLOCK_MONOTONIC of the coordinator's host.
 */
import type { Prng } from './prng.ts';

/** A counter of one worker; the coordinator adds them up. */
export interface CounterHandle {
  add(by?: number): void;
}

/**
 * An HdrHistogram of one worker, microseconds inside; the coordinator adds histograms, it never
 * averages percentiles.
 */
export interface LatencyHandle {
  /** `times`: this many observations of the same value. Negative values count as 0. */
  record(latencyMs: number, times?: number): void;
}

/**
 * A value that stands (viewers connected, requests under way); the coordinator adds those of all
 * workers.
 */
export interface GaugeHandle {
  set(value: number): void;
  add(by: number): void;
}

/**
 * Where a workload writes what it sees. Ask for handles once, before the load: names are looked up,
 * handles are not.
 */
export interface Recorder {
  counter(name: string): CounterHandle;
  latency(name: string): LatencyHandle;
  gauge(name: string): GaugeHandle;
  /**
   * An answer that was no success: the protocol's error code, `closed_4001`, `http_503`,
   * `unanswered`.
   */
  refused(code: string, times?: number): void;
  /**
   * Every piece of work of an open schedule goes through here at the moment it leaves. Counts it,
   * and counts it as late when that is more than `LATE_SEND_MS` after `dueMs`: then the generator
   * held it up, and not the server.
   */
  sent(dueMs: number): void;
}

/** The i-th of `of` equal parts of a workload. Take every `of`-th viewer, or `share(total)`. */
export interface Shard {
  readonly index: number;
  readonly of: number;
}

export interface WorkloadContext<P, R = unknown> {
  readonly params: P;
  readonly shard: Shard;
  /**
   * The same in every worker. Things all workers must agree on are drawn from it
   * (`createPrng(seed)`).
   */
  readonly seed: number;
  /** This shard's own, forked from the seed by shard index. */
  readonly prng: Prng;
  readonly recorder: Recorder;
  /** Fleet clock. */
  nowMs(): number;
  /** A small message to the coordinator (`LoadHandle.onReport`). */
  report(body: R): void;
  /** Ends the whole run with this reason: something the result must not be reported without. */
  fail(reason: string): void;
}

/** What a workload is once it is prepared. */
export interface WorkloadRun<C = unknown> {
  /**
   * Begins at `atMs` of the fleet's clock (a second ahead or so), the same in all workers. Must not
   * block.
   */
  start(atMs: number): void;
  /** From `LoadHandle.command`. */
  command?(command: C): void;
  /**
   * Ends the load, waits (bounded) for answers under way, closes its sockets. What it returns
   * reaches the coordinator.
   */
  stop(): Promise<unknown>;
}

/**
 * Params, commands, reports and what `stop` returns travel as MessagePack: plain objects, arrays,
 * texts, numbers, Uint8Array.
 */
export interface Workload<P, C = unknown, R = unknown> {
  readonly name: string;
  prepare(context: WorkloadContext<P, R>): Promise<WorkloadRun<C>>;
}

/** One worker, one second. */
export interface Sample {
  /** Index of the worker. */
  readonly worker: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** What was counted in this second, by name. */
  readonly counters: Readonly<Record<string, number>>;
  readonly gauges: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
  /** HdrHistograms of this second by name: microseconds, V2, compressed, base64. */
  readonly latencies: Readonly<Record<string, string>>;
  readonly sends: number;
  readonly lateSends: number;
  /** HdrHistogram of how long after their moment sends left, as `latencies`. */
  readonly sendDelay: string;
  /** CPU seconds (user and system) this worker used since the last sample. */
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  /**
   * HdrHistogram of the event loop's delay in this second, as `latencies`; corrected for what a
   * stall kept from being measured.
   */
  readonly loopDelay: string;
}

export interface FleetOptions {
  /** Worker processes on this machine. */
  readonly processes: number;
  readonly seed: number;
  /**
   * Workers on other machines to wait for (`npm run bench -- join HOST:PORT --key ...`). 0 unless
   * given.
   */
  readonly remote?: number;
  /** Where workers connect to; a free port on 127.0.0.1 unless given. */
  readonly listen?: { readonly host: string; readonly port: number };
  /** Shared secret of remote workers; made up when nobody else has to know it. */
  readonly key?: string;
  /** Ctrl-C: everything waiting in the fleet rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** One line for a person while waiting for workers. */
  readonly onNote?: (line: string) => void;
  /**
   * A worker that says nothing for this long hangs or has lost its line. 10 s unless given; samples
   * come every second.
   */
  readonly silenceMs?: number;
  /** The worker program; for tests. */
  readonly entry?: string;
}

export interface WorkerInfo {
  readonly index: number;
  readonly host: string;
  readonly pid: number;
  readonly local: boolean;
  /** Half the best round trip of the clock exchange; 0 on the coordinator's own host. */
  readonly clockErrorMs: number;
}

/** A workload that stands prepared in every worker. */
export interface LoadHandle<C = unknown, R = unknown> {
  readonly name: string;
  /** To all workers, or to one. */
  start(atMs: number): void;
  command(command: C, worker?: number): void;
  onReport(listener: (body: R, worker: number) => void): void;
  /** Stops it everywhere; what the workers' `stop` returned, by worker. */
  stop(): Promise<unknown[]>;
}

export interface Fleet {
  readonly workers: readonly WorkerInfo[];
  nowMs(): number;
  /**
   * The first whole second of the samples that is at least `aheadMs` from now: phases that begin on
   * one are told apart exactly.
   */
  secondAfter(aheadMs: number): number;
  /**
   * Prepares a workload in every worker; resolves when all are ready. Several may run at once.
   * `params` may differ by shard. Rejects, as everything here, when a worker fails, dies or falls
   * silent.
   */
  load<P, C = unknown, R = unknown>(workload: string, params: P | ((shard: Shard) => P)): Promise<LoadHandle<C, R>>;
  /** Sleeps until that moment; rejects at once when the fleet fails or the run is aborted. */
  until(atMs: number): Promise<void>;
  /** Asks every 20 ms until it is true; rejects after `withinMs` with `what` it waited for. */
  when(what: string, condition: () => boolean, withinMs: number): Promise<void>;
  /** Everything recorded so far, in the order it came. */
  readonly samples: readonly Sample[];
  onSample(listener: (sample: Sample) => void): void;
  /** Rejects when a worker fails; never resolves. */
  readonly failed: Promise<never>;
  /** Ends all workers. Idempotent. */
  close(): Promise<void>;
}

/**
 * A send that leaves this much after its moment was held up by the generator: two ticks of a Node
 * timer and some work, not a scheduling blink.
 */
export const LATE_SEND_MS = 5;

/** A part of the fleet is missing or broken: there is no result. The message is for a person. */
export class FleetError extends Error {}
