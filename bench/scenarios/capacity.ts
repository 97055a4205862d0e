/**
 * Steps a load up until a service level breaks, and names the largest that held, what broke and who
 * was full.
 */
import { cpus } from 'node:os';
import { syntheticChat } from '../evening/chat.ts';
import { type Ended, type Host, openEvening } from '../evening/host.ts';
import {
  busiestOf,
  CPU_SHARE_MAX,
  healthOf,
  LOOP_DELAY_P99_MS_MAX,
  latenciesOf,
  latencyOf,
  loopDelayOf,
  OWN_DELAY_PART_MAX,
  type Stretch,
  samplesWithin,
} from '../generator/assemble.ts';
import type { Fleet, Sample } from '../generator/contract.ts';
import type { BenchResult, Check, Level } from '../report/result.ts';
import { latencyLevel, milliseconds, share, shareLevel } from '../verdict/levels.ts';
import { type Chronicle, openRun } from './chronicle.ts';
import type { CommonFlags } from './common-flags.ts';
import { figure } from './figures.ts';
import { choice, count, duration, FlagError, type FlagValues, optionalCount } from './flags.ts';
import { defineScenario } from './scenario.ts';
import { type ServerReading, type Target, usedBetween } from './target.ts';

const FLAGS = {
  of: choice(['viewers', 'chat', 'buyers'], 'viewers', 'what grows'),
  from: optionalCount('the first step (200 viewers, 10 messages a second, 200 buyers)'),
  most: optionalCount('the last step, at most (20 times the first)', { max: 2_000_000 }),
  grow: count(50, 'percent from step to step', { max: 1_000 }),
  refine: count(1, 'steps between the largest that held and the first that broke', { min: 0, max: 10 }),
  viewers: count(300, 'viewers while chat grows', { max: 2_000_000 }),
  chat: count(10, 'messages a second while viewers grow', { min: 0, max: 100_000 }),
  joinRate: count(400, 'how many come a second', { max: 200_000 }),
  within: duration(500, 'how long buyers take to press after zero'),
  deliveryP99: duration(250, 'chat delivery: breaks when its 99th percentile is above this'),
  decisionP99: duration(500, 'presses: breaks when the 99th percentile from due to answered is above this'),
  joinP99: duration(1_000, 'joins: breaks when the 99th percentile from due to welcome is above this'),
  deliveredShare: share(0.999, 'of the chat must reach its readers'),
  atLeast: optionalCount('fail when less than this held'),
};
type Flags = FlagValues<typeof FLAGS>;

const FIRST = { viewers: 200, chat: 10, buyers: 200 } as const;
const UNIT = { viewers: 'viewers', chat: 'messages/s', buyers: 'buyers' } as const;
const MOST_FACTOR = 20;
/** What a user may write, per second (rule L-1 of the protocol). */
const CHAT_PER_USER = 3;
const COUNTDOWN_MS = 2_000;
const JOIN_WAIT_MS = 20_000;
const ANSWER_WAIT_MS = 15_000;
const ZERO_SPREAD_MS = Number.POSITIVE_INFINITY;
/** A process above this had no room for more. */
const FULL_SHARE = 0.85;

interface Step {
  readonly load: number;
  readonly stretch: Stretch;
  readonly levels: readonly Level[];
  /** CPU of each process in it, in cores. */
  readonly cores: ReadonlyArray<readonly [name: string, share: number]>;
  /** Share of this machine's CPUs that was busy, with whatever. */
  readonly machine: number;
  /** Why the generator could do no more; empty when it could. */
  readonly generatorFull: readonly string[];
}

export const capacity = defineScenario({
  name: 'capacity',
  about:
    'steps up viewers, chat or buyers until a service level breaks: the largest load that held, what broke, who was full',
  flags: FLAGS,
  defaults: { seconds: 5 },
  check({ of, from, most, viewers }): void {
    const first = from ?? FIRST[of];
    const last = most ?? first * MOST_FACTOR;
    if (last < first) throw new FlagError(`--most ${last} is below --from ${first}`);
    if (of === 'chat' && first > viewers * CHAT_PER_USER)
      throw new FlagError(
        `${viewers} viewers may write ${viewers * CHAT_PER_USER} messages a second at most: give more --viewers`,
      );
  },
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const run = await openRun(context);
    const { target, fleet, chronicle } = run;
    const stairs = new Stairs(flags);
    const steps: Step[] = [];
    let ended: Ended | null = null;
    await chronicle.unlessStopped(async () => {
      chronicle.phase('preparing');
      const climb = new Climb(
        target,
        fleet,
        chronicle,
        flags,
        common,
        await openEvening(target, fleet, common, nightOptions(flags, stairs.most)),
      );
      for (let load = stairs.next(null); load !== null; load = stairs.next(steps.at(-1) ?? null)) {
        let step = await climb.step(load);
        // A neighbour on the machine may have had the core for a moment: what breaks must break
        // twice.
        if (!holds(step)) step = await climb.step(load);
        steps.push(step);
        context.display.line(`${UNIT[flags.of]} ${load.toLocaleString('en')}: ${broken(step) ?? 'held'}`);
      }
      ended = await climb.host.end(ZERO_SPREAD_MS);
    });
    return conclude(chronicle, fleet, flags, steps, (ended as Ended | null)?.checks ?? []);
  },
});

