/**
 * An evening that does not end: the same load for a long time, watched for what grows: memory, what
 * garbage collection leaves, handles, Redis, latency.
 */
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { syntheticChat } from '../evening/chat.ts';
import {
  checkGrowth,
  type GrowthCheck,
  type GrowthRule,
  lowest,
  middle,
  type Point,
  sayGrowth,
} from '../evening/growth.ts';
import { type Ended, type Host, openEvening } from '../evening/host.ts';
import { latencyOf, type Stretch, samplesWithin } from '../generator/assemble.ts';
import type { Fleet } from '../generator/contract.ts';
import type { BenchResult, Check, Figure, Series } from '../report/result.ts';
import { commonLevels } from '../verdict/levels.ts';
import { joinEvenly, openRun } from './chronicle.ts';
import { count, duration, type FlagValues } from './flags.ts';
import { defineScenario } from './scenario.ts';
import type { Target } from './target.ts';

const FLAGS = {
  viewers: count(300, 'how many are there all the time', { max: 2_000_000 }),
  joinRate: count(200, 'how many come a second at the start', { max: 200_000 }),
  chat: count(10, 'messages a second', { min: 0, max: 100_000 }),
  hearts: count(20, 'hearts a second', { min: 0, max: 100_000 }),
  units: count(60, 'units of each sale', { max: 10_000_000 }),
  saleEvery: duration(20_000, 'a flash sale as often'),
  churnEvery: duration(10_000, 'a twentieth of the people lose their line and come back as often'),
  memoryGrowth: count(64, 'MiB an hour a process of the engine may grow by', { min: 0, max: 1_000_000 }),
  heapGrowth: count(32, 'MiB an hour by which what full collections leave may grow', { min: 0, max: 1_000_000 }),
  collectEvery: duration(10_000, 'a full garbage collection of the gateway as often'),
  redisGrowth: count(256, 'MiB an hour Redis may grow by (the ledger is kept: it grows with what is sold)', {
    min: 0,
    max: 1_000_000,
  }),
  latencyGrowth: count(20, 'ms an hour the p99 of chat delivery may grow by', { min: 0, max: 1_000_000 }),
};
type Flags = FlagValues<typeof FLAGS>;

const HOLD_MS = 15_000;
const JOIN_WAIT_MS = 30_000;
const CHURN_SHARE = 0.05;
const SALE_AHEAD_MS = 1_500;
const ZERO_SPREAD_MS = 250;
/** A show holds 200 sales. */
const SALES_MAX = 190;
/**
 * V8 lets garbage lie until its heap has outgrown what the last full collection left, sizes its
 * spaces, and compiles what runs often.
 */
const MEMORY_WARM_UP_MS = 5 * 60_000;
/** Rings and histories fill, the people's first orders come. */
const WARM_UP_MS = 60_000;

