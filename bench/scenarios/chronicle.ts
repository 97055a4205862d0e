/**
 * The story of one run with a fleet: its phases, what is shown while it goes on, and the result it
 * becomes.
 */

import type { Host } from '../evening/host.ts';
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
import type { Fleet, FleetOptions, Sample } from '../generator/contract.ts';
import type { BenchResult, Check, Figure, Latency, Level, Phase, Series } from '../report/result.ts';
import type { FlagTable } from './flags.ts';
import type { ScenarioContext, TargetNeeds } from './scenario.ts';
import { type ServerReading, type Target, usedBetween } from './target.ts';

const TOLD_EVERY_MS = 1_000;
/** Commands reach every worker before the moment they name. */
export const AHEAD_MS = 300;

export interface PhaseOptions {
  /** Begins now unless it says otherwise (`fleet.secondAfter`). */
  readonly fromMs?: number;
  readonly forMs?: number;
  /** The numbers of the result come from here: the generator must have kept up in it. */
  readonly measured?: boolean;
}

export interface Findings {
  readonly figures: readonly Figure[];
  readonly checks: readonly Check[];
  readonly levels: readonly Level[];
  /** The latency the run is about: the generator's own delay is held against it. */
  readonly headline?: Latency | undefined;
  readonly notes?: readonly string[];
  /**
   * Generators whose own delay is in what was measured; all unless given. The others only make the
   * load.
   */
  readonly measuring?: readonly number[];
}

interface OpenPhase {
  readonly name: string;
  readonly fromMs: number;
  toMs: number;
  readonly measured: boolean;
}

export class Chronicle {
  /** The result's zero on the fleet's clock. */
  readonly originMs: number;
  readonly notes: string[] = [];
  readonly #context: ScenarioContext<FlagTable>;
  readonly #fleet: Fleet;
  readonly #target: Target;
  readonly #phases: OpenPhase[] = [];
  readonly #readings: Array<readonly [atMs: number, reading: ServerReading]> = [];
  readonly #timer: NodeJS.Timeout;
  #told = 0;
  #stopped = false;

  constructor(context: Pick<ScenarioContext<FlagTable>, 'head' | 'display' | 'signal'>, fleet: Fleet, target: Target) {
    this.#context = context as ScenarioContext<FlagTable>;
    this.#fleet = fleet;
    this.#target = target;
    this.originMs = fleet.nowMs();
    this.#timer = setInterval(() => this.#tell(), TOLD_EVERY_MS);
    this.#timer.unref();
  }

