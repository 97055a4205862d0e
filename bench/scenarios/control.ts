/**
 * The HTTP API under the load of hosts and back offices, through autocannon: at a rate, and as fast
 * as it goes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type HttpLoadResult, type HttpSecond, runHttpLoad } from '../control/http-load.ts';
import { confirmKey, nightlyRoutes, ORDER_REF } from '../control/routes.ts';
import { openEvening } from '../evening/host.ts';
import { CPU_SHARE_MAX, LOOP_DELAY_P99_MS_MAX } from '../generator/assemble.ts';
import type { Fleet } from '../generator/contract.ts';
import { watchLoop } from '../launch/cpu.ts';
import { API_KEY } from '../launch/engine.ts';
import type { BenchResult, Check, Figure, GeneratorHealth, Phase, Series } from '../report/result.ts';
import { BackOffice } from '../users/back-office.ts';
import { commonLevels, share, shareLevel } from '../verdict/levels.ts';
import { figure } from './figures.ts';
import { count, duration, optionalCount } from './flags.ts';
import { openRoom } from './room.ts';
import { defineScenario, type ScenarioContext } from './scenario.ts';
import { type Target, usedBetween } from './target.ts';

const FLAGS = {
  connections: count(16, 'HTTP connections', { max: 10_000 }),
  rate: optionalCount(
    'requests a second of the phase at a rate (400; 80 of an engine that is not our own, which answers 100 a second and API key)',
    {
      max: 1_000_000,
    },
  ),
  buyers: count(40, 'reservations to look up and confirm', { min: 0, max: 5_000 }),
  settle: duration(500, 'pause between the phases'),
  answeredShare: share(0.999, 'of the requests must be answered without an error'),
};

const RATE_OWN = 400;
const RATE_FOREIGN = 80;
/** The engine answers 6,000 requests a minute and key: with so many keys that is no limit. */
const KEYS = 400;
const DRAFT_SHOWS = 10;

interface Part {
  readonly phase: Phase;
  readonly flatOut: boolean;
  readonly load: HttpLoadResult;
}

export const control = defineScenario({
  name: 'control',
  about: 'the HTTP API through autocannon: a mix of looks, orders and plans at a rate, then as fast as it goes',
  flags: FLAGS,
  defaults: { seconds: 6 },
  async run(context): Promise<BenchResult> {
    const { flags, common, signal } = context;
    const keys = Array.from({ length: KEYS }, (_, i) => `bench-key-bench-key-bench-load-${String(i).padStart(4, '0')}`);
    const named = keys.map((key, i) => `load-${i}:${key}`);
    const target = await context.openTarget({ env: { API_KEYS: [`bench:${API_KEY}`, ...named].join(',') } });
    const apiKeys = target.own ? keys : [common.apiKey ?? ''];
    const url = target.engine?.control?.url ?? common.control ?? '';
    const originMs = performance.now();
    const stage = await setStage(context, target, (n) => new BackOffice(url, apiKeys[n % apiKeys.length] ?? ''));
    const seconds: Array<HttpSecond & { readonly flatOut: boolean }> = [];
    const parts: Part[] = [];
    const loop = watchLoop();
    const cpu = process.cpuUsage();
    const before = await target.read();
    for (let round = 1; round <= common.rounds && !signal.aborted; round++) {
      for (const flatOut of target.own ? [false, true] : [false]) {
        if (signal.aborted) break;
        await sleep(flags.settle);
        const name = flatOut ? 'flat out' : 'at a rate';
        context.display.phase(name);
        const fromMs = performance.now() - originMs;
        const perSecond = flatOut ? null : (flags.rate ?? (target.own ? RATE_OWN : RATE_FOREIGN));
        const load = await runHttpLoad({
          url,
          apiKeys,
          routes: nightlyRoutes(stage),
          connections: flags.connections,
          perSecond,
          seconds: common.seconds,
          seed: common.seed,
          signal,
          onSecond: (second) => seconds.push({ ...second, atMs: fromMs + second.atMs, flatOut }),
        });
        parts.push({ flatOut, load, phase: { name, fromMs, toMs: performance.now() - originMs } });
      }
    }
    const used = usedBetween(before, await target.read());
    const { user, system } = process.cpuUsage(cpu);
    const activeSeconds = parts.reduce((sum, { load }) => sum + load.seconds, 0);
    const generator = healthOf(parts, (user + system) / 1e6, activeSeconds, loop.stop().p99Ms);
    const rated = parts.filter(({ flatOut }) => !flatOut);
    const headline = rated[0]?.load.all ?? undefined;
    const answered = parts.reduce((sum, { load }) => sum + load.answers, 0);
    const refused = parts.reduce((sum, { load }) => sum + total(load.refusals), 0);
    const levels = [
      ...commonLevels(common, headline),
      ...shareLevel('answeredShare', flags.answeredShare, answered - refused, answered),
    ];
    const checks = await booksRight(target.office, stage.show);
    return {
      ...context.head,
      seconds: (performance.now() - originMs) / 1000,
      target: { url, own: target.own, ...(target.redis === undefined ? {} : { redis: target.redis }) },
      phases: parts.map(({ phase }) => phase),
      series: seriesOf(seconds),
      latencies:
        rated[0] === undefined ? [] : [...(headline === undefined ? [] : [headline]), ...rated[0].load.latencies],
      figures: figuresOf(parts),
      refusals: refusalsOf(parts),
      generator,
      server: used,
      verdict: {
        ok: [...levels, ...checks].every(({ ok }) => ok) && generator.bottlenecks.length === 0 && !signal.aborted,
        checks,
        levels,
      },
      notes: [
        `Latencies are those of the phase at a rate (${flags.rate ?? (target.own ? RATE_OWN : RATE_FOREIGN)} requests a second over ${flags.connections} connections), corrected for coordinated omission.`,
        ...(target.own
          ? []
          : ['An engine answers 100 requests a second and API key, so this one was not run flat out.']),
      ],
    };
  },
});

