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
const FOREVER_MS = Number.POSITIVE_INFINITY;
/** Commands reach every generator process before the moment they name. */
export const AHEAD_MS = 300;

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

type Timed = { readonly stretch: Stretch };
type OpenPhase = { readonly name: string; readonly fromMs: number; toMs: number; readonly measured: boolean };

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

  /** Begins a phase, by default now, and ends the one before. Results come from measured phases. */
  phase(name: string, { fromMs = this.fleet.nowMs(), forMs = FOREVER_MS, measured = false } = {}): Stretch {
    const before = this.#phases.at(-1);
    if (before !== undefined && before.toMs > fromMs) before.toMs = fromMs;
    const phase = { name, fromMs, toMs: fromMs + forMs, measured };
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

  readonly wait = (forMs: number): Promise<void> => this.fleet.until(this.fleet.nowMs() + forMs);

  /** Samples of these stretches; without stretches, of the whole run. */
  samples(...stretches: Stretch[]): Sample[] {
    return stretches.length === 0
      ? [...this.fleet.samples]
      : stretches.flatMap((stretch) => samplesWithin(this.fleet.samples, stretch));
  }

  readonly latency = (name: string, ...stretches: Stretch[]): Latency | undefined =>
    latencyOf(this.samples(...stretches), name);
  readonly count = (name: string, ...stretches: Stretch[]): number => countOf(this.samples(...stretches), name);
  readonly perSecond = (name: string, stretch: Stretch): number => this.count(name, stretch) / secondsOf(stretch);
  readonly gauge = (name: string): number => gaugeOf(this.fleet.samples, name);
  readonly refusals = (...stretches: Stretch[]) => refusalsOf(this.samples(...stretches));
  readonly refused = (stretch: Stretch): number => this.refusals(stretch).reduce((sum, { count }) => sum + count, 0);

  /** Values of one round, for figures. */
  readonly p50Of = (name: string) => (round: Timed) => this.latency(name, round.stretch)?.p50Ms;
  readonly p99Of = (name: string) => (round: Timed) => this.latency(name, round.stretch)?.p99Ms;
  readonly rateOf = (name: string) => (round: Timed) => this.perSecond(name, round.stretch);

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
    const health = healthOf(this.fleet.workers, relevant, headline);
    const also = alsoJudged?.stretches.length ? this.samples(...alsoJudged.stretches) : [];
    const alsoFound = also.length > 0 ? healthOf(this.fleet.workers, also, alsoJudged?.headline).bottlenecks : [];
    const generator = { ...health, bottlenecks: [...new Set([...health.bottlenecks, ...alsoFound])] };
    const ok = !this.#stopped && [...checks, ...levels].every((one) => one.ok) && generator.bottlenecks.length === 0;
    const sinceStart = (atMs: number): number => Math.max(0, atMs - this.originMs);
    const { url, own, redis } = this.target;
    return {
      ...this.context.head,
      seconds: (endMs - this.originMs) / 1000,
      target: { url, own, ...(redis === undefined ? {} : { redis }) },
      phases: this.#phases.map(({ name, fromMs, toMs }) => {
        return { name, fromMs: sinceStart(fromMs), toMs: sinceStart(toMs) };
      }),
      series: [...seriesOf(this.fleet.samples, this.originMs), ...this.#serverSeries(), ...(more.series ?? [])],
      latencies: latenciesOf(judged),
      figures,
      refusals: this.refusals(),
      generator,
      server: usedBetween(this.#readings[0]?.[1] ?? null, this.#readings.at(-1)?.[1] ?? null),
      verdict: { ok, checks, levels },
      notes: [...this.#clockNotes(), ...this.notes, ...(more.notes ?? [])],
    };
  }

  #endPhases(): number {
    const endMs = this.fleet.nowMs();
    for (const phase of this.#phases) phase.toMs = Math.min(phase.toMs, endMs);
    return endMs;
  }

  #clockNotes(): string[] {
    const errors = this.fleet.workers.map(({ clockErrorMs }) => clockErrorMs).filter((errorMs) => errorMs > 0);
    const worst = Math.max(...errors).toFixed(2);
    const note = `${errors.length} generators run on other machines: their latencies are right to +-${worst} ms.`;
    return errors.length === 0 ? [] : [note];
  }

  #serverSeries(): Series[] {
    const names = new Set(this.#readings.flatMap(([, { processes }]) => processes.map(({ name }) => name)));
    return [...names].flatMap((name) => {
      const own = this.#readings.flatMap(([atMs, { processes }]) =>
        processes.filter((process) => process.name === name).map((process) => ({ atMs, ...process })),
      );
      const cpu = own.slice(1).flatMap(({ atMs, cpuSeconds }, i) => {
        const before = own[i] ?? { atMs, cpuSeconds };
        const seconds = (atMs - before.atMs) / 1000;
        const used = (cpuSeconds - before.cpuSeconds) / seconds;
        return Number.isNaN(used) || seconds < 0.1 ? [] : [[atMs - this.originMs, used] as const];
      });
      // A process that was just killed has no memory any more.
      const memory = own
        .filter(({ memoryBytes }) => !Number.isNaN(memoryBytes))
        .map(({ atMs, memoryBytes }) => [atMs - this.originMs, memoryBytes / 2 ** 20] as const);
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
    const namesOf = (field: 'gauges' | 'counters') => new Set(fresh.flatMap((sample) => Object.keys(sample[field])));
    const perSecond = (name: string): number => countOf(fresh, name) / Math.max(0.001, sampledMs / 1000);
    this.context.display.progress({
      phase: phase?.name ?? 'preparing',
      elapsedMs: nowMs - this.originMs,
      totalMs: Number.isFinite(endMs) ? endMs - this.originMs : null,
      rates: [...namesOf('counters')]
        .map((name) => ({ name, perSecond: perSecond(name) }))
        .filter((rate) => rate.perSecond > 0),
      gauges: [...namesOf('gauges')].map((name) => ({ name, value: gaugeOf(fresh, name) })),
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
