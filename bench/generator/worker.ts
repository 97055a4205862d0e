/**
 * One generator process: joins the coordinator, runs the workloads it is told to, sends a sample a
 * second, ends with the connection.
 */
import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { ClockSync, hostId, monotonicMs } from './clock.ts';
import { FLEET_VERSION, Link, type ToCoordinator, type ToWorker } from './connection.ts';
import { FleetError, type Workload, type WorkloadRun } from './contract.ts';
import { LoopMeter } from './loop-meter.ts';
import { createPrng } from './prng.ts';
import { SecondRecorder } from './recorder.ts';

export interface WorkerOptions {
  readonly host: string;
  readonly port: number;
  readonly key: string;
  readonly workloads: ReadonlyMap<string, Workload<never>>;
  /** One line for a person: joined, refused. */
  readonly onNote?: (line: string) => void;
  /** Whose clock this is; for tests, which have one machine. */
  readonly hostId?: string;
}

export const SAMPLE_EVERY_MS = 1_000;
const CLOCK_EXCHANGES_FIRST = 12;
/**
 * A sample is sent this long after its second at the earliest, so that no timer fires before it.
 */
const AFTER_SECOND_MS = 1;

export const proofOf = (key: string, nonce: string): string => createHmac('sha256', key).update(nonce).digest('hex');

/**
 * Resolves when the coordinator says that the run is over; rejects with `FleetError` when it
 * refuses this worker or is gone.
 */
export function runWorker(options: WorkerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: options.host, port: options.port });
    const worker = new Worker(options, (link) => {
      link.socket.end();
      resolve();
    });
    const link = new Link<ToCoordinator, ToWorker>(
      socket,
      (message) => worker.on(link, message),
      (why) =>
        reject(new FleetError(worker.refusal ?? `lost the coordinator at ${options.host}:${options.port}: ${why}`)),
    );
    link.trust();
  });
}

class Worker {
  refusal: string | null = null;
  readonly #options: WorkerOptions;
  readonly #onBye: (link: Link<ToCoordinator, ToWorker>) => void;
  readonly #offset = new ClockSync();
  readonly #recorder = new SecondRecorder(() => this.nowMs());
  readonly #loads = new Map<number, WorkloadRun<unknown>>();
  readonly #loop = new LoopMeter();
  #sameClock = true;
  #exchangesLeft = CLOCK_EXCHANGES_FIRST;
  #sampledMs = 0;
  #originMs = 0;
  #cpu = process.cpuUsage();

  constructor(options: WorkerOptions, onBye: (link: Link<ToCoordinator, ToWorker>) => void) {
    this.#options = options;
    this.#onBye = onBye;
  }

  nowMs(): number {
    return monotonicMs() + this.#offset.offsetMs;
  }

  on(link: Link<ToCoordinator, ToWorker>, message: ToWorker): void {
    switch (message.t) {
      case 'hello':
        link.send({
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
        this.#welcomed(link, message);
        break;
      case 'clock':
        this.#offset.add(message.sentMs, message.repliedMs, message.repliedMs, monotonicMs());
        if (this.#exchangesLeft-- > 1) link.send({ t: 'clock', sentMs: monotonicMs() });
        else if (this.#exchangesLeft === 0) this.#ready(link);
        break;
      case 'prepare':
        void this.#prepare(link, message).catch((error: unknown) => fail(link, error));
        break;
      case 'start':
        this.#loads.get(message.load)?.start(message.atMs);
        break;
      case 'command':
        this.#loads.get(message.load)?.command?.(message.body);
        break;
      case 'stop':
        void this.#stop(link, message.load).catch((error: unknown) => fail(link, error));
        break;
      case 'bye':
        this.#onBye(link);
    }
  }

  #welcomed(
    link: Link<ToCoordinator, ToWorker>,
    { index, sameClock, originMs }: Extract<ToWorker, { t: 'welcome' }>,
  ): void {
    this.#options.onNote?.(`joined as generator ${index}`);
    process.once('uncaughtException', (error) => fail(link, error));
    this.#sameClock = sameClock;
    this.#originMs = originMs;
    if (sameClock) this.#ready(link);
    else link.send({ t: 'clock', sentMs: monotonicMs() });
  }

  #ready(link: Link<ToCoordinator, ToWorker>): void {
    this.#sampledMs = this.nowMs();
    this.#loop.start();
    link.send({ t: 'ready' });
    this.#sampleNext(link);
  }

  async #prepare(
    link: Link<ToCoordinator, ToWorker>,
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
      report: (body) => link.send({ t: 'report', load, body }),
      fail: (reason) => fail(link, new FleetError(reason)),
    });
    this.#loads.set(load, run);
    link.send({ t: 'prepared', load });
  }

  async #stop(link: Link<ToCoordinator, ToWorker>, load: number): Promise<void> {
    const run = this.#loads.get(load);
    this.#loads.delete(load);
    const value = (await run?.stop()) ?? null;
    // What was recorded last must be there before the coordinator adds up.
    this.#sample(link);
    link.send({ t: 'stopped', load, value });
  }

  /** On whole seconds of the fleet, so that the samples of all workers cover the same time. */
  #sampleNext(link: Link<ToCoordinator, ToWorker>): void {
    const sinceMs = this.nowMs() - this.#originMs;
    const waitMs =
      SAMPLE_EVERY_MS - (((sinceMs % SAMPLE_EVERY_MS) + SAMPLE_EVERY_MS) % SAMPLE_EVERY_MS) + AFTER_SECOND_MS;
    setTimeout(() => {
      if (link.socket.destroyed) return;
      this.#sample(link);
      if (!this.#sameClock) link.send({ t: 'clock', sentMs: monotonicMs() });
      this.#sampleNext(link);
    }, waitMs).unref();
  }

  #sample(link: Link<ToCoordinator, ToWorker>): void {
    const toMs = this.nowMs();
    const cpu = process.cpuUsage();
    link.send({
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

function fail(link: Link<ToCoordinator, ToWorker>, error: unknown): void {
  const reason =
    error instanceof FleetError
      ? error.message
      : error instanceof Error
        ? (error.stack ?? error.message)
        : String(error);
  link.send({ t: 'failed', reason });
}
