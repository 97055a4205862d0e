/** Increases a load until a service level breaks; reports the largest that held. */
import { cpus } from 'node:os';
import { syntheticChat } from '../evening/chat.ts';
import { type EveningResult, type Host, openEvening } from '../evening/host.ts';
import {
  busiestOf,
  CPU_SHARE_MAX,
  countOf,
  healthOf,
  LOOP_DELAY_P99_MS_MAX,
  latenciesOf,
  latencyOf,
  loopDelayOf,
  OWN_DELAY_PART_MAX,
  type Stretch,
} from '../generator/assemble.ts';
import type { Sample } from '../generator/contract.ts';
import type { BenchResult, Check, Level } from '../report/result.ts';
import { checkThat, whole } from '../verdict/check.ts';
import { atLeast, latencyLevel, milliseconds, share, shareLevel } from '../verdict/levels.ts';
import { runFigures } from './figures.ts';
import { choice, count, duration, FlagError, type FlagValues, optionalCount } from './flags.ts';
import { chatRateFlag, joinRateFlag, viewersFlag } from './room-flags.ts';
import { defineScenario } from './scenario.ts';
import { Run } from './scenario-run.ts';
import { type ServerReading, usedBetween } from './target.ts';

const FLAGS = {
  of: choice(['viewers', 'chat', 'buyers'], 'viewers', 'what grows'),
  from: optionalCount('the first step (200 viewers, 10 messages per second, 200 buyers)'),
  most: optionalCount('the last step (20 times the first)', { max: 2_000_000 }),
  grow: count(50, 'percent from step to step', { max: 1_000 }),
  refine: count(1, 'steps between the largest that held and the first that broke', { min: 0, max: 10 }),
  viewers: viewersFlag(300),
  chat: chatRateFlag(10),
  joinRate: joinRateFlag(400),
  within: duration(500, 'reaction time: buyers press within this time after zero'),
  deliveryP99: duration(250, 'chat delivery: breaks if its 99th percentile is above this'),
  decisionP99: duration(500, 'presses: breaks if the 99th percentile from due to reply is above this'),
  joinP99: duration(1_000, 'joins: breaks if the 99th percentile from due to welcome is above this'),
  deliveredShare: share(0.999, 'of the chat must reach its readers'),
  atLeast: optionalCount('fail if less than this held'),
};
type Flags = FlagValues<typeof FLAGS>;

const FIRST = { viewers: 200, chat: 10, buyers: 200 } as const;
const UNIT = { viewers: 'viewers', chat: 'messages/s', buyers: 'buyers' } as const;
const MOST_FACTOR = 20;
/** Messages that a user may write per second (rule L-1 of the protocol). */
const CHAT_PER_USER = 3;
const NOTHING_HELD = 'not even the first step: lower --from';
const COUNTDOWN_MS = 2_000;
const JOIN_WAIT_MS = 20_000;
const REPLY_WAIT_MS = 15_000;
const AHEAD_MS = 200;
const NO_COUNTDOWN = Number.POSITIVE_INFINITY;
/** A process above this share of a core has no capacity left. */
const FULL_SHARE = 0.85;

type Step = Awaited<ReturnType<Stepper['step']>>;

export const capacity = defineScenario({
  name: 'capacity',
  about:
    'increases viewers, chat or buyers until a service level breaks: the largest load that held, and the bottleneck',
  flags: FLAGS,
  defaults: { seconds: 5 },
  check({ of, from, most, viewers }): void {
    const first = from ?? FIRST[of];
    const last = most ?? first * MOST_FACTOR;
    if (last < first) throw new FlagError(`--most ${last} is below --from ${first}`);
    if (of === 'chat' && first > viewers * CHAT_PER_USER)
      throw new FlagError(`${viewers} viewers may write ${viewers * CHAT_PER_USER} per second: raise --viewers`);
  },
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const target = await context.openTarget();
    const run = new Run(context, target, await context.openFleet());
    const search = searchOf(flags);
    const steps: Step[] = [];
    const ended: EveningResult[] = [];
    await run.unlessStopped(async () => {
      run.phase('preparing');
      const users = flags.of === 'chat' ? flags.viewers : search.most;
      const options = { label: 'capacity', users, clocks: flags.of === 'buyers', pays: 0 };
      const stepper = new Stepper(run, await openEvening(target, run.fleet, common, options));
      for (let load = search.next(undefined); load !== null; load = search.next(steps.at(-1))) {
        let step = await stepper.step(load);
        // A step must break twice: another process may have used the core for a short time.
        if (!holds(step)) step = await stepper.step(load);
        steps.push(step);
        context.display.line(`${UNIT[flags.of]} ${whole(load)}: ${broken(step) ?? 'held'}`);
      }
      ended.push(await stepper.host.end(NO_COUNTDOWN));
    });
    return resultOf(run, steps, ended[0]?.checks ?? []);
  },
});

