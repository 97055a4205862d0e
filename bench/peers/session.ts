/** One peer under load: its server, its receivers in the fleet, and measurements at one rate. */
import { setTimeout as sleep } from 'node:timers/promises';
import { latencyFrom } from '../generator/assemble.ts';
import type { Fleet, LoadHandle } from '../generator/contract.ts';
import { cpuSecondsOf, machineBusySeconds, memoryBytesOf } from '../launch/cpu.ts';
import type { ServerReading } from '../scenarios/target.ts';
import type { Peer, RunningPeer } from './peer.ts';
import type { Received, ReceiversCommand, ReceiversParams } from './receivers.ts';

export type PeerMeasurement = Awaited<ReturnType<PeerSession['measure']>>;
export type Bounds = { readonly p99Ms: number; readonly deliveredShare: number };

const WATCHERS = 16;
const POLL_MS = 25;
const REPORT_MS_MAX = 15_000;
const DRAIN_MS_MAX = 10_000;
/** After this many readings without a new message, no more are expected. */
const STILL_READINGS = 8;
const WARM_UP = { perSecond: 50, forMs: 500 };

/** Node returns the garbage of the joins to the system after half a minute. */
const IDLE_REST_MS = 40_000;

export class PeerSession {
  readonly #fleet: Fleet;
  readonly #peer: Peer;
  readonly #running: RunningPeer;
  readonly #viewers: number;
  #load: LoadHandle<ReceiversCommand, Received> | null = null;
  #reports = new Map<number, Received[]>();
  #asked = 0;

  constructor(fleet: Fleet, peer: Peer, running: RunningPeer, viewers: number) {
    this.#fleet = fleet;
    this.#peer = peer;
    this.#running = running;
    this.#viewers = viewers;
  }

