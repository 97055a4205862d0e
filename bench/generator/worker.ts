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
  /** Receives lines for a person: joined, refused. */
  readonly onNote?: (line: string) => void;
  /** Identifies the clock; for tests, which have one machine. */
  readonly hostId?: string;
}

export const SAMPLE_EVERY_MS = 1_000;
const CLOCK_EXCHANGES_FIRST = 12;
/** Samples are sent after their second, never before. */
const AFTER_SECOND_MS = 1;

export const proofOf = (key: string, nonce: string): string => createHmac('sha256', key).update(nonce).digest('hex');

/** Resolves at the end of the run. Rejects with `FleetError` if the coordinator refuses or ends. */
export function runWorker(options: WorkerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: options.host, port: options.port });
    const worker = new Worker(options, (connection) => {
      connection.socket.end();
      resolve();
    });
    const connection = new FleetConnection<ToCoordinator, ToWorker>(
      socket,
      (message) => worker.on(connection, message),
      (why) =>
        reject(new FleetError(worker.refusal ?? `lost the coordinator at ${options.host}:${options.port}: ${why}`)),
    );
    connection.trust();
  });
}

class Worker {
  refusal: string | null = null;
  readonly #options: WorkerOptions;
  readonly #onBye: (connection: FleetConnection<ToCoordinator, ToWorker>) => void;
  readonly #offset = new ClockSync();
  readonly #recorder = new SecondRecorder(() => this.nowMs());
  readonly #loads = new Map<number, WorkloadRun<unknown>>();
  readonly #loop = new LoopMeter();
  #sameClock = true;
  #exchangesLeft = CLOCK_EXCHANGES_FIRST;
  #sampledMs = 0;
  #originMs = 0;
  #cpu = process.cpuUsage();

  constructor(options: WorkerOptions, onBye: (connection: FleetConnection<ToCoordinator, ToWorker>) => void) {
    this.#options = options;
    this.#onBye = onBye;
  }

  nowMs(): number {
    return monotonicMs() + this.#offset.offsetMs;
  }

  on(connection: FleetConnection<ToCoordinator, ToWorker>, message: ToWorker): void {
    switch (message.t) {
      case 'hello':
        connection.send({
          t: 'join',
          version: FLEET_VERSION,
          proof: proofOf(this.#options.key, message.nonce),
          host: hostname(),
          hostId: this.#options.hostId ?? hostId(),
          pid: process.pid,
        });
        break;
      case 'refused':
        this.refusal = `the coordinator refused this worker: ${message.reason}`;
        break;
      case 'welcome':
        this.#welcomed(connection, message);
        break;
      case 'clock':
        this.#offset.add(message.sentMs, message.repliedMs, message.repliedMs, monotonicMs());
        if (this.#exchangesLeft-- > 1) connection.send({ t: 'clock', sentMs: monotonicMs() });
        else if (this.#exchangesLeft === 0) this.#ready(connection);
        break;
      case 'prepare':
        void this.#prepare(connection, message).catch((error: unknown) => fail(connection, error));
        break;
      case 'start':
        this.#loads.get(message.load)?.start(message.atMs);
        break;
      case 'command':
        this.#loads.get(message.load)?.command?.(message.body);
        break;
      case 'stop':
        void this.#stop(connection, message.load).catch((error: unknown) => fail(connection, error));
        break;
      case 'bye':
        this.#onBye(connection);
    }
  }

  #welcomed(
    connection: FleetConnection<ToCoordinator, ToWorker>,
    { index, sameClock, originMs }: Extract<ToWorker, { t: 'welcome' }>,
  ): void {
    this.#options.onNote?.(`joined as generator ${index}`);
    process.once('uncaughtException', (error) => fail(connection, error));
    this.#sameClock = sameClock;
    this.#originMs = originMs;
    if (sameClock) this.#ready(connection);
    else connection.send({ t: 'clock', sentMs: monotonicMs() });
  }

  #ready(connection: FleetConnection<ToCoordinator, ToWorker>): void {
    this.#sampledMs = this.nowMs();
    this.#loop.start();
    connection.send({ t: 'ready' });
    this.#sampleNext(connection);
  }

  async #prepare(
    connection: FleetConnection<ToCoordinator, ToWorker>,
    { load, workload: name, params, shard, seed }: Extract<ToWorker, { t: 'prepare' }>,
  ): Promise<void> {
    const workload = this.#options.workloads.get(name);
    if (workload === undefined) throw new FleetError(`this generator has no workload "${name}"`);
    const run = await workload.prepare({
      params: params as never,
      shard,
      seed,
      prng: createPrng(seed).fork(shard.index),
      recorder: this.#recorder,
      nowMs: () => this.nowMs(),
      report: (body) => connection.send({ t: 'report', load, body }),
      fail: (reason) => fail(connection, new FleetError(reason)),
    });
    this.#loads.set(load, run);
    connection.send({ t: 'prepared', load });
  }

  async #stop(connection: FleetConnection<ToCoordinator, ToWorker>, load: number): Promise<void> {
    const run = this.#loads.get(load);
    this.#loads.delete(load);
    const value = (await run?.stop()) ?? null;
    // The last sample must arrive before the summary.
    this.#sample(connection);
    connection.send({ t: 'stopped', load, value });
  }

  /** On whole seconds of the fleet, so that the samples of all workers cover the same time. */
  #sampleNext(connection: FleetConnection<ToCoordinator, ToWorker>): void {
    const sinceMs = this.nowMs() - this.#originMs;
    const waitMs =
      SAMPLE_EVERY_MS - (((sinceMs % SAMPLE_EVERY_MS) + SAMPLE_EVERY_MS) % SAMPLE_EVERY_MS) + AFTER_SECOND_MS;
    setTimeout(() => {
      if (connection.socket.destroyed) return;
      this.#sample(connection);
      if (!this.#sameClock) connection.send({ t: 'clock', sentMs: monotonicMs() });
      this.#sampleNext(connection);
    }, waitMs).unref();
  }

  #sample(connection: FleetConnection<ToCoordinator, ToWorker>): void {
    const toMs = this.nowMs();
    const cpu = process.cpuUsage();
    connection.send({
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
}

function fail(connection: FleetConnection<ToCoordinator, ToWorker>, error: unknown): void {
  const reason =
    error instanceof FleetError
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error);
  connection.send({ t: 'failed', reason });
}
