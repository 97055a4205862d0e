/** One run with generator processes: its phases, its live progress, and the result it becomes. */
import {
  busiestOf,
  countOf,
  gaugeOf,
  healthOf,
  latenciesOf,
  latencyOf,
  loopDelayOf,
  refusalsOf,
  type Stretch,
  samplesWithin,
  seriesOf,
} from '../generator/assemble.ts';
import type { Fleet, Sample } from '../generator/contract.ts';
import type { BenchResult, Check, Figure, Latency, Level, Series } from '../report/result.ts';
import type { CommonFlags } from './common-flags.ts';
import type { FlagTable, FlagValues } from './flags.ts';
import type { ScenarioContext } from './scenario.ts';
import { type ServerReading, type Target, usedBetween } from './target.ts';

const PROGRESS_EVERY_MS = 1_000;
const POLL_MS = 50;
/** Commands reach every generator process before the moment they name. */
export const AHEAD_MS = 300;

export interface PhaseOptions {
  /** Default: now. */
  readonly fromMs?: number;
  readonly forMs?: number;
  /** The numbers of the result come from here, so the generator must keep up in it. */
  readonly measured?: boolean;
}

export interface Findings {
  readonly figures: readonly Figure[];
  readonly checks: readonly Check[];
  readonly levels: readonly Level[];
  /** The main latency of the run, with which the delay of the generator is compared. */
  readonly headline?: Latency | undefined;
  readonly notes?: readonly string[];
  /** Series in addition to those of every run. */
  readonly series?: readonly Series[];
  /** Workers whose delay affects the measurement; the others only make load. Default: all. */
  readonly measuring?: readonly number[];
  /** Further phases in which the generator must keep up, with their latency. */
  readonly alsoJudged?: { readonly stretches: readonly Stretch[]; readonly headline: Latency | undefined };
}

interface OpenPhase {
  readonly name: string;
  readonly fromMs: number;
  toMs: number;
  readonly measured: boolean;
}

export class Run<F extends FlagTable = FlagTable> {
  readonly flags: FlagValues<F>;
  readonly common: CommonFlags;
  readonly target: Target;
  readonly fleet: Fleet;
  /** Zero of the result on the fleet's clock. */
  readonly originMs: number;
  readonly notes: string[] = [];
  readonly context: ScenarioContext<F>;
  readonly #phases: OpenPhase[] = [];
  readonly #readings: Array<readonly [atMs: number, reading: ServerReading]> = [];
  readonly #timer: NodeJS.Timeout;
  #samplesShown = 0;
  #stopped = false;

  constructor(context: ScenarioContext<F>, target: Target, fleet: Fleet) {
    this.context = context;
    this.flags = context.flags;
    this.common = context.common;
    this.target = target;
    this.fleet = fleet;
    this.originMs = fleet.nowMs();
    this.#timer = setInterval(() => this.#showProgress(), PROGRESS_EVERY_MS);
    this.#timer.unref();
  }

  /** Begins a phase and ends the one before. Names may repeat. */
  phase(name: string, { fromMs = this.fleet.nowMs(), forMs, measured = false }: PhaseOptions = {}): Stretch {
    const before = this.#phases.at(-1);
    if (before !== undefined && before.toMs > fromMs) before.toMs = fromMs;
    const phase = { name, fromMs, toMs: forMs === undefined ? Number.POSITIVE_INFINITY : fromMs + forMs, measured };
    this.#phases.push(phase);
    return phase;
  }

  /** Runs the body. After Ctrl-C the result consists of what was measured until then. */
  async unlessStopped(body: () => Promise<void>): Promise<void> {
    try {
      await body();
    } catch (error) {
      if (!this.context.signal.aborted) throw error;
      this.#stopped = true;
      this.#endPhases();
      this.notes.push('Stopped early: the result covers the run until then.');
    }
  }

  /** Waits until the condition holds, at most `forMs`; the caller judges what is missing then. */
  async atMost(forMs: number, condition: () => boolean): Promise<void> {
    const untilMs = this.fleet.nowMs() + forMs;
    while (!condition() && this.fleet.nowMs() < untilMs) await this.wait(POLL_MS);
  }

  wait(forMs: number): Promise<void> {
    return this.fleet.until(this.fleet.nowMs() + forMs);
  }

  /** Samples of these stretches; without stretches, of the whole run. */
  samples(...stretches: Stretch[]): Sample[] {
    return stretches.length === 0
      ? [...this.fleet.samples]
      : stretches.flatMap((stretch) => samplesWithin(this.fleet.samples, stretch));
  }

  latency(name: string, ...stretches: Stretch[]): Latency | undefined {
    return latencyOf(this.samples(...stretches), name);
  }

  p50(name: string, ...stretches: Stretch[]): number | undefined {
    return this.latency(name, ...stretches)?.p50Ms;
  }

  p99(name: string, ...stretches: Stretch[]): number | undefined {
    return this.latency(name, ...stretches)?.p99Ms;
  }

  count(name: string, ...stretches: Stretch[]): number {
    return countOf(this.samples(...stretches), name);
  }

  perSecond(name: string, stretch: Stretch): number {
    return this.count(name, stretch) / secondsOf(stretch);
  }

  gauge(name: string): number {
    return gaugeOf(this.fleet.samples, name);
  }

  refusals(...stretches: Stretch[]): Array<{ code: string; count: number }> {
    return refusalsOf(this.samples(...stretches));
  }

  refused(stretch: Stretch): number {
    return this.refusals(stretch).reduce((sum, { count }) => sum + count, 0);
  }

