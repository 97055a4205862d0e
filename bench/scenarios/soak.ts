/** The same load for a long time: what grows in memory, handles, Redis and latency. */
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { syntheticChat } from '../evening/chat.ts';
import type { GrowthCheck, GrowthRule, Point } from '../evening/growth.ts';
import { checkGrowth, growthText, lowest, middle } from '../evening/growth.ts';
import { type EveningResult, type Host, openEvening } from '../evening/host.ts';
import type { Stretch } from '../generator/assemble.ts';
import type { Figure, Series } from '../report/result.ts';
import { checkThat } from '../verdict/check.ts';
import { commonLevels } from '../verdict/levels.ts';
import { runFigures } from './figures.ts';
import { count, duration } from './flags.ts';
import { joinEvenly } from './room.ts';
import { chatRateFlag, joinRateFlag, viewersFlag } from './room-flags.ts';
import { defineLoad } from './scenario.ts';
import type { Run } from './scenario-run.ts';

const growthFlag = (initial: number, what: string) => count(initial, what, { min: 0, max: 1_000_000 });

const FLAGS = {
  viewers: viewersFlag(300),
  joinRate: joinRateFlag(200),
  chat: chatRateFlag(10),
  hearts: count(20, 'hearts per second', { min: 0, max: 100_000 }),
  units: count(60, 'units of each sale', { max: 10_000_000 }),
  saleEvery: duration(20_000, 'interval of flash sales'),
  churnEvery: duration(10_000, 'interval at which 5 % of the viewers reconnect'),
  memoryGrowth: growthFlag(64, 'MiB per hour that a process of the engine may grow'),
  heapGrowth: growthFlag(32, 'MiB per hour that memory after full garbage collections may grow'),
  collectEvery: duration(10_000, 'interval of full garbage collections of the gateway'),
  redisGrowth: growthFlag(256, 'MiB per hour that Redis may grow (the ledger grows with the sales)'),
  latencyGrowth: growthFlag(20, 'ms per hour that the p99 of chat delivery may grow'),
};
type SoakRun = Run<typeof FLAGS>;

const HOLD_MS = 15_000;
const JOIN_WAIT_MS = 30_000;
const CHURN_SHARE = 0.05;
const SALE_AHEAD_MS = 1_500;
const ZERO_SPREAD_MS = 250;
/** A show holds 200 sales. */
const SALES_MAX = 190;
/** V8 sizes its spaces and compiles hot code; it collects late until its heap has grown. */
const MEMORY_WARM_UP_MS = 5 * 60_000;
/** Rings and histories fill, and users place their first orders. */
const WARM_UP_MS = 60_000;
const SAMPLE_EVERY_MS = 1_000;
/** Reconnects make the count vary; a leak of one handle per sale would be far above this. */
const HANDLES_PER_HOUR_MAX = 60;
const COLLECTED = 'gateway memory after a full collection';

type Rule = Omit<GrowthRule, 'unit'>;
/** `isExtra`: the plots of every run do not contain it. */
type Watched = { readonly name: string; unit: string; points: Point[]; rule: Rule; isExtra: boolean };

type Soaked = { readonly watched: Map<string, Watched>; steady: Stretch; ended: EveningResult | null };

export const soak = defineLoad({
  name: 'soak',
  about: 'the same load for a quarter of an hour or more: what grows, and how certain that is',
  flags: FLAGS,
  // Half of it is judged: enough to separate the allowed growth from garbage.
  defaults: { seconds: 900 },
  collect: (): Soaked => ({ watched: new Map(), steady: { fromMs: 0, toMs: 0 }, ended: null }),
  async load(run, collected) {
    const { flags, common, fleet } = run;
    const forMs = common.seconds * 1000;
    run.phase('preparing');
    const options = { label: 'soak', users: flags.viewers, clocks: true, pays: 0.5, payWithinMs: 3_000 };
    const host = await openEvening(run.target, fleet, common, options);
    await joinEvenly(run, host, flags.viewers, flags.joinRate, JOIN_WAIT_MS);
    const steady = run.phase('soaking', { fromMs: fleet.secondAfter(0), forMs, measured: true });
    collected.steady = steady;
    host.sendChat(steady.fromMs, syntheticChat(common.seed, flags.chat, forMs));
    host.command({ do: 'hearts', atMs: steady.fromMs, perSecond: Math.max(1, flags.hearts), forMs });
    await Promise.all([sell(run, host, steady), churn(run, host, steady), watch(run, collected)]);
    run.phase('settling');
    await run.wait(HOLD_MS / 5);
    collected.ended = await host.end(ZERO_SPREAD_MS);
  },
  report(run, { watched, steady, ended }) {
    const delivery = run.latency('delivery');
    const latencyRule = { pick: middle, allowedPerHour: run.flags.latencyGrowth, warmUpMs: WARM_UP_MS };
    const p99 = { name: 'chat delivery p99', unit: 'ms', points: p99PerSecond(run, steady), rule: latencyRule };
    const judged = [...watched.values(), { ...p99, isExtra: false }].map((one) => {
      return { ...one, ...checkGrowth(one.points, { ...one.rule, unit: one.unit }) };
    });
    const extra = judged.filter(({ isExtra }) => isExtra);
    return {
      figures: judged.flatMap(({ name, unit, growth }): Figure[] => {
        if (growth === null) return [];
        const about = `slope of a line through ${growth.windows} windows, ${growthText(growth, unit)}`;
        return [runFigures.lower(`${name} growth`, `${unit}/h`, () => growth.perHour, about)];
      }),
      checks: [
        ...(ended?.checks ?? []),
        ...judged.filter(isConclusive).map(({ name, verdict, detail }) => {
          return checkThat(`no growth: ${name}`, verdict === 'steady', detail);
        }),
      ],
      levels: commonLevels(run.common, delivery),
      headline: delivery,
      notes: inconclusiveNotes(judged),
      series: extra.map(({ name, unit, points }): Series => {
        return { name, unit, group: 'server', points: points.map(([atMs, value]) => [atMs - run.originMs, value]) };
      }),
    };
  },
});