const holds = (step: Step): boolean => broken(step) === null;

/** Grows by a share per step; after the first break it bisects `refine` times. */
function searchOf({ of, from, most: requested, grow, refine, viewers }: Flags) {
  const first = from ?? FIRST[of];
  const last = requested ?? first * MOST_FACTOR;
  const most = of === 'chat' ? Math.min(last, viewers * CHAT_PER_USER) : last;
  let left = refine;
  let held = 0;
  let broke = Number.POSITIVE_INFINITY;
  const next = (step: Step | undefined): number | null => {
    if (step === undefined) return first;
    if (holds(step)) held = Math.max(held, step.load);
    else broke = Math.min(broke, step.load);
    if (broke === Number.POSITIVE_INFINITY)
      return step.load >= most ? null : Math.min(most, Math.ceil(step.load * (1 + grow / 100)));
    const between = Math.round((held + broke) / 2);
    return left-- <= 0 || between <= held || between >= broke ? null : between;
  };
  return { most, next };
}

class Stepper {
  readonly host: Host;
  readonly #run: Run<typeof FLAGS>;
  #viewers = 0;
  #steps = 0;

  constructor(run: Run<typeof FLAGS>, host: Host) {
    this.#run = run;
    this.host = host;
  }

  /** Returns the CPU of each process in cores, and the busy share of all CPUs of this machine. */
  async step(load: number) {
    const { flags, common, target } = this.#run;
    const isRush = flags.of === 'buyers';
    const joining = await this.#resize(flags.of === 'chat' ? flags.viewers : load);
    const chatRate = flags.of === 'chat' ? load : flags.chat;
    const { stretch, before, ticks } = await (isRush ? this.#press(load) : this.#chat(chatRate, load));
    const after = await target.read();
    const machine = busySince(ticks);
    const samples = this.#run.samples(stretch);
    // A rush is short: its CPU time counts against the time until nearly all replies had arrived.
    const busyMs = isRush ? flags.within + (latencyOf(samples, 'decision')?.p99Ms ?? 0) : common.seconds * 1000;
    const levels = this.#levels(samples, this.#run.samples(joining));
    const cores = coresOf(before, after, busyMs / 1000);
    return { load, stretch, levels, cores, machine, generatorFull: generatorLimits(samples, flags) };
  }

  /** Joins or disconnects viewers until the number is right. */
  async #resize(viewers: number): Promise<Stretch> {
    const { fleet, flags } = this.#run;
    const fromMs = fleet.secondAfter(AHEAD_MS);
    const from = this.#viewers;
    this.#viewers = viewers;
    if (viewers < from) this.host.command({ do: 'leave', from: viewers, to: from });
    const overMs = Math.max(0, ((viewers - from) * 1000) / flags.joinRate);
    this.#run.phase(`to ${whole(viewers)} viewers`, { fromMs, forMs: overMs });
    if (viewers > from) this.host.command({ do: 'join', atMs: fromMs, from, to: viewers, overMs, shape: 'even' });
    await fleet.until(fromMs + overMs);
    // Viewers who cannot join break a level; the run continues and reports it.
    await this.#run.atMost(JOIN_WAIT_MS, () => this.#run.gauge('viewers') >= viewers);
    return { fromMs, toMs: fleet.nowMs() };
  }

