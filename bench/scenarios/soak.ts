/** An evening that does not end: the same load for a long time, watched for what grows: memory, handles, Redis, latency. */
import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { latencyOf, type Stretch, samplesWithin } from '../generator/assemble.ts';
import type { Fleet } from '../generator/contract.ts';
import { inventedChat } from '../night/chat.ts';
import { type Growth, grows, growthOf, lowest, middle, type Point } from '../night/growth.ts';
import { type Ended, type Host, openNight } from '../night/host.ts';
import type { BenchResult, Check, Figure, Series } from '../report/result.ts';
import { commonLevels } from '../verdict/levels.ts';
import { Chronicle } from './chronicle.ts';
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
  redisGrowth: count(256, 'MiB an hour Redis may grow by (the ledger is kept: it grows with what is sold)', { min: 0, max: 1_000_000 }),
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

export const soak = defineScenario({
  name: 'soak',
  about: 'the same load for long (--seconds 3600): what grows, and how sure that is',
  flags: FLAGS,
  defaults: { seconds: 90 },
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const target = await context.openTarget();
    const fleet = await context.openFleet();
    const chronicle = new Chronicle(context, fleet, target);
    const forMs = common.seconds * 1000;
    const watch = new Watch(target, fleet);
    let ended: Ended | null = null;
    let steady: Stretch = { fromMs: 0, toMs: 0 };
    await chronicle.unlessStopped(async () => {
      chronicle.phase('preparing');
      const host = await openNight(target, fleet, common, { label: 'soak', people: flags.viewers, clocks: true, pays: 0.5, payWithinMs: 3_000 });
      const fromMs = fleet.secondAfter(300);
      const joinMs = (flags.viewers * 1000) / flags.joinRate;
      chronicle.phase('joining', { fromMs, forMs: joinMs });
      host.order({ do: 'join', atMs: fromMs, from: 0, to: flags.viewers, overMs: joinMs, shape: 'even' });
      await fleet.until(fromMs + joinMs);
      await fleet.when('everybody to be let in', () => chronicle.gauge('viewers') >= flags.viewers, JOIN_WAIT_MS);
      steady = chronicle.phase('soaking', { fromMs: fleet.secondAfter(0), forMs, measured: true });
      host.talk(steady.fromMs, inventedChat(common.seed, flags.chat, forMs));
      host.order({ do: 'hearts', atMs: steady.fromMs, perSecond: Math.max(1, flags.hearts), forMs });
      await Promise.all([sales(host, fleet, flags, steady), churn(host, fleet, flags, steady), watch.during(steady)]);
      chronicle.phase('settling');
      await fleet.until(fleet.nowMs() + HOLD_MS / 5);
      ended = await host.end(ZERO_SPREAD_MS);
    });
    const delivery = chronicle.latency('delivery');
    const p99s: Point[] = secondsOf(fleet, steady, 'delivery');
    const lines = [...watch.lines(flags), { name: 'chat delivery p99', unit: 'ms', points: p99s, pick: middle, allowed: flags.latencyGrowth }];
    const result = chronicle.finish({
      figures: lines.flatMap(({ name, unit, points, pick }): Figure[] => {
        const growth = growthOf(points, pick);
        return growth === null
          ? []
          : [
              {
                name: `${name} growth`,
                unit: `${unit}/h`,
                better: 'lower',
                runs: [growth.perHour],
                about: `slope of a line through ${growth.windows} windows, ${say(growth, unit)}`,
              },
            ];
      }),
      checks: [...((ended as Ended | null)?.checks ?? []), ...lines.map(judge)],
      levels: commonLevels(common, delivery),
      headline: delivery,
    });
    return { ...result, series: [...result.series, ...watch.series(chronicle.originMs)] };
  },
});