async function sell({ fleet, flags }: SoakRun, host: Host, { fromMs, toMs }: Stretch): Promise<void> {
  const { saleEvery, units, viewers: buyers } = flags;
  const durationMs = Math.max(2_000, Math.round(saleEvery * 0.6));
  const behavior = { withinMs: 1_000, perBuyer: 2, early: 0.02, twice: 0.05, regret: 0.1 };
  for (let n = 0; n < SALES_MAX; n++) {
    const openingMs = fromMs + SALE_AHEAD_MS + n * saleEvery;
    if (openingMs + 2_000 > toMs) return;
    await fleet.until(openingMs - SALE_AHEAD_MS);
    await host.sell({ units, opensInMs: SALE_AHEAD_MS, durationMs, holdMs: HOLD_MS, buyers, ...behavior });
  }
}

async function churn({ fleet, flags }: SoakRun, host: Host, { fromMs, toMs }: Stretch): Promise<void> {
  for (let atMs = fromMs + flags.churnEvery; atMs < toMs - 3_000; atMs += flags.churnEvery) {
    await fleet.until(atMs);
    host.command({ do: 'drop', atMs, share: CHURN_SHARE, overMs: 500, awayMs: 0, backMs: 1_500 });
  }
}

/** An inconclusive judgement is not a pass: it becomes a note. */
const isConclusive = ({ verdict }: GrowthCheck): boolean => verdict !== 'inconclusive';

/** One note for all values that are inconclusive for the same reason. */
function inconclusiveNotes(judged: ReadonlyArray<{ readonly name: string } & GrowthCheck>): string[] {
  const names = new Map<string, string[]>();
  for (const { name, detail } of judged.filter((one) => !isConclusive(one)))
    names.set(detail, [...(names.get(detail) ?? []), name]);
  return [...names].map(([detail, of]) => `Growth of ${of.join(', ')}: ${detail}.`);
}

/** Samples memory and handles of the engine's processes and memory of Redis once per second. */
async function watch({ target, fleet, flags }: SoakRun, { watched, steady }: Soaked): Promise<void> {
  const memory = { pick: lowest, allowedPerHour: flags.memoryGrowth, warmUpMs: MEMORY_WARM_UP_MS };
  const handles = { pick: middle, allowedPerHour: HANDLES_PER_HOUR_MAX, warmUpMs: WARM_UP_MS };
  const add = (name: string, unit: string, value: number, rule: Rule, isExtra = true): void => {
    const known = watched.get(name) ?? { name, unit, points: [], rule, isExtra };
    watched.set(name, known);
    known.points.push([fleet.nowMs(), value]);
  };
  let collectAtMs = steady.fromMs;
  while (fleet.nowMs() < steady.toMs) {
    for (const { name, memoryBytes } of (await target.read())?.processes ?? [])
      if (name !== 'redis') add(`${name} memory`, 'MiB', memoryBytes / 2 ** 20, memory, false);
    for (const [name, pid] of Object.entries(target.engine?.pids ?? {}))
      add(`${name} handles`, 'handles', handlesOf(pid), handles);
    const used = /used_memory:(\d+)/.exec((await target.engine?.redis.admin.info('memory')) ?? '')?.[1];
    const redisRule = { ...memory, allowedPerHour: flags.redisGrowth, warmUpMs: WARM_UP_MS };
    if (used !== undefined) add('Redis used memory', 'MiB', Number(used) / 2 ** 20, redisRule);
    if (fleet.nowMs() >= collectAtMs) {
      collectAtMs += flags.collectEvery;
      const kept = await target.engine?.collectGarbage();
      const heapRule = { ...memory, allowedPerHour: flags.heapGrowth };
      if (kept) add(COLLECTED, 'MiB', (kept.heapBytes + kept.externalBytes) / 2 ** 20, heapRule);
    }
    await Promise.race([sleep(SAMPLE_EVERY_MS), fleet.failed]);
  }
}

/** Open files and sockets of a process; NaN if /proc is not available. */
function handlesOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return Number.NaN;
  }
}

const p99PerSecond = (run: SoakRun, { fromMs, toMs }: Stretch): Point[] =>
  Array.from({ length: Math.ceil((toMs - fromMs) / 1000) }, (_, i) => fromMs + i * 1000).flatMap((atMs) => {
    const p99Ms = run.latency('delivery', { fromMs: atMs, toMs: atMs + 1_000 })?.p99Ms;
    return p99Ms === undefined ? [] : [[atMs + 500, p99Ms] as const];
  });