  /** Reads what the engine's processes used, and adds it to the plots. Null if that is unknown. */
  async readServer(): Promise<ServerReading | null> {
    const reading = await this.target.read();
    if (reading !== null) this.#readings.push([this.fleet.nowMs(), reading]);
    return reading;
  }

  /** Ends the run. Latencies come from the measured phases, if there are any. */
  finish({ figures, checks, levels, headline, measuring, alsoJudged, ...more }: Findings): BenchResult {
    clearInterval(this.#timer);
    const endMs = this.#endPhases();
    const measured = this.#phases.filter((phase) => phase.measured);
    const judged = this.samples(...measured);
    const relevant = measuring === undefined ? judged : judged.filter(({ worker }) => measuring.includes(worker));
    const generator = { ...healthOf(this.fleet.workers, relevant, headline) };
    const also =
      alsoJudged === undefined || alsoJudged.stretches.length === 0 ? [] : this.samples(...alsoJudged.stretches);
    if (also.length > 0)
      generator.bottlenecks = [
        ...new Set([...generator.bottlenecks, ...healthOf(this.fleet.workers, also, alsoJudged?.headline).bottlenecks]),
      ];
    const { url, own, redis } = this.target;
    return {
      ...this.context.head,
      seconds: (endMs - this.originMs) / 1000,
      target: { url, own, ...(redis === undefined ? {} : { redis }) },
      phases: this.#phases.map(({ name, fromMs, toMs }) => ({
        name,
        fromMs: Math.max(0, fromMs - this.originMs),
        toMs: Math.max(0, toMs - this.originMs),
      })),
      series: [...seriesOf(this.fleet.samples, this.originMs), ...this.#serverSeries(), ...(more.series ?? [])],
      latencies: latenciesOf(judged),
      figures,
      refusals: this.refusals(),
      generator,
      server: usedBetween(this.#readings[0]?.[1] ?? null, this.#readings.at(-1)?.[1] ?? null),
      verdict: {
        ok: !this.#stopped && [...checks, ...levels].every(({ ok }) => ok) && generator.bottlenecks.length === 0,
        checks,
        levels,
      },
      notes: [...this.#clockNotes(), ...this.notes, ...(more.notes ?? [])],
    };
  }

  #endPhases(): number {
    const endMs = this.fleet.nowMs();
    for (const phase of this.#phases) phase.toMs = Math.min(phase.toMs, endMs);
    return endMs;
  }

  #clockNotes(): string[] {
    const remote = this.fleet.workers.filter(({ clockErrorMs }) => clockErrorMs > 0);
    if (remote.length === 0) return [];
    const worst = Math.max(...remote.map(({ clockErrorMs }) => clockErrorMs));
    return [
      `${remote.length} generators run on other machines: their latencies are right to +-${worst.toFixed(2)} ms.`,
    ];
  }

  #serverSeries(): Series[] {
    const names = new Set(this.#readings.flatMap(([, { processes }]) => processes.map(({ name }) => name)));
    return [...names].flatMap((name) => {
      const own = this.#readings.flatMap(([atMs, { processes }]) =>
        processes.filter((process) => process.name === name).map((process) => ({ atMs, ...process })),
      );
      const cpu = own.slice(1).flatMap(({ atMs, cpuSeconds }, i) => {
        const before = own[i];
        const seconds = (atMs - (before?.atMs ?? atMs)) / 1000;
        const used = cpuSeconds - (before?.cpuSeconds ?? Number.NaN);
        return Number.isNaN(used) || seconds < 0.1 ? [] : [[atMs - this.originMs, used / seconds] as const];
      });
      const memory = own.map(({ atMs, memoryBytes }) => [atMs - this.originMs, memoryBytes / 2 ** 20] as const);
      return [
        { name: `${name} CPU`, unit: 'cores', group: 'server' as const, points: cpu },
        { name: `${name} memory`, unit: 'MiB', group: 'server' as const, points: memory },
      ];
    });
  }

  /** Shows what was sampled since the last call. */
  #showProgress(): void {
    void this.readServer().catch(() => {});
    const fresh = this.fleet.samples.slice(this.#samplesShown);
    if (fresh.length === 0) return;
    this.#samplesShown += fresh.length;
    const nowMs = this.fleet.nowMs();
    const phase = this.#phases.findLast(({ fromMs }) => fromMs <= nowMs) ?? this.#phases[0];
    const endMs = this.#phases.at(-1)?.toMs ?? Number.POSITIVE_INFINITY;
    const sampledMs = fresh.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0) / this.fleet.workers.length;
    const namesOf = (field: 'gauges' | 'counters'): string[] => [
      ...new Set(fresh.flatMap((sample) => Object.keys(sample[field]))),
    ];
    this.context.display.progress({
      phase: phase?.name ?? 'preparing',
      elapsedMs: nowMs - this.originMs,
      totalMs: Number.isFinite(endMs) ? endMs - this.originMs : null,
      rates: namesOf('counters')
        .map((name) => ({ name, perSecond: countOf(fresh, name) / Math.max(0.001, sampledMs / 1000) }))
        .filter(({ perSecond }) => perSecond > 0),
      gauges: namesOf('gauges').map((name) => ({ name, value: gaugeOf(fresh, name) })),
      latencies: latenciesOf(fresh),
      errors: this.refusals(),
      generator: {
        cpuShare: busiestOf(fresh).share,
        loopDelayP99Ms: loopDelayOf(fresh).p99Ms,
        lateSends: this.fleet.samples.reduce((sum, { lateSends }) => sum + lateSends, 0),
      },
    });
  }
}

export const secondsOf = ({ fromMs, toMs }: Stretch): number => (toMs - fromMs) / 1000;