/** A show with a sale that sold, and empty shows to plan sales in. */
async function setStage(context: ScenarioContext<typeof FLAGS>, target: Target, officeOf: (n: number) => BackOffice) {
  const { flags, common } = context;
  const { office } = target;
  if (office === null) throw new Error('the control API is what this is about');
  const fleet = await context.openFleet({ processes: 1, remote: 0 });
  const host = await openEvening(target, fleet, common, { label: 'control', people: flags.buyers, clocks: true });
  const orders = flags.buyers === 0 ? [] : await sellSome(host, fleet, officeOf, flags.buyers);
  const sale =
    orders[0]?.sale ??
    (await host.sell({ units: 4, opensInMs: 0, durationMs: 3_600_000, holdMs: 900_000, ...NOBODY })).sale;
  await fleet.close();
  const drafts = await Promise.all(Array.from({ length: DRAFT_SHOWS }, () => draftShow(target, office)));
  return { show: host.show, sale, orders, drafts };
}

const NOBODY = { buyers: 0, withinMs: 0, perBuyer: 2, early: 0, twice: 0, regret: 0 } as const;
const JOIN_RATE_MS = 5;

async function sellSome(
  host: Awaited<ReturnType<typeof openEvening>>,
  fleet: Fleet,
  officeOf: (n: number) => BackOffice,
  buyers: number,
) {
  host.command({ do: 'join', atMs: fleet.nowMs(), from: 0, to: buyers, overMs: buyers * JOIN_RATE_MS, shape: 'even' });
  const { sale, zeroMs } = await host.sell({
    units: buyers * 2,
    opensInMs: 1_000 + buyers * JOIN_RATE_MS,
    durationMs: 3_600_000,
    holdMs: 900_000,
    ...NOBODY,
    buyers,
  });
  await fleet.until(zeroMs + 1_500);
  const { evidence } = await host.end(Number.POSITIVE_INFINITY);
  const reservations = [...new Set(evidence.grants.map(({ reservation }) => reservation))];
  const orders: Array<{ sale: string; reservation: string; amount: number }> = [];
  for (const [n, reservation] of reservations.entries()) {
    const { amount } = await officeOf(n).getReservation(host.show, reservation);
    await officeOf(n).confirm(host.show, reservation, { orderRef: ORDER_REF, amount }, confirmKey(reservation));
    orders.push({ sale, reservation, amount });
  }
  return orders;
}

