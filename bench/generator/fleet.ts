/** The coordinator: starts and admits workers, commands them, and collects their samples. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { hostId, monotonicMs } from './clock.ts';
import type { Fleet, FleetOptions, LoadHandle, Sample, Shard, WorkerInfo } from './contract.ts';
import { FleetError } from './contract.ts';
import { FLEET_VERSION, FleetConnection, type ToCoordinator, type ToWorker } from './fleet-connection.ts';
import { proofOf, SAMPLE_EVERY_MS } from './worker.ts';

const LOCAL_JOIN_MS_MAX = 30_000;
const REMOTE_JOIN_MS_MAX = 15 * 60_000;
const SILENCE_MS_MAX = 10_000;
const STOP_MS_MAX = 60_000;
const CHECK_EVERY_MS = 20;
const UNTRUSTED_MAX = 16;

const JOIN = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? 'join.ts' : 'join.js', import.meta.url));

type WorkerConnection = FleetConnection<ToWorker, ToCoordinator>;

interface Member {
  readonly connection: WorkerConnection;
  readonly info: { -readonly [K in keyof WorkerInfo]: WorkerInfo[K] };
  lastMessageMs: number;
  ready: boolean;
}

/** Resolves when all workers have joined in sync. Throws `FleetError` when one does not come. */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const coordinator = new Coordinator(options);
  try {
    await coordinator.gather();
    return coordinator;
  } catch (error) {
    await coordinator.close();
    throw error;
  }
}

