/** One generator process: joins the coordinator, runs workloads, and sends a sample each second. */
import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { ClockSync, hostId, monotonicMs } from './clock.ts';
import { FleetError, type Workload, type WorkloadRun } from './contract.ts';
import { FLEET_VERSION, FleetConnection, type ToCoordinator, type ToWorker } from './fleet-connection.ts';
import { LoopMeter } from './loop-meter.ts';
import { createPrng } from './prng.ts';
import { SecondRecorder } from './recorder.ts';

export interface WorkerOptions {
  readonly host: string;
  readonly port: number;
  readonly key: string;
  readonly workloads: ReadonlyMap<string, Workload<never>>;
  readonly onNote?: (line: string) => void;
  /** Identifies the clock; for tests, which have one machine. */
  readonly hostId?: string;
}

type CoordinatorConnection = FleetConnection<ToCoordinator, ToWorker>;

export const SAMPLE_EVERY_MS = 1_000;
const CLOCK_EXCHANGES_FIRST = 12;
/** Samples are sent after their second, never before. */
const AFTER_SECOND_MS = 1;
export const proofOf = (key: string, nonce: string): string => createHmac('sha256', key).update(nonce).digest('hex');

/** Resolves at the end of the run. Rejects with `FleetError` if the coordinator refuses or ends. */
export const runWorker = (options: WorkerOptions): Promise<void> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: options.host, port: options.port });
    const connection: CoordinatorConnection = new FleetConnection<ToCoordinator, ToWorker>(
      socket,
      (message) => worker.on(message),
      (why) =>
        reject(new FleetError(worker.refusal ?? `lost the coordinator at ${options.host}:${options.port}: ${why}`)),
    );
    const worker = new Worker(options, connection, () => {
      socket.end();
      resolve();
    });
    connection.trust();
  });

class Worker {
  refusal: string | null = null;
  readonly #options: WorkerOptions;
  readonly #connection: CoordinatorConnection;
  readonly #onBye: () => void;
  readonly #offset = new ClockSync();
  readonly #recorder = new SecondRecorder(() => this.nowMs());
  readonly #loads = new Map<number, WorkloadRun<unknown>>();
  readonly #loop = new LoopMeter();
  #sameClock = true;
  #exchangesLeft = CLOCK_EXCHANGES_FIRST;
  #sampledMs = 0;
  #originMs = 0;
  #cpu = process.cpuUsage();

  constructor(options: WorkerOptions, connection: CoordinatorConnection, onBye: () => void) {
    this.#options = options;
    this.#connection = connection;
    this.#onBye = onBye;
  }

  nowMs(): number {
    return monotonicMs() + this.#offset.offsetMs;
  }

  on(message: ToWorker): void {
    if (message.t === 'hello') {
      const { key, hostId: id = hostId() } = this.#options;
      const proof = proofOf(key, message.nonce);
      const host = hostname();
      this.#connection.send({ t: 'join', version: FLEET_VERSION, proof, host, hostId: id, pid: process.pid });
    } else if (message.t === 'refused') this.refusal = `the coordinator refused this worker: ${message.reason}`;
    else if (message.t === 'welcome') this.#welcomed(message);
    else if (message.t === 'clock') {
      this.#offset.add(message.sentMs, message.repliedMs, message.repliedMs, monotonicMs());
      if (this.#exchangesLeft-- > 1) this.#connection.send({ t: 'clock', sentMs: monotonicMs() });
      else if (this.#exchangesLeft === 0) this.#ready();
    } else if (message.t === 'prepare') void this.#prepare(message).catch((error: unknown) => this.#fail(error));
    else if (message.t === 'start') this.#loads.get(message.load)?.start(message.atMs);
    else if (message.t === 'command') this.#loads.get(message.load)?.command?.(message.body);
    else if (message.t === 'stop') void this.#stop(message.load).catch((error: unknown) => this.#fail(error));
    else this.#onBye();
  }

  #welcomed({ index, sameClock, originMs }: Extract<ToWorker, { t: 'welcome' }>): void {
    this.#options.onNote?.(`joined as generator ${index}`);
    process.once('uncaughtException', (error) => this.#fail(error));
    this.#sameClock = sameClock;
    this.#originMs = originMs;
    if (sameClock) this.#ready();
    else this.#connection.send({ t: 'clock', sentMs: monotonicMs() });
  }

  #ready(): void {
    this.#sampledMs = this.nowMs();
    this.#loop.start();
    this.#connection.send({ t: 'ready' });
    this.#sampleNext();
  }

  async #prepare({ load, workload: name, params, shard, seed }: Extract<ToWorker, { t: 'prepare' }>): Promise<void> {
    const workload = this.#options.workloads.get(name);
    if (workload === undefined) throw new FleetError(`this generator has no workload "${name}"`);
    const run = await workload.prepare({
      params: params as never,
      shard,
      seed,
      prng: createPrng(seed).fork(shard.index),
      recorder: this.#recorder,
      nowMs: () => this.nowMs(),
      report: (body) => this.#connection.send({ t: 'report', load, body }),
      fail: (reason) => this.#fail(new FleetError(reason)),
    });
    this.#loads.set(load, run);
    this.#connection.send({ t: 'prepared', load });
  }

  async #stop(load: number): Promise<void> {
    const run = this.#loads.get(load);
    this.#loads.delete(load);
    const value = (await run?.stop()) ?? null;
    // The last sample must arrive before the summary.
    this.#sample();
    this.#connection.send({ t: 'stopped', load, value });
  }

  /** On whole seconds of the fleet, so that the samples of all workers cover the same time. */
  #sampleNext(): void {
    const sinceMs = this.nowMs() - this.#originMs;
    const waitMs =
      SAMPLE_EVERY_MS - (((sinceMs % SAMPLE_EVERY_MS) + SAMPLE_EVERY_MS) % SAMPLE_EVERY_MS) + AFTER_SECOND_MS;
    setTimeout(() => {
      if (this.#connection.socket.destroyed) return;
      this.#sample();
      if (!this.#sameClock) this.#connection.send({ t: 'clock', sentMs: monotonicMs() });
      this.#sampleNext();
    }, waitMs).unref();
  }

  #sample(): void {
    const toMs = this.nowMs();
    const cpu = process.cpuUsage();
    this.#connection.send({
      t: 'sample',
      clockErrorMs: this.#offset.errorMs,
      sample: {
        fromMs: this.#sampledMs,
        toMs,
        ...this.#recorder.take(),
        cpuSeconds: (cpu.user - this.#cpu.user + cpu.system - this.#cpu.system) / 1e6,
        memoryBytes: process.memoryUsage.rss(),
        loopDelay: this.#loop.take(),
      },
    });
    this.#sampledMs = toMs;
    this.#cpu = cpu;
  }

  #fail(error: unknown): void {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#connection.send({ t: 'failed', reason: error instanceof FleetError ? error.message : stack });
  }
}