async function sales(host: Host, fleet: Fleet, { saleEvery, units, viewers }: Flags, { fromMs, toMs }: Stretch): Promise<void> {
  for (let n = 0; n < SALES_MAX; n++) {
    const zeroMs = fromMs + SALE_AHEAD_MS + n * saleEvery;
    if (zeroMs + 2_000 > toMs) return;
    await fleet.until(zeroMs - SALE_AHEAD_MS);
    const rest = { withinMs: 1_000, perBuyer: 2, early: 0.02, twice: 0.05, regret: 0.1 };
    await host.sell({ units, opensInMs: SALE_AHEAD_MS, durationMs: Math.max(2_000, Math.round(saleEvery * 0.6)), holdMs: HOLD_MS, buyers: viewers, ...rest });
  }
}

async function churn(host: Host, fleet: Fleet, { churnEvery }: Flags, { fromMs, toMs }: Stretch): Promise<void> {
  for (let atMs = fromMs + churnEvery; atMs < toMs - 3_000; atMs += churnEvery) {
    await fleet.until(atMs);
    host.order({ do: 'drop', atMs, share: CHURN_SHARE, overMs: 500, awayMs: 0, backMs: 1_500 });
  }
}

interface Watched {
  readonly name: string;
  readonly unit: string;
  readonly points: Point[];
  readonly pick: (values: readonly number[]) => number;
  /** A hour. */
  readonly allowed: number;
}

/** Once a second: memory and handles of the engine's processes, what Redis says of its own memory. */
class Watch {
  readonly #target: Target;
  readonly #fleet: Fleet;
  readonly #memory = new Map<string, Point[]>();
  readonly #handles = new Map<string, Point[]>();
  readonly #redis: Point[] = [];

  constructor(target: Target, fleet: Fleet) {
    this.#target = target;
    this.#fleet = fleet;
  }

  async during({ toMs }: Stretch): Promise<void> {
    while (this.#fleet.nowMs() < toMs) {
      await this.#look();
      await Promise.race([sleep(1_000), this.#fleet.failed]);
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

  lines({ memoryGrowth, redisGrowth }: Flags): Watched[] {
    return [
      ...[...this.#memory].map(([name, points]) => ({ name: `${name} memory`, unit: 'MiB', points, pick: lowest, allowed: memoryGrowth })),
      ...[...this.#handles].map(([name, points]) => ({ name: `${name} handles`, unit: 'handles', points, pick: middle, allowed: HANDLES_AN_HOUR_MAX })),
      ...(this.#redis.length === 0 ? [] : [{ name: 'Redis used memory', unit: 'MiB', points: this.#redis, pick: lowest, allowed: redisGrowth }]),
    ];
  }

  /** What the plots of every run do not have already. */
  series(originMs: number): Series[] {
    const line = (name: string, unit: string, points: readonly Point[]): Series => ({
      name,
      unit,
      group: 'server',
      points: points.map(([atMs, value]) => [atMs - originMs, value] as const),
    });
    const handles = [...this.#handles].map(([name, points]) => line(`${name} handles`, '', points));
    return this.#redis.length === 0 ? handles : [...handles, line('Redis used memory', 'MiB', this.#redis)];
  }
}

/** People come and go, so the count breathes; a leak of one a sale would be far above this. */
const HANDLES_AN_HOUR_MAX = 60;

function judge({ name, unit, points, pick, allowed }: Watched): Check {
  const growth = growthOf(points, pick);
  const title = `no growth: ${name}`;
  if (growth === null) return { name: title, ok: true, detail: 'the run was too short to tell' };
  const unsure = growth.plusMinus > allowed ? `; a run of this length cannot see less than ${rounded(growth.plusMinus)} ${unit}/h` : '';
  return { name: title, ok: !grows(growth, allowed), detail: `${say(growth, unit)}, allowed ${allowed} ${unit}/h${unsure}` };
}

const say = ({ perHour, plusMinus, level }: Growth, unit: string): string =>
  `${perHour >= 0 ? '+' : ''}${rounded(perHour)} +-${rounded(plusMinus)} ${unit}/h at ${rounded(level)} ${unit}`;
const rounded = (value: number): string => (Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(1));

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