  read(): ServerReading {
    const readingOf = (pid: number) => ({ cpuSeconds: cpuSecondsOf(pid), memoryBytes: memoryBytesOf(pid) });
    return { processes: this.#running.processes.map(({ name, pid }) => ({ name, ...readingOf(pid) })) };
  }

  /** Returns the memory growth of the server process per idle connection. Takes about 80 s. */
  async idleBytes(connections: number, signal: AbortSignal): Promise<number> {
    const memory = (): number => this.read().processes[0]?.memoryBytes ?? Number.NaN;
    // The first connections create the room, which is not part of the cost.
    const first = await this.#receivers(Math.min(100, connections));
    await sleep(IDLE_REST_MS, undefined, { signal });
    const before = memory();
    const load = await this.#receivers(connections);
    await sleep(IDLE_REST_MS, undefined, { signal });
    const grown = memory() - before;
    await Promise.all([first.stop(), load.stop()]);
    await sleep(500);
    return grown / connections;
  }

  async fillRoom(): Promise<void> {
    this.#load = await this.#receivers(this.#viewers);
    this.#load.onReport((body) => this.#reports.set(body.ask, [...(this.#reports.get(body.ask) ?? []), body]));
    await this.#running.offer(WARM_UP);
    await this.#drained();
  }

  async measure(perSecond: number, forMs: number, bounds: Bounds) {
    await this.#ask({ whole: false, fresh: true });
    const before = this.read();
    const usedBefore = { own: process.cpuUsage(), machine: machineBusySeconds() };
    const startedMs = performance.now();
    const { sent, late } = await this.#running.offer({ perSecond, forMs });
    const wanted = sent * this.#viewers;
    const untilMs = Math.max(performance.now(), startedMs + forMs) + bounds.p99Ms;
    let got = await this.#ask({ whole: false, fresh: false });
    while (messagesOf(got) < wanted && performance.now() < untilMs) {
      await sleep(POLL_MS);
      got = await this.#ask({ whole: false, fresh: false });
    }
    const elapsedMs = performance.now() - startedMs;
    const inTime = messagesOf(got);
    const after = this.read();
    const own = process.cpuUsage(usedBefore.own);
    const ownSeconds = (own.user + own.system) / 1e6;
    const machineSeconds = machineBusySeconds() - usedBefore.machine;
    const all = await this.#ask({ whole: true, fresh: false });
    await this.#drained();
    const encoded = all.flatMap((one) => one.latency ?? []);
    const latency = latencyFrom(this.#peer.name, encoded);
    const cpu = after.processes.map(({ cpuSeconds }, i) => cpuSeconds - (before.processes[i]?.cpuSeconds ?? 0));
    const sum = (field: Exclude<keyof Received, 'latency'>): number =>
      all.reduce((total, one) => total + one[field], 0);
    const shareOf = (cpuSeconds: number): number => cpuSeconds / (elapsedMs / 1000);
    const serverSeconds = cpu.reduce((total, one) => total + one, 0);
    const p99Ms = latency?.p99Ms ?? Number.POSITIVE_INFINITY;
    const lost = this.#viewers - sum('open');
    return {
      perSecond,
      held: inTime >= wanted * bounds.deliveredShare && p99Ms <= bounds.p99Ms && lost === 0,
      /** To all receivers, until the bound after the last due message. */
      deliveredPerSecond: inTime / (Math.max(forMs, elapsedMs - bounds.p99Ms) / 1000),
      deliveredShare: inTime / wanted,
      p99Ms,
      latency,
      /** CPU seconds per million delivered messages, without and with helper processes. */
      serverCpuPerMillion: (cpu[0] ?? Number.NaN) / (inTime / 1e6),
      allCpuPerMillion: serverSeconds / (inTime / 1e6),
      serverShare: shareOf(cpu[0] ?? Number.NaN),
      /** CPU seconds per second of the busiest receiver process. */
      receiversShare: shareOf(Math.max(...all.map(({ cpuSeconds }) => cpuSeconds))),
      publisherShare: shareOf(ownSeconds),
      /** Cores used by processes that are not part of the comparison. */
      othersShare: Math.max(0, shareOf(machineSeconds - serverSeconds - ownSeconds - sum('cpuSeconds'))),
      messagesPerFrame: sum('messages') / sum('frames'),
      bytesPerMessage: sum('bytes') / sum('messages'),
      missing: sum('missing'),
      outOfOrder: sum('outOfOrder'),
      lost,
      lateShare: late / sent,
    };
  }

  async close(): Promise<void> {
    await this.#load?.stop();
    await this.#running.stop();
  }

  #receivers(subscribers: number): Promise<LoadHandle<ReceiversCommand, Received>> {
    const params = { ...this.#running.subscription, label: this.#peer.name, subscribers, watchers: WATCHERS };
    return this.#fleet.load<ReceiversParams, ReceiversCommand, Received>('peer-receivers', params);
  }

  /** Requests one report from every process. */
  async #ask(how: Omit<ReceiversCommand, 'ask'>): Promise<Received[]> {
    const ask = ++this.#asked;
    this.#load?.command({ ask, ...how });
    const reports = (): Received[] => this.#reports.get(ask) ?? [];
    const areComplete = (): boolean => reports().length >= this.#fleet.workers.length;
    await this.#fleet.when('reports of the receivers', areComplete, REPORT_MS_MAX);
    const all = reports();
    this.#reports.delete(ask);
    return all;
  }

  async #drained(): Promise<void> {
    const untilMs = performance.now() + DRAIN_MS_MAX;
    let last = -1;
    for (let still = 0; still < STILL_READINGS && performance.now() < untilMs; ) {
      const now = messagesOf(await this.#ask({ whole: false, fresh: false }));
      still = now === last ? still + 1 : 0;
      last = now;
      await sleep(POLL_MS);
    }
  }
}

const messagesOf = (reports: readonly Received[]): number => reports.reduce((sum, { messages }) => sum + messages, 0);