export const soak = defineScenario({
  name: 'soak',
  about: 'the same load for long (a quarter of an hour or more): what grows, and how sure that is',
  flags: FLAGS,
  // Half of it is judged: enough to tell the growth allowed from garbage that comes and goes.
  defaults: { seconds: 900 },
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const run = await openRun(context);
    const { target, fleet, chronicle } = run;
    const forMs = common.seconds * 1000;
    const watch = new Watch(target, fleet, flags);
    let ended: Ended | null = null;
    let steady: Stretch = { fromMs: 0, toMs: 0 };
    await chronicle.unlessStopped(async () => {
      chronicle.phase('preparing');
      const host = await openEvening(target, fleet, common, {
        label: 'soak',
        people: flags.viewers,
        clocks: true,
        pays: 0.5,
        payWithinMs: 3_000,
      });
      await joinEvenly(run, host, flags.viewers, flags.joinRate, JOIN_WAIT_MS);
      steady = chronicle.phase('soaking', { fromMs: fleet.secondAfter(0), forMs, measured: true });
      host.talk(steady.fromMs, syntheticChat(common.seed, flags.chat, forMs));
      host.command({ do: 'hearts', atMs: steady.fromMs, perSecond: Math.max(1, flags.hearts), forMs });
      await Promise.all([sales(host, fleet, flags, steady), churn(host, fleet, flags, steady), watch.during(steady)]);
      chronicle.phase('settling');
      await fleet.until(fleet.nowMs() + HOLD_MS / 5);
      ended = await host.end(ZERO_SPREAD_MS);
    });
    const delivery = chronicle.latency('delivery');
    const p99s: Point[] = secondsOf(fleet, steady, 'delivery');
    const latencyRule = { unit: 'ms', pick: middle, allowedPerHour: flags.latencyGrowth, warmUpMs: WARM_UP_MS };
    const lines: Watched[] = [...watch.lines(flags), { name: 'chat delivery p99', points: p99s, rule: latencyRule }];
    const judged = lines.map((line) => ({ ...line, ...checkGrowth(line.points, line.rule) }));
    const result = chronicle.finish({
      figures: judged.flatMap(({ name, rule, growth }): Figure[] => {
        if (growth === null) return [];
        const about = `slope of a line through ${growth.windows} windows, ${sayGrowth(growth, rule.unit)}`;
        return [{ name: `${name} growth`, unit: `${rule.unit}/h`, better: 'lower', runs: [growth.perHour], about }];
      }),
      checks: [
        ...((ended as Ended | null)?.checks ?? []),
        // What cannot be told is no promise kept: it stands in the notes instead.
        ...judged.flatMap(({ name, verdict, detail }): Check[] =>
          verdict === 'inconclusive' ? [] : [{ name: `no growth: ${name}`, ok: verdict === 'steady', detail }],
        ),
      ],
      levels: commonLevels(common, delivery),
      headline: delivery,
      notes: unjudged(judged),
    });
    return { ...result, series: [...result.series, ...watch.series(chronicle.originMs)] };
  },
});

async function sales(
  host: Host,
  fleet: Fleet,
  { saleEvery, units, viewers }: Flags,
  { fromMs, toMs }: Stretch,
): Promise<void> {
  for (let n = 0; n < SALES_MAX; n++) {
    const zeroMs = fromMs + SALE_AHEAD_MS + n * saleEvery;
    if (zeroMs + 2_000 > toMs) return;
    await fleet.until(zeroMs - SALE_AHEAD_MS);
    const rest = { withinMs: 1_000, perBuyer: 2, early: 0.02, twice: 0.05, regret: 0.1 };
    await host.sell({
      units,
      opensInMs: SALE_AHEAD_MS,
      durationMs: Math.max(2_000, Math.round(saleEvery * 0.6)),
      holdMs: HOLD_MS,
      buyers: viewers,
      ...rest,
    });
  }
}

async function churn(host: Host, fleet: Fleet, { churnEvery }: Flags, { fromMs, toMs }: Stretch): Promise<void> {
  for (let atMs = fromMs + churnEvery; atMs < toMs - 3_000; atMs += churnEvery) {
    await fleet.until(atMs);
    host.command({ do: 'drop', atMs, share: CHURN_SHARE, overMs: 500, awayMs: 0, backMs: 1_500 });
  }
}

/** One note for all that could not be judged for the same reason. */
function unjudged(judged: ReadonlyArray<{ readonly name: string } & GrowthCheck>): string[] {
  const names = new Map<string, string[]>();
  for (const { name, verdict, detail } of judged)
    if (verdict === 'inconclusive') names.set(detail, [...(names.get(detail) ?? []), name]);
  return [...names].map(([detail, of]) => `Growth of ${of.join(', ')}: ${detail}.`);
}

interface Watched {
  readonly name: string;
  readonly points: readonly Point[];
  readonly rule: GrowthRule;
}

/**
 * Once a second: memory and handles of the engine's processes, what Redis says of its own memory;
 * now and then what a full collection leaves.
 */
class Watch {
  readonly #target: Target;
  readonly #fleet: Fleet;
  readonly #collectEveryMs: number;
  readonly #memory = new Map<string, Point[]>();
  readonly #handles = new Map<string, Point[]>();
  readonly #redis: Point[] = [];
  /** V8's heap and what hangs on it outside, after a full collection of the gateway. */
  readonly #kept: Point[] = [];

