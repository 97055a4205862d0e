/**
 * What a scenario and its load agree on. A *fleet* is a coordinator (the process of the scenario)
 * and its *workers* (processes on this machine or on others). Each worker runs a *workload* with a
 * shard of the work and records what it measures. The coordinator receives a *sample* of that once
 * a second from each worker. All times are milliseconds on the fleet's clock: CLOCK_MONOTONIC of
 * the coordinator's host.
 */
import type { Coordinator } from './fleet.ts';
import type { Prng } from './prng.ts';
import type { SecondRecorder } from './recorder.ts';

/** The i-th of `of` equal parts of a workload. */
export type Shard = { readonly index: number; readonly of: number };

export interface WorkloadContext<P, R = unknown> {
  readonly params: P;
  readonly shard: Shard;
  /** The same in all workers, for choices on which they must agree (`createPrng(seed)`). */
  readonly seed: number;
  readonly prng: Prng;
  readonly recorder: SecondRecorder;
  nowMs(): number;
  /** Sends a small message to the coordinator (`LoadHandle.onReport`). */
  report(body: R): void;
  /** Ends the whole run, which has no result then. */
  fail(reason: string): void;
}

/** A prepared workload. */
export interface WorkloadRun<C = unknown> {
  /** Begins at `atMs`, about a second ahead and the same in all workers. Must not block. */
  start(atMs: number): void;
  command?(command: C): void;
  /** Ends the load, waits (bounded) for open requests, closes its sockets. Returns the summary. */
  stop(): Promise<unknown>;
}

/** Params, commands, reports and summaries travel as MessagePack: plain data. */
export interface Workload<P, C = unknown, R = unknown> {
  readonly name: string;
  prepare(context: WorkloadContext<P, R>): Promise<WorkloadRun<C>>;
}

/** One worker, one second. Histograms are HdrHistogram V2 in microseconds, compressed, base64. */
export interface Sample {
  readonly worker: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** What was counted in this second, by name. */
  readonly counters: Readonly<Record<string, number>>;
  readonly gauges: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
  readonly latencies: Readonly<Record<string, string>>;
  readonly sends: number;
  readonly lateSends: number;
  /** From due to sent. */
  readonly sendDelay: string;
  /** CPU seconds (user and system) since the last sample. */
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  /** Delay of the event loop, corrected for what a stall kept from being measured. */
  readonly loopDelay: string;
}

export interface FleetOptions {
  readonly processes: number;
  readonly seed: number;
  /** Workers on other machines (`bench join HOST:PORT --key ...`); 0 unless given. */
  readonly remote?: number;
  /** Where workers connect to; a free port on 127.0.0.1 unless given. */
  readonly listen?: { readonly host: string; readonly port: number };
  /** Shared secret of remote workers; random unless given. */
  readonly key?: string;
  /** When it aborts, all waiting calls reject with its reason. */
  readonly signal?: AbortSignal;
  /** Receives lines for the person who waits for workers. */
  readonly onNote?: (line: string) => void;
  /** A worker without a message for this long has failed; 10 s unless given. */
  readonly silenceMs?: number;
  /** The worker program; for tests. */
  readonly entry?: string;
}

export interface WorkerInfo {
  readonly index: number;
  readonly host: string;
  readonly pid: number;
  readonly local: boolean;
  /** Half the best round trip of the clock sync; 0 on the coordinator's host. */
  readonly clockErrorMs: number;
}

export interface LoadHandle<C = unknown, R = unknown> {
  readonly name: string;
  start(atMs: number): void;
  command(command: C, worker?: number): void;
  onReport(listener: (body: R, worker: number) => void): void;
  /** Stops it in all workers. Resolves with their summaries, by worker. */
  stop(): Promise<unknown[]>;
}

export type Fleet = Omit<Coordinator, 'gather'>;

/** A later send was delayed by the generator: two ticks of a Node.js timer and some work. */
export const LATE_SEND_MS = 5;

/** A part of the fleet is missing or broken, so there is no result. The message is for a person. */
export class FleetError extends Error {}