  /** A phase begins; the one before ends. Names may come again (rounds). */
  phase(name: string, { fromMs = this.#fleet.nowMs(), forMs, measured = false }: PhaseOptions = {}): Stretch {
    const before = this.#phases.at(-1);
    if (before !== undefined && before.toMs > fromMs) before.toMs = fromMs;
    const phase = { name, fromMs, toMs: forMs === undefined ? Number.POSITIVE_INFINITY : fromMs + forMs, measured };
    this.#phases.push(phase);
    return phase;
  }

  /**
   * Runs the body of a scenario; false when Ctrl-C ended it: then the result is made of what there
   * is.
   */
  async unlessStopped(body: () => Promise<void>): Promise<boolean> {
    try {
      await body();
      return true;
    } catch (error) {
      if (!this.#context.signal.aborted) throw error;
      this.#stopped = true;
      this.#endPhases();
      this.notes.push('Stopped before its end: the result holds what there was until then.');
      return false;
    }
  }

  /** Of these stretches; of the whole run when none is given. */
  samples(...stretches: Stretch[]): Sample[] {
    return stretches.length === 0
      ? [...this.#fleet.samples]
      : stretches.flatMap((stretch) => samplesWithin(this.#fleet.samples, stretch));
  }

  latency(name: string, ...stretches: Stretch[]): Latency | undefined {
    return latencyOf(this.samples(...stretches), name);
  }

  count(name: string, ...stretches: Stretch[]): number {
    return countOf(this.samples(...stretches), name);
  }

  gauge(name: string): number {
    return gaugeOf(this.#fleet.samples, name);
  }

  refusals(...stretches: Stretch[]): Array<{ code: string; count: number }> {
    return refusalsOf(this.samples(...stretches));
  }

  /** What the engine's processes used; also put into the plots. Null where that cannot be seen. */
  async readServer(): Promise<ServerReading | null> {
    const reading = await this.#target.read();
    if (reading !== null) this.#readings.push([this.#fleet.nowMs(), reading]);
    return reading;
  }

  /** Ends the run. Only latencies of measured phases are reported, where there are any. */
  finish({ figures, checks, levels, headline, notes = [], measuring }: Findings): BenchResult {
    clearInterval(this.#timer);
    const endMs = this.#endPhases();
    const measured = this.#phases.filter((phase) => phase.measured);
    const judged = measured.length === 0 ? this.samples() : measured.flatMap((phase) => this.samples(phase));
    const answering = measuring === undefined ? judged : judged.filter(({ worker }) => measuring.includes(worker));
    const generator = healthOf(this.#fleet.workers, answering, headline);
    const whole = !this.#stopped;
    return {
      ...this.#context.head,
      seconds: (endMs - this.originMs) / 1000,
      target: {
        url: this.#target.url,
        own: this.#target.own,
        ...(this.#target.redis === undefined ? {} : { redis: this.#target.redis }),
      },
      phases: this.#phases.map(
        ({ name, fromMs, toMs }): Phase => ({
          name,
          fromMs: Math.max(0, fromMs - this.originMs),
          toMs: Math.max(0, toMs - this.originMs),
        }),
      ),
      series: [...seriesOf(this.#fleet.samples, this.originMs), ...this.#serverSeries()],
      latencies: latenciesOf(judged),
      figures,
      refusals: this.refusals(),
      generator,
      server: usedBetween(this.#readings[0]?.[1] ?? null, this.#readings.at(-1)?.[1] ?? null),
      verdict: {
        ok: whole && [...checks, ...levels].every(({ ok }) => ok) && generator.bottlenecks.length === 0,
        checks,
        levels,
      },
      notes: [...this.#clockNotes(), ...this.notes, ...notes],
    };
  }

  #endPhases(): number {
    const endMs = this.#fleet.nowMs();
    for (const phase of this.#phases) phase.toMs = Math.min(phase.toMs, endMs);
    return endMs;
  }

  #clockNotes(): string[] {
    const remote = this.#fleet.workers.filter(({ clockErrorMs }) => clockErrorMs > 0);
    const worst = Math.max(...remote.map(({ clockErrorMs }) => clockErrorMs));
    return remote.length === 0
      ? []
      : [
          `${remote.length} generators have clocks of their own: latencies they measured are right to +-${worst.toFixed(2)} ms.`,
        ];
  }

  #serverSeries(): Series[] {
    const names = [...new Set(this.#readings.flatMap(([, { processes }]) => processes.map(({ name }) => name)))];
    const of = (reading: ServerReading, name: string) => reading.processes.find((process) => process.name === name);
    return names.flatMap((name) => [
      {
        name: `${name} CPU`,
        unit: 'cores',
        group: 'server' as const,
        points: this.#readings.slice(1).flatMap(([atMs, reading], i) => {
          const [beforeMs, before] = this.#readings[i] ?? [0, reading];
          const used = (of(reading, name)?.cpuSeconds ?? Number.NaN) - (of(before, name)?.cpuSeconds ?? Number.NaN);
          return Number.isNaN(used) || atMs - beforeMs < 100
            ? []
            : [[atMs - this.originMs, used / ((atMs - beforeMs) / 1000)] as const];
        }),
      },
      {
        name: `${name} memory`,
        unit: 'MiB',
        group: 'server' as const,
        points: this.#readings.flatMap(([atMs, reading]) => {
          const process = of(reading, name);
          return process === undefined ? [] : [[atMs - this.originMs, process.memoryBytes / 2 ** 20] as const];
        }),
      },
    ]);
  }

  /** What came since the last time, for the display. */
  #tell(): void {
    void this.readServer().catch(() => {});
    const fresh = this.#fleet.samples.slice(this.#told);
    if (fresh.length === 0) return;
    this.#told += fresh.length;
    const nowMs = this.#fleet.nowMs();
    const phase = this.#phases.findLast(({ fromMs }) => fromMs <= nowMs) ?? this.#phases[0];
    const ends = this.#phases.at(-1)?.toMs ?? Number.POSITIVE_INFINITY;
    const seconds = Math.max(
      0.001,
      fresh.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0) / 1000 / this.#fleet.workers.length,
    );
    const gauges = [...new Set(fresh.flatMap((sample) => Object.keys(sample.gauges)))];
    const counters = [...new Set(fresh.flatMap((sample) => Object.keys(sample.counters)))];
    this.#context.display.progress({
      phase: phase?.name ?? 'preparing',
      elapsedMs: nowMs - this.originMs,
      totalMs: Number.isFinite(ends) ? ends - this.originMs : null,
      rates: counters
        .map((name) => ({ name, perSecond: countOf(fresh, name) / seconds }))
        .filter(({ perSecond }) => perSecond > 0),
      gauges: gauges.map((name) => ({ name, value: gaugeOf(fresh, name) })),
      latencies: latenciesOf(fresh),
      errors: this.refusals(),
      generator: {
        cpuShare: busiestOf(fresh).share,
        loopDelayP99Ms: loopDelayOf(fresh).p99Ms,
        lateSends: this.#fleet.samples.reduce((sum, { lateSends }) => sum + lateSends, 0),
      },
    });
  }
}

/** What a run with a fleet begins with: the target, then the generators, then the story. */
export async function openRun<F extends FlagTable>(
  context: ScenarioContext<F>,
  needs?: TargetNeeds,
  generators?: Partial<FleetOptions>,
): Promise<Run> {
  const target = await context.openTarget(needs);
  const fleet = await context.openFleet(generators);
  return { target, fleet, chronicle: new Chronicle(context, fleet, target) };
}

export interface Run {
  readonly target: Target;
  readonly fleet: Fleet;
  readonly chronicle: Chronicle;
}

/** People of a night come at this rate; rejects when they are not all in after `waitMs` more. */
export async function joinEvenly(
  { fleet, chronicle }: Run,
  host: Pick<Host, 'command'>,
  people: number,
  perSecond: number,
  waitMs: number,
): Promise<void> {
  const overMs = (people * 1000) / perSecond;
  const fromMs = fleet.secondAfter(AHEAD_MS);
  chronicle.phase('joining', { fromMs, forMs: overMs });
  host.command({ do: 'join', atMs: fromMs, from: 0, to: people, overMs, shape: 'even' });
  await fleet.until(fromMs + overMs);
  await fleet.when('everybody to be let in', () => chronicle.gauge('viewers') >= people, waitMs);
}