  constructor(target: Target, fleet: Fleet, { collectEvery }: Flags) {
    this.#target = target;
    this.#fleet = fleet;
    this.#collectEveryMs = collectEvery;
  }

  async during({ fromMs, toMs }: Stretch): Promise<void> {
    let collectAtMs = fromMs;
    while (this.#fleet.nowMs() < toMs) {
      await this.#look();
      if (this.#fleet.nowMs() >= collectAtMs) {
        collectAtMs += this.#collectEveryMs;
        await this.#collect();
      }
      await Promise.race([sleep(LOOK_EVERY_MS), this.#fleet.failed]);
    }
  }

  async #look(): Promise<void> {
    const nowMs = this.#fleet.nowMs();
    for (const { name, memoryBytes } of (await this.#target.read())?.processes ?? [])
      if (name !== 'redis') add(this.#memory, name, [nowMs, memoryBytes / 2 ** 20]);
    const { engine } = this.#target;
    if (engine === null) return;
    for (const [name, pid] of Object.entries(engine.pids)) add(this.#handles, name, [nowMs, handlesOf(pid)]);
    const used = /used_memory:(\d+)/.exec(await engine.redis.client.info('memory'))?.[1];
    if (used !== undefined) this.#redis.push([nowMs, Number(used) / 2 ** 20]);
  }

  async #collect(): Promise<void> {
    const kept = await this.#target.engine?.collectGarbage();
    if (kept) this.#kept.push([this.#fleet.nowMs(), (kept.heapBytes + kept.externalBytes) / 2 ** 20]);
  }

  lines({ memoryGrowth, heapGrowth, redisGrowth }: Flags): Watched[] {
    const memory = { unit: 'MiB', pick: lowest, allowedPerHour: memoryGrowth, warmUpMs: MEMORY_WARM_UP_MS };
    const handles = { unit: 'handles', pick: middle, allowedPerHour: HANDLES_AN_HOUR_MAX, warmUpMs: WARM_UP_MS };
    const own: Watched[] = [
      { name: KEPT, points: this.#kept, rule: { ...memory, allowedPerHour: heapGrowth } },
      {
        name: 'Redis used memory',
        points: this.#redis,
        rule: { ...memory, allowedPerHour: redisGrowth, warmUpMs: WARM_UP_MS },
      },
    ];
    return [
      ...[...this.#memory].map(([name, points]) => ({ name: `${name} memory`, points, rule: memory })),
      ...own.filter(({ points }) => points.length > 0),
      ...[...this.#handles].map(([name, points]) => ({ name: `${name} handles`, points, rule: handles })),
    ];
  }

  /** What the plots of every run do not have already. */
  series(originMs: number): Series[] {
    const all = [
      ...[...this.#handles].map(([name, points]) => ({ name: `${name} handles`, unit: '', points })),
      { name: 'Redis used memory', unit: 'MiB', points: this.#redis },
      { name: KEPT, unit: 'MiB', points: this.#kept },
    ];
    return all.flatMap(({ name, unit, points }): Series[] =>
      points.length === 0
        ? []
        : [{ name, unit, group: 'server', points: points.map(([atMs, value]) => [atMs - originMs, value] as const) }],
    );
  }
}

const KEPT = 'gateway memory after a full collection';
const LOOK_EVERY_MS = 1_000;
/** People come and go, so the count breathes; a leak of one a sale would be far above this. */
const HANDLES_AN_HOUR_MAX = 60;

function add(map: Map<string, Point[]>, name: string, point: Point): void {
  const points = map.get(name) ?? [];
  map.set(name, points);
  points.push(point);
}

/** Open files and sockets of a process; NaN where /proc does not say. */
function handlesOf(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return Number.NaN;
  }
}

/** p99 of each second of the stretch. */
function secondsOf({ samples }: Fleet, { fromMs, toMs }: Stretch, name: string): Point[] {
  const points: Point[] = [];
  for (let atMs = fromMs; atMs < toMs; atMs += 1_000) {
    const latency = latencyOf(samplesWithin(samples, { fromMs: atMs, toMs: atMs + 1_000 }), name);
    if (latency !== undefined) points.push([atMs + 500, latency.p99Ms]);
  }
  return points;
}