async function draftShow(target: Target, office: BackOffice): Promise<string> {
  const show = await openRoom(target, 'drafts');
  await office.putProduct(show, { id: 'tee', brand: 'brand', title: 'Tee', skus: [{ sku: 'M' }] });
  return show;
}

function healthOf(
  parts: readonly Part[],
  cpuSeconds: number,
  seconds: number,
  loopDelayP99Ms: number,
): GeneratorHealth {
  const busiestShare = cpuSeconds / Math.max(0.001, seconds);
  return {
    processes: 1,
    hosts: 1,
    cpuSeconds,
    busiestShare,
    loopDelayP99Ms,
    lateSends: 0,
    sends: parts.reduce((sum, { load }) => sum + load.asked, 0),
    bottlenecks: [
      ...(busiestShare > CPU_SHARE_MAX ? [`autocannon used ${Math.round(busiestShare * 100)} % of a core`] : []),
      ...(loopDelayP99Ms > LOOP_DELAY_P99_MS_MAX
        ? [`autocannon's event loop was ${loopDelayP99Ms.toFixed(1)} ms late at the 99th percentile`]
        : []),
    ],
  };
}

function seriesOf(seconds: ReadonlyArray<HttpSecond & { readonly flatOut: boolean }>): Series[] {
  const p99 = (flatOut: boolean): Series => ({
    name: `request p99, ${flatOut ? 'flat out' : 'at a rate'}`,
    unit: 'ms',
    group: 'latency',
    points: seconds.flatMap((second) =>
      second.flatOut === flatOut && second.latency !== null ? [[second.atMs, second.latency.p99Ms] as const] : [],
    ),
  });
  return [
    {
      name: 'answers',
      unit: '/s',
      group: 'throughput' as const,
      points: seconds.map(({ atMs, answers }) => [atMs, answers] as const),
    },
    p99(false),
    p99(true),
  ].filter(({ points }) => points.length > 0);
}

function figuresOf(parts: readonly Part[]): Figure[] {
  const rated = parts.filter(({ flatOut }) => !flatOut);
  const flat = parts.filter(({ flatOut }) => flatOut);
  const runs = (list: readonly Part[], of: (load: HttpLoadResult) => number | undefined): number[] =>
    list.map(({ load }) => of(load) ?? Number.NaN);
  const all = [
    figure(
      'p50 at the rate',
      'ms',
      'lower',
      runs(rated, ({ all: latency }) => latency?.p50Ms),
      'all routes',
    ),
    figure(
      'p99 at the rate',
      'ms',
      'lower',
      runs(rated, ({ all: latency }) => latency?.p99Ms),
      'all routes',
    ),
    figure(
      'answers at the rate',
      '/s',
      'neither',
      runs(rated, ({ answers, seconds }) => answers / seconds),
      'what was asked for, when it could be answered',
    ),
    figure(
      'answers flat out',
      '/s',
      'higher',
      runs(flat, ({ answers, seconds }) => answers / seconds),
      'every connection asks again as soon as it is answered',
    ),
    figure(
      'p99 flat out',
      'ms',
      'lower',
      runs(flat, ({ all: latency }) => latency?.p99Ms),
      'all routes, from asked to answered: grows with the connections',
    ),
  ];
  return all.filter(({ runs: values }) => values.length > 0);
}

function refusalsOf(parts: readonly Part[]): BenchResult['refusals'] {
  const codes = new Map<string, number>();
  for (const { load } of parts)
    for (const [code, times] of load.refusals) codes.set(code, (codes.get(code) ?? 0) + times);
  return [...codes].map(([code, times]) => ({ code, count: times })).sort((a, b) => b.count - a.count);
}

async function booksRight(office: BackOffice | null, show: string): Promise<Check[]> {
  if (office === null) return [];
  const { violations, reservations } = await office.verify(show);
  const orders = `${reservations} reservations, each confirmed many times with its one key`;
  return [
    {
      name: 'the ledger replays to the books',
      promise: 'I1 I2 I3 I4',
      ok: violations.length === 0,
      detail: violations.length === 0 ? orders : violations.slice(0, 3).join('; '),
    },
  ];
}

const total = (counts: ReadonlyMap<string, number>): number =>
  [...counts.values()].reduce((sum, times) => sum + times, 0);