const nightOptions = (flags: Flags, most: number) => ({
  label: 'capacity',
  people: flags.of === 'chat' ? flags.viewers : most,
  clocks: flags.of === 'buyers',
  pays: 0,
});
const holds = (step: Step): boolean => broken(step) === null;

/**
 * Up by a share each time; when one breaks, half way back between it and the last that held, so
 * often.
 */
class Stairs {
  readonly most: number;
  readonly #first: number;
  readonly #grow: number;
  #refine: number;
  #held = 0;
  #broke = Number.POSITIVE_INFINITY;

  constructor({ of, from, most, grow, refine, viewers }: Flags) {
    this.#first = from ?? FIRST[of];
    const asked = most ?? this.#first * MOST_FACTOR;
    this.most = of === 'chat' ? Math.min(asked, viewers * CHAT_PER_USER) : asked;
    this.#grow = 1 + grow / 100;
    this.#refine = refine;
  }

  next(last: Step | null): number | null {
    if (last === null) return this.#first;
    if (holds(last)) this.#held = Math.max(this.#held, last.load);
    else this.#broke = Math.min(this.#broke, last.load);
    if (this.#broke === Number.POSITIVE_INFINITY)
      return last.load >= this.most ? null : Math.min(this.most, Math.ceil(last.load * this.#grow));
    const between = Math.round((this.#held + this.#broke) / 2);
    if (this.#refine-- <= 0 || between <= this.#held || between >= this.#broke) return null;
    return between;
  }
}

interface Measured {
  readonly stretch: Stretch;
  /** What the engine had used when it began. */
  readonly before: ServerReading | null;
  readonly ticks: CpuTicks;
}

class Climb {
  readonly host: Host;
  readonly #target: Target;
  readonly #fleet: Fleet;
  readonly #chronicle: Chronicle;
  readonly #flags: Flags;
  readonly #common: CommonFlags;
  #there = 0;
  #steps = 0;

  constructor(target: Target, fleet: Fleet, chronicle: Chronicle, flags: Flags, common: CommonFlags, host: Host) {
    this.#target = target;
    this.#fleet = fleet;
    this.#chronicle = chronicle;
    this.#flags = flags;
    this.#common = common;
    this.host = host;
  }

  async step(load: number): Promise<Step> {
    const { of, viewers } = this.#flags;
    const arriving = await this.#gather(of === 'chat' ? viewers : load);
    const { stretch, before, ticks } =
      of === 'buyers' ? await this.#press(load) : await this.#talk(of === 'chat' ? load : this.#flags.chat, load);
    const after = await this.#target.read();
    const machine = busySince(ticks);
    const samples = samplesWithin(this.#fleet.samples, stretch);
    const levels = this.#levels(samples, samplesWithin(this.#fleet.samples, arriving));
    // A rush is over in a moment: what it used is held against the time until nearly all had their
    // answer, not against the wait that follows.
    const busyMs =
      of === 'buyers' ? this.#flags.within + (latencyOf(samples, 'decision')?.p99Ms ?? 0) : this.#common.seconds * 1000;
    const cores = coresOf(before, after, busyMs / 1000);
    return { load, stretch, levels, cores, machine, generatorFull: fullGenerator(samples, this.#flags) };
  }

  /** As many as there should be are there; who is too many goes home. */
  async #gather(people: number): Promise<Stretch> {
    const fromMs = this.#fleet.secondAfter(200);
    const from = this.#there;
    this.#there = people;
    if (people < from) this.host.command({ do: 'leave', from: people, to: from });
    const overMs = Math.max(0, ((people - from) * 1000) / this.#flags.joinRate);
    this.#chronicle.phase(`to ${people.toLocaleString('en')} viewers`, { fromMs, forMs: overMs });
    if (people > from) this.host.command({ do: 'join', atMs: fromMs, from, to: people, overMs, shape: 'even' });
    await this.#fleet.until(fromMs + overMs);
    // Who does not get in breaks a level; the run goes on to say so.
    const untilMs = this.#fleet.nowMs() + JOIN_WAIT_MS;
    while (this.#chronicle.gauge('viewers') < people && this.#fleet.nowMs() < untilMs)
      await this.#fleet.until(this.#fleet.nowMs() + 50);
    return { fromMs, toMs: this.#fleet.nowMs() };
  }

  async #talk(perSecond: number, load: number): Promise<Measured> {
    const forMs = this.#common.seconds * 1000;
    const fromMs = this.#fleet.secondAfter(200);
    const stretch = this.#chronicle.phase(`${load.toLocaleString('en')} ${UNIT[this.#flags.of]}`, { fromMs, forMs });
    this.host.talk(fromMs, syntheticChat(this.#common.seed + this.#steps++, perSecond, forMs));
    await this.#fleet.until(fromMs);
    const [before, ticks] = [await this.#target.read(), cpuTicks()];
    await this.#fleet.until(fromMs + forMs + 1_000);
    return { stretch: { fromMs: stretch.fromMs, toMs: fromMs + forMs }, before, ticks };
  }

  async #press(buyers: number): Promise<Measured> {
    const { within } = this.#flags;
    const rest = { perBuyer: 2, early: 0, twice: 0.05, regret: 0 };
    const units = Math.max(4, Math.round(buyers / 5));
    const { zeroMs } = await this.host.sell({
      units,
      opensInMs: COUNTDOWN_MS,
      durationMs: 600_000,
      holdMs: 15_000,
      buyers,
      withinMs: within,
      ...rest,
    });
    this.#chronicle.phase(`${buyers.toLocaleString('en')} ${UNIT.buyers}`, { fromMs: zeroMs });
    await this.#fleet.until(zeroMs);
    const [before, ticks] = [await this.#target.read(), cpuTicks()];
    await this.#fleet.until(zeroMs + within + 2_000);
    const untilMs = this.#fleet.nowMs() + ANSWER_WAIT_MS;
    while (this.#chronicle.gauge('presses waiting') > 0 && this.#fleet.nowMs() < untilMs)
      await this.#fleet.until(this.#fleet.nowMs() + 50);
    return { stretch: { fromMs: zeroMs - 1_000, toMs: this.#fleet.nowMs() }, before, ticks };
  }

  #levels(samples: readonly Sample[], arriving: readonly Sample[]): Level[] {
    const { of, deliveryP99, decisionP99, joinP99, deliveredShare } = this.#flags;
    const joins = latencyOf(arriving, 'join');
    const there = this.#chronicle.gauge('viewers');
    const inside: Level[] =
      there < this.#there
        ? [{ flag: '(everybody is let in)', wanted: `${this.#there}`, measured: `${there}`, ok: false }]
        : [];
    const arrivals = joins === undefined ? [] : latencyLevel('joinP99', joinP99, joins);
    if (of === 'buyers')
      return [...inside, ...arrivals, ...latencyLevel('decisionP99', decisionP99, latencyOf(samples, 'decision'))];
    const sum = (name: string): number => samples.reduce((total, { counters }) => total + (counters[name] ?? 0), 0);
    const delivered = sum('delivered');
    const chat = sum('chat sent') === 0 ? [] : latencyLevel('deliveryP99', deliveryP99, latencyOf(samples, 'delivery'));
    return [
      ...inside,
      ...arrivals,
      ...chat,
      ...(delivered === 0 ? [] : shareLevel('deliveredShare', deliveredShare, delivered, delivered + sum('missed'))),
    ];
  }
}

/**
 * What stops the climb on the generator's side: no core left, or a loop so late that it takes up a
 * third of what the service level allows. Single sends that left late are told and do not stop it:
 * latency counts from the moment each was due, so they make a load look worse, never better.
 */
function fullGenerator(samples: readonly Sample[], { of, decisionP99, deliveryP99 }: Flags): string[] {
  const { share: busiest } = busiestOf(samples);
  const { p99Ms } = loopDelayOf(samples);
  const boundMs = Math.max(LOOP_DELAY_P99_MS_MAX, (of === 'buyers' ? decisionP99 : deliveryP99) * OWN_DELAY_PART_MAX);
  return [
    ...(busiest > CPU_SHARE_MAX ? [`its busiest process used ${Math.round(busiest * 100)} % of a core`] : []),
    ...(p99Ms > boundMs
      ? [`its event loop was ${milliseconds(p99Ms)} late at the 99th percentile, ${milliseconds(boundMs)} are allowed`]
      : []),
  ];
}

function coresOf(before: ServerReading | null, after: ServerReading | null, seconds: number): Step['cores'] {
  const processes = usedBetween(before, after)?.processes ?? [];
  return processes.map(({ name, cpuSeconds }) => [name, cpuSeconds / seconds] as const).sort(([, a], [, b]) => b - a);
}

/**
 * What broke in this step, in words; null when it held. A generator that was full says nothing
 * about the engine, so the step does not count as held.
 */
function broken({ levels, generatorFull }: Step): string | null {
  const missed = levels.filter(({ ok }) => !ok);
  if (generatorFull.length > 0) return `the generator was full: ${generatorFull.join(', ')}`;
  return missed.length === 0
    ? null
    : missed.map(({ flag, wanted, measured }) => `${flag} ${wanted} broke: ${measured}`).join(', ');
}

interface CpuTicks {
  readonly busy: number;
  readonly all: number;
}

/** Of all CPUs of this machine since it started. */
function cpuTicks(): CpuTicks {
  const times = cpus().map((cpu) => cpu.times);
  const all = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0);
  return { all, busy: all - times.reduce((sum, { idle }) => sum + idle, 0) };
}

function busySince(before: CpuTicks): number {
  const now = cpuTicks();
  return now.all === before.all ? 0 : (now.busy - before.busy) / (now.all - before.all);
}

function fullOf({ cores, machine }: Step): string {
  const full = cores.filter(([, used]) => used >= FULL_SHARE);
  const said = (list: Step['cores']): string =>
    list.map(([name, used]) => `${name} ${Math.round(used * 100)} %`).join(', ');
  if (cores.length === 0) return 'what the engine used could not be seen from here';
  const beside = machine >= FULL_SHARE ? `, but the CPUs of this machine were ${Math.round(machine * 100)} % busy` : '';
  return full.length > 0 ? `full: ${said(full)} of a core` : `no process was full (${said(cores)} of a core)${beside}`;
}

function conclude(
  chronicle: Chronicle,
  fleet: Fleet,
  flags: Flags,
  steps: readonly Step[],
  checks: readonly Check[],
): BenchResult {
  const kept = steps.filter(holds);
  const held = Math.max(0, ...kept.map(({ load }) => load));
  const first = steps
    .filter((step) => !holds(step))
    .reduce<Step | null>((least, step) => (least === null || step.load < least.load ? step : least), null);
  const unit = UNIT[flags.of];
  const best = kept.find(({ load }) => load === held);
  const samples = kept.flatMap(({ stretch }) => samplesWithin(fleet.samples, stretch));
  const headline =
    best === undefined
      ? undefined
      : latencyOf(samplesWithin(fleet.samples, best.stretch), flags.of === 'buyers' ? 'decision' : 'delivery');
  const levels: Level[] = [
    ...(best?.levels ?? []),
    ...(flags.atLeast === null
      ? []
      : [
          {
            flag: '--at-least',
            wanted: `>= ${flags.atLeast.toLocaleString('en')} ${unit}`,
            measured: `${held.toLocaleString('en')} ${unit}`,
            ok: held >= flags.atLeast,
          },
        ]),
  ];
  const result = chronicle.finish({
    figures: [
      figure(
        'largest load that held',
        unit,
        'higher',
        [held],
        `all service levels met: ${levels.map(({ flag, wanted }) => `${flag} ${wanted}`).join(', ')}`,
      ),
      ...(first === null ? [] : [figure('first load that broke', unit, 'higher', [first.load], broken(first) ?? '')]),
      figure(
        'p99 at the largest',
        'ms',
        'lower',
        [headline?.p99Ms ?? Number.NaN],
        flags.of === 'buyers' ? 'from due to answered' : 'from due to each reader',
      ),
      ...(best?.cores ?? []).map(([name, used]) =>
        figure(`${name} at the largest`, 'cores', 'lower', [used], 'CPU seconds a second'),
      ),
    ],
    checks: [
      {
        name: 'a load held',
        ok: held > 0,
        detail: held > 0 ? `${held.toLocaleString('en')} ${unit}` : 'not even the first step: start lower with --from',
      },
      ...checks,
    ],
    levels,
    headline,
    notes: [
      first === null
        ? `Nothing broke up to ${held.toLocaleString('en')} ${unit}: the limit lies beyond; go on with --most.`
        : `${first.load.toLocaleString('en')} ${unit}: ${broken(first)}; ${fullOf(first)}.`,
      ...(first !== null && first.generatorFull.length > 0
        ? [`The engine holds ${held.toLocaleString('en')} ${unit} at least: the generator gave up first.`]
        : []),
      ...steps.map(
        (step) =>
          `step ${step.load.toLocaleString('en')}: ${broken(step) ?? 'held'}; ${step.levels.map(({ flag, measured }) => `${flag.slice(2)} ${measured}`).join(', ')}; ${fullOf(step)}`,
      ),
    ],
  });
  // The step that broke is not what is reported, so it is not what the generator is judged by.
  const generator = { ...healthOf(fleet.workers, samples, headline), bottlenecks: fullGenerator(samples, flags) };
  const verdict = {
    ...result.verdict,
    ok: [...result.verdict.checks, ...levels].every(({ ok }) => ok) && generator.bottlenecks.length === 0,
  };
  return { ...result, generator, latencies: latenciesOf(samples), verdict };
}