/** All its calls reject when a worker fails, dies or becomes silent, or the run is aborted. */
export class Coordinator {
  readonly samples: Sample[] = [];
  readonly nowMs = monotonicMs;
  /** Rejects when a worker fails; never resolves. */
  readonly failed: Promise<never>;
  readonly #options: FleetOptions;
  readonly #key: string;
  readonly #originMs = monotonicMs();
  readonly #children = new Set<ChildProcess>();
  readonly #members: Member[] = [];
  readonly #untrusted = new Set<Socket>();
  readonly #loads = new Map<number, Load>();
  readonly #server: Server;
  #watch: NodeJS.Timeout | null = null;
  #fail: (error: Error) => void = () => {};
  #failure: Error | null = null;
  #closing = false;
  #loadsMade = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#key = options.key ?? randomBytes(24).toString('base64url');
    this.failed = new Promise((_, reject) => {
      this.#fail = (error) => {
        this.#failure ??= error;
        reject(error);
      };
    });
    this.failed.catch(() => {});
    this.#server = createServer((socket) => this.#admit(socket));
    const { signal } = options;
    const aborted = (): void =>
      this.#fail(signal?.reason instanceof Error ? signal.reason : new FleetError('the run was stopped'));
    if (signal?.aborted) aborted();
    else signal?.addEventListener('abort', aborted, { once: true });
  }

  get workers(): readonly WorkerInfo[] {
    return this.#members.map(({ info }) => info);
  }

  /** Returns the first second of samples after `aheadMs`: phases that begin there split exactly. */
  secondAfter(aheadMs: number): number {
    return this.#originMs + Math.ceil((this.nowMs() + aheadMs - this.#originMs) / SAMPLE_EVERY_MS) * SAMPLE_EVERY_MS;
  }

  async gather(): Promise<void> {
    const { processes, remote = 0, listen = { host: '127.0.0.1', port: 0 }, onNote } = this.#options;
    const wanted = processes + remote;
    if (wanted === 0) throw new FleetError('a fleet needs at least one generator process');
    await Promise.race([
      this.failed,
      new Promise<void>((resolve, reject) => {
        this.#server.once('error', (error) =>
          reject(new FleetError(`cannot listen for generators on ${listen.host}:${listen.port}: ${error.message}`)),
        );
        this.#server.listen(listen.port, listen.host, resolve);
      }),
    ]);
    const { port } = this.#server.address() as AddressInfo;
    const reachable = listen.host === '0.0.0.0' || listen.host === '::' ? '127.0.0.1' : listen.host;
    for (let i = 0; i < processes; i++) this.#spawn(`${reachable}:${port}`);
    const command = `npm run bench -- join HOST:${port} --key ...`;
    if (remote > 0) onNote?.(`waiting for ${remote} generators on ${listen.host}:${port} (${command})`);
    const ready = (): boolean => this.#members.length === wanted && this.#members.every((member) => member.ready);
    await this.when(`all ${wanted} generators to join`, ready, remote > 0 ? REMOTE_JOIN_MS_MAX : LOCAL_JOIN_MS_MAX);
    this.#watch = setInterval(() => this.#watchSilence(), 1_000).unref();
  }

  /** Resolves when all workers have prepared the workload. `params` may differ by shard. */
  async load<P, C = unknown, R = unknown>(workload: string, params: P | ((shard: Shard) => P)) {
    const id = this.#loadsMade++;
    const load = new Load(workload, id, this.#members, (promise) => this.#orFailed(promise));
    this.#loads.set(id, load);
    for (const [index, { connection }] of this.#members.entries()) {
      const shard = { index, of: this.#members.length };
      const own = typeof params === 'function' ? (params as (shard: Shard) => P)(shard) : params;
      connection.send({ t: 'prepare', load: id, workload, params: own, shard, seed: this.#options.seed });
    }
    await this.#orFailed(load.prepared);
    return load as LoadHandle<C, R>;
  }

  until(atMs: number): Promise<void> {
    const stop = new AbortController();
    const reached = sleep(Math.max(0, atMs - this.nowMs()), undefined, { signal: stop.signal });
    return this.#orFailed(reached).finally(() => stop.abort());
  }

  /** Checks every 20 ms until it is true; rejects after `withinMs` with `what` it waited for. */
  async when(what: string, condition: () => boolean, withinMs: number): Promise<void> {
    const untilMs = this.nowMs() + withinMs;
    while (!condition()) {
      if (this.nowMs() > untilMs) throw new FleetError(`waited ${withinMs / 1000} s for ${what}`);
      await this.until(this.nowMs() + CHECK_EVERY_MS);
    }
    if (this.#failure !== null) throw this.#failure;
  }

  /** Ends all workers. Idempotent. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    if (this.#watch) clearInterval(this.#watch);
    for (const { connection } of this.#members) connection.send({ t: 'bye' });
    for (const socket of this.#untrusted) socket.destroy();
    this.#server.close();
    const ended = [...this.#children].map((child) => exited(child));
    await Promise.race([Promise.all(ended), sleep(2_000, undefined, { ref: false })]);
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(ended);
    for (const { connection } of this.#members) connection.socket.destroy();
  }

  #orFailed<T>(promise: Promise<T>): Promise<T> {
    if (this.#failure !== null) {
      promise.catch(() => {});
      return Promise.reject(this.#failure);
    }
    return Promise.race([promise, this.failed]);
  }

  #spawn(address: string): void {
    const { entry = JOIN } = this.#options;
    const loader = entry.endsWith('.ts') ? ['--import', import.meta.resolve('tsx')] : [];
    const child = spawn(process.execPath, ['--max-semi-space-size=32', ...loader, entry, address], {
      env: { ...process.env, BENCH_KEY: this.#key, NODE_OPTIONS: '' },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.#children.add(child);
    child.once('error', ({ message }) => this.#failBecause(`a generator process could not be started: ${message}`));
    child.once('exit', (code, signal) => {
      this.#children.delete(child);
      const how = signal ?? `exit code ${code}`;
      if (!this.#closing) this.#failBecause(`generator process ${child.pid} died (${how}): the run has no result`);
    });
  }

  #admit(socket: Socket): void {
    if (this.#untrusted.size >= UNTRUSTED_MAX) return void socket.destroy();
    this.#untrusted.add(socket);
    const nonce = randomBytes(24).toString('base64url');
    let member: Member | null = null;
    const connection: WorkerConnection = new FleetConnection<ToWorker, ToCoordinator>(
      socket,
      (message) => {
        if (member !== null) this.#receive(member, message);
        else if (message.t === 'join') member = this.#join(connection, message, nonce);
        else socket.destroy();
      },
      (why) => {
        this.#untrusted.delete(socket);
        if (member !== null && !this.#closing)
          this.#failBecause(`lost ${named(member.info)}: ${why}; the run has no result`);
      },
    );
    connection.send({ t: 'hello', version: FLEET_VERSION, nonce });
  }

  #join(connection: WorkerConnection, message: Extract<ToCoordinator, { t: 'join' }>, nonce: string): Member | null {
    const { version, proof, host, hostId: id, pid } = message;
    const { processes, remote = 0, onNote } = this.#options;
    const local = id === hostId() && [...this.#children].some((child) => child.pid === pid);
    const taken = this.#members.filter(({ info }) => info.local === local).length;
    const reason =
      version !== FLEET_VERSION
        ? `its version is ${version}, the coordinator has ${FLEET_VERSION}: run the same release on all machines`
        : !sameText(proof, proofOf(this.#key, nonce))
          ? 'wrong key'
          : taken >= (local ? processes : remote)
            ? `all ${local ? processes : remote} generators have joined already`
            : null;
    if (reason !== null) {
      onNote?.(`refused a generator from ${connection.socket.remoteAddress}: ${reason}`);
      connection.send({ t: 'refused', reason });
      connection.socket.end();
      return null;
    }
    this.#untrusted.delete(connection.socket);
    connection.trust();
    const index = this.#members.length;
    const info = { index, host, pid, local, clockErrorMs: 0 };
    const member: Member = { connection, info, lastMessageMs: this.nowMs(), ready: false };
    this.#members.push(member);
    if (!local) onNote?.(`generator ${index} joined from ${host}`);
    connection.send({ t: 'welcome', index, sameClock: id === hostId(), originMs: this.#originMs });
    return member;
  }

  #receive(member: Member, message: ToCoordinator): void {
    const { connection, info } = member;
    member.lastMessageMs = this.nowMs();
    if (message.t === 'clock') connection.send({ t: 'clock', sentMs: message.sentMs, repliedMs: this.nowMs() });
    else if (message.t === 'ready') member.ready = true;
    else if (message.t === 'sample') {
      info.clockErrorMs = message.clockErrorMs;
      this.samples.push({ worker: info.index, ...message.sample });
    } else if (message.t === 'failed') this.#failBecause(`${named(info)} failed: ${message.reason}`);
    else if (message.t === 'join') connection.socket.destroy();
    else this.#loads.get(message.load)?.receive(info.index, message);
  }

  #watchSilence(): void {
    const { silenceMs = SILENCE_MS_MAX } = this.#options;
    const quiet = this.#members.find(({ lastMessageMs }) => this.nowMs() - lastMessageMs > silenceMs);
    const silent = `has been silent for ${silenceMs / 1000} s; the run has no result`;
    if (quiet) this.#failBecause(`${named(quiet.info)} ${silent}`);
  }

  #failBecause(reason: string): void {
    this.#fail(new FleetError(reason));
  }
}

class Load implements LoadHandle {
  readonly name: string;
  readonly prepared: Promise<void>;
  readonly #id: number;
  readonly #members: readonly Member[];
  readonly #guard: <T>(promise: Promise<T>) => Promise<T>;
  readonly #listeners: Array<(body: unknown, worker: number) => void> = [];
  readonly #stopped = new Map<number, unknown>();
  #unprepared: number;
  #onPrepared: () => void = () => {};
  #onStopped: () => void = () => {};

  constructor(name: string, id: number, members: readonly Member[], guard: <T>(promise: Promise<T>) => Promise<T>) {
    this.name = name;
    this.#id = id;
    this.#members = members;
    this.#guard = guard;
    this.#unprepared = members.length;
    this.prepared = new Promise((resolve) => {
      this.#onPrepared = resolve;
    });
  }

  receive(worker: number, message: Extract<ToCoordinator, { load: number }>): void {
    if (message.t === 'prepared' && --this.#unprepared === 0) this.#onPrepared();
    if (message.t === 'report') for (const listener of this.#listeners) listener(message.body, worker);
    if (message.t === 'stopped') {
      this.#stopped.set(worker, message.value);
      if (this.#stopped.size === this.#members.length) this.#onStopped();
    }
  }

  start(atMs: number): void {
    for (const { connection } of this.#members) connection.send({ t: 'start', load: this.#id, atMs });
  }

  command(command: unknown, worker?: number): void {
    for (const { connection, info } of this.#members)
      if (worker === undefined || info.index === worker)
        connection.send({ t: 'command', load: this.#id, body: command });
  }

  onReport(listener: (body: unknown, worker: number) => void): void {
    this.#listeners.push(listener);
  }

  async stop(): Promise<unknown[]> {
    const giveUp = new AbortController();
    const stopped = new Promise<void>((resolve) => {
      this.#onStopped = resolve;
      for (const { connection } of this.#members) connection.send({ t: 'stop', load: this.#id });
    });
    const tooLate = sleep(STOP_MS_MAX, undefined, { signal: giveUp.signal }).then(() => {
      throw new FleetError(`the workload "${this.name}" did not stop within ${STOP_MS_MAX / 1000} s`);
    });
    tooLate.catch(() => {});
    try {
      await this.#guard(Promise.race([stopped, tooLate]));
    } finally {
      giveUp.abort();
    }
    return this.#members.map(({ info }) => this.#stopped.get(info.index));
  }
}

const named = ({ index, host, pid }: WorkerInfo): string => `generator ${index} (${host}, process ${pid})`;

const exited = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((done) => void child.once('exit', () => done()));

function sameText(left: string, right: string): boolean {
  const [a, b] = [Buffer.from(left), Buffer.from(right)];
  return a.length === b.length && timingSafeEqual(a, b);
}