  async #chat(perSecond: number, load: number) {
    const { fleet, flags, common, target } = this.#run;
    const forMs = common.seconds * 1000;
    const fromMs = fleet.secondAfter(AHEAD_MS);
    this.#run.phase(`${whole(load)} ${UNIT[flags.of]}`, { fromMs, forMs });
    this.host.sendChat(fromMs, syntheticChat(common.seed + this.#steps++, perSecond, forMs));
    await fleet.until(fromMs);
    const [before, ticks] = [await target.read(), cpuTicks()];
    await fleet.until(fromMs + forMs + 1_000);
    return { stretch: { fromMs, toMs: fromMs + forMs }, before, ticks };
  }

  async #press(buyers: number) {
    const { fleet, flags, target } = this.#run;
    const units = Math.max(4, Math.round(buyers / 5));
    const times = { opensInMs: COUNTDOWN_MS, durationMs: 600_000, holdMs: 15_000, withinMs: flags.within };
    const behavior = { perBuyer: 2, early: 0, twice: 0.05, regret: 0 };
    const { openingMs } = await this.host.sell({ units, buyers, ...behavior, ...times });
    this.#run.phase(`${whole(buyers)} ${UNIT.buyers}`, { fromMs: openingMs });
    await fleet.until(openingMs);
    const [before, ticks] = [await target.read(), cpuTicks()];
    await fleet.until(openingMs + flags.within + 2_000);
    await this.#run.atMost(REPLY_WAIT_MS, () => this.#run.gauge('presses waiting') === 0);
    return { stretch: { fromMs: openingMs - 1_000, toMs: fleet.nowMs() }, before, ticks };
  }

  #levels(samples: readonly Sample[], joining: readonly Sample[]): Level[] {
    const { of, deliveryP99, decisionP99, joinP99, deliveredShare } = this.#run.flags;
    const joins = latencyOf(joining, 'join');
    const joined = this.#run.gauge('viewers');
    const delivered = countOf(samples, 'delivered');
    const due = delivered + countOf(samples, 'missed');
    const levels = joined < this.#viewers ? [atLeast('(all viewers joined)', this.#viewers, joined, String)] : [];
    if (joins !== undefined) levels.push(...latencyLevel('joinP99', joinP99, joins));
    if (of === 'buyers')
      return [...levels, ...latencyLevel('decisionP99', decisionP99, latencyOf(samples, 'decision'))];
    if (countOf(samples, 'chat sent') > 0)
      levels.push(...latencyLevel('deliveryP99', deliveryP99, latencyOf(samples, 'delivery')));
    return delivered > 0 ? [...levels, ...shareLevel('deliveredShare', deliveredShare, delivered, due)] : levels;
  }
}

/** Reasons that stop the search on the generator's side. Single late sends do not stop it. */
function generatorLimits(samples: readonly Sample[], { of, decisionP99, deliveryP99 }: Flags): string[] {
  const { share: busiest } = busiestOf(samples);
  const { p99Ms } = loopDelayOf(samples);
  const boundMs = Math.max(LOOP_DELAY_P99_MS_MAX, (of === 'buyers' ? decisionP99 : deliveryP99) * OWN_DELAY_PART_MAX);
  const late = `${milliseconds(p99Ms)} late at the 99th percentile (at most ${milliseconds(boundMs)})`;
  return [
    ...(busiest > CPU_SHARE_MAX ? [`its busiest process used ${Math.round(busiest * 100)} % of a core`] : []),
    ...(p99Ms > boundMs ? [`its event loop was ${late}`] : []),
  ];
}

function coresOf(before: ServerReading | null, after: ServerReading | null, seconds: number) {
  const processes = usedBetween(before, after)?.processes ?? [];
  return processes.map(({ name, cpuSeconds }) => [name, cpuSeconds / seconds] as const).sort(([, a], [, b]) => b - a);
}

/** Returns what broke in this step, or null. With an overloaded generator a step does not hold. */
function broken({ levels, generatorFull }: Step): string | null {
  if (generatorFull.length > 0) return `the generator was at its limit: ${generatorFull.join(', ')}`;
  const missed = levels.filter(({ ok }) => !ok);
  return missed.map(({ flag, wanted, measured }) => `${flag} ${wanted} broke: ${measured}`).join(', ') || null;
}

/** Of all CPUs of this machine since it started. */
function cpuTicks() {
  const times = cpus().map((cpu) => cpu.times);
  const all = times.reduce((sum, { user, nice, sys, idle, irq }) => sum + user + nice + sys + idle + irq, 0);
  return { all, busy: all - times.reduce((sum, { idle }) => sum + idle, 0) };
}

function busySince(before: ReturnType<typeof cpuTicks>): number {
  const now = cpuTicks();
  return now.all === before.all ? 0 : (now.busy - before.busy) / (now.all - before.all);
}

function bottleneckOf({ cores, machine }: Step): string {
  if (cores.length === 0) return 'the resource use of the engine is unknown';
  const shown = (list: Step['cores']): string =>
    list.map(([name, used]) => `${name} ${Math.round(used * 100)} %`).join(', ');
  const full = cores.filter(([, used]) => used >= FULL_SHARE);
  if (full.length > 0) return `full: ${shown(full)} of a core`;
  const busy = machine >= FULL_SHARE ? `, but this machine was ${Math.round(machine * 100)} % busy` : '';
  return `no process was full (${shown(cores)} of a core)${busy}`;
}

function resultOf(run: Run<typeof FLAGS>, steps: readonly Step[], checks: readonly Check[]): BenchResult {
  const { of, atLeast: wanted } = run.flags;
  const unit = UNIT[of];
  const amount = (load: number): string => `${whole(load)} ${unit}`;
  const kept = steps.filter(holds);
  const held = Math.max(0, ...kept.map(({ load }) => load));
  const best = kept.find(({ load }) => load === held);
  const [first] = steps.filter((step) => !holds(step)).sort((a, b) => a.load - b.load);
  const samples = kept.flatMap(({ stretch }) => run.samples(stretch));
  const headline = best && run.latency(of === 'buyers' ? 'decision' : 'delivery', best.stretch);
  const levels = [...(best?.levels ?? []), ...(wanted === null ? [] : [atLeast('--at-least', wanted, held, amount)])];
  const met = levels.map((level) => `${level.flag} ${level.wanted}`).join(', ');
  const stepNote = (step: Step): string =>
    `step ${whole(step.load)}: ${broken(step) ?? 'held'}; ` +
    step.levels.map(({ flag, measured }) => `${flag.replace('--', '')} ${measured}, `).join('') +
    bottleneckOf(step);
  const since = of === 'buyers' ? 'from due to reply' : 'from due to each reader';
  const higherLimit = `Nothing broke up to ${amount(held)}: the limit is higher; raise --most.`;
  const generatorFirst = `The engine holds at least ${amount(held)}: the generator reached its limit first.`;
  const { higher, lower } = runFigures;
  const coresAt = (name: string, used: number) => lower(name, 'cores', () => used, 'CPU seconds per second');
  const result = run.finish({
    figures: [
      higher('largest load that held', unit, () => held, `all service levels met: ${met}`),
      ...(first === undefined ? [] : [higher('first load that broke', unit, () => first.load, broken(first) ?? '')]),
      lower('p99 at the largest', 'ms', () => headline?.p99Ms, since),
      ...(best?.cores ?? []).map(([name, used]) => coresAt(`${name} at the largest`, used)),
    ],
    checks: [checkThat('a load held', held > 0, held > 0 ? amount(held) : NOTHING_HELD), ...checks],
    levels,
    headline,
    notes: [
      first === undefined ? higherLimit : `${amount(first.load)}: ${broken(first)}; ${bottleneckOf(first)}.`,
      ...(first?.generatorFull.length ? [generatorFirst] : []),
      ...steps.map(stepNote),
    ],
  });
  // The broken step is not reported, so the generator is not judged in it.
  const bottlenecks = generatorLimits(samples, run.flags);
  const generator = { ...healthOf(run.fleet.workers, samples, headline), bottlenecks };
  const ok = [...result.verdict.checks, ...levels].every((one) => one.ok) && bottlenecks.length === 0;
  return { ...result, generator, latencies: latenciesOf(samples), verdict: { ...result.verdict, ok } };
}
