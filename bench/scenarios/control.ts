/** The HTTP API under the load of hosts and back offices: at a rate, and flat out. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type HttpLoadResult, type HttpSecond, runHttpLoad } from '../control/http-load.ts';
import { confirmKey, orderRefOf, type RoutesOptions, routesOf } from '../control/routes.ts';
import { type Host, openEvening } from '../evening/host.ts';
import { CPU_SHARE_MAX, LOOP_DELAY_P99_MS_MAX } from '../generator/assemble.ts';
import type { Fleet } from '../generator/contract.ts';
import { watchLoop } from '../launch/cpu.ts';
import { API_KEY } from '../launch/engine.ts';
import type { BenchResult, Check, Figure, GeneratorHealth, Phase, Series } from '../report/result.ts';
import { BackOffice } from '../users/back-office.ts';
import { checkOf } from '../verdict/check.ts';
import { commonLevels, share, shareLevel } from '../verdict/levels.ts';
import { figuresOver } from './figures.ts';
import { count, duration, optionalCount } from './flags.ts';
import { openRoom } from './room.ts';
import { defineScenario, type ScenarioContext } from './scenario.ts';
import { type Target, usedBetween } from './target.ts';

const RATE = 'requests per second of the phase at a rate (400; with --url 80, the limit per key is 100)';
const FLAGS = {
  connections: count(16, 'HTTP connections', { max: 10_000 }),
  rate: optionalCount(RATE, { max: 1_000_000 }),
  buyers: count(40, 'reservations to look up and confirm', { min: 0, max: 5_000 }),
  settle: duration(500, 'pause between the phases'),
  successShare: share(0.999, 'of the requests must succeed'),
};

const RATE_OWN = 400;
const RATE_REMOTE = 80;
/** The engine accepts 6,000 requests per minute and key: with this many keys that is no limit. */
const KEYS = 400;
const DRAFT_SHOWS = 10;
const NO_PRESSES = { withinMs: 0, perBuyer: 2, early: 0, twice: 0, regret: 0 } as const;
const LONG_SALE = { durationMs: 3_600_000, holdMs: 900_000 } as const;
const JOIN_EVERY_MS = 5;

type Mode = 'at a rate' | 'flat out';
type Second = HttpSecond & { readonly mode: Mode };
type Part = { readonly mode: Mode; readonly phase: Phase; readonly load: HttpLoadResult };

export const control = defineScenario({
  name: 'control',
  about: 'the HTTP API through autocannon: reads, orders and plans at a rate, then flat out',
  flags: FLAGS,
  defaults: { seconds: 6 },
  async run(context): Promise<BenchResult> {
    const { flags, common, signal } = context;
    const keys = Array.from({ length: KEYS }, (_, i) => `bench-key-bench-key-bench-load-${String(i).padStart(4, '0')}`);
    const named = keys.map((key, i) => `load-${i}:${key}`);
    const target = await context.openTarget({ env: { API_KEYS: [`bench:${API_KEY}`, ...named].join(',') } });
    const apiKeys = target.own ? keys : [common.apiKey ?? ''];
    const url = target.engine?.control?.url ?? common.control ?? '';
    const { office } = target;
    if (office === null) throw new Error('this scenario needs the control API');
    const originMs = performance.now();
    const officeOf = (n: number): BackOffice => new BackOffice(url, apiKeys[n % apiKeys.length] ?? '');
    const routes = await prepare(context, target, office, officeOf);
    const seconds: Second[] = [];
    const parts: Part[] = [];
    const rate = flags.rate ?? (target.own ? RATE_OWN : RATE_REMOTE);
    const modes: readonly Mode[] = target.own ? ['at a rate', 'flat out'] : ['at a rate'];
    const { connections } = flags;
    const { seconds: forSeconds, seed } = common;
    const options = { url, apiKeys, routes: routesOf(routes), connections, seconds: forSeconds, seed, signal };
    const loop = watchLoop();
    const cpu = process.cpuUsage();
    const before = await target.read();
    for (const mode of Array.from({ length: common.rounds }, () => modes).flat()) {
      if (signal.aborted) break;
      await sleep(flags.settle);
      context.display.phase(mode);
      const fromMs = performance.now() - originMs;
      const onSecond = (second: HttpSecond) => seconds.push({ ...second, atMs: fromMs + second.atMs, mode });
      const load = await runHttpLoad({ ...options, perSecond: mode === 'flat out' ? null : rate, onSecond });
      parts.push({ mode, load, phase: { name: mode, fromMs, toMs: performance.now() - originMs } });
    }
    const server = usedBetween(before, await target.read());
    const { user, system } = process.cpuUsage(cpu);
    const generator = healthOf(parts, (user + system) / 1e6, loop.stop().p99Ms);
    const [rated] = parts.filter(({ mode }) => mode === 'at a rate');
    const headline = rated?.load.all ?? undefined;
    const responses = sumOf(parts, ({ responses }) => responses);
    const failed = sumOf(parts, ({ refusals }) => [...refusals.values()].reduce((sum, times) => sum + times, 0));
    const success = shareLevel('successShare', flags.successShare, responses - failed, responses);
    const levels = [...commonLevels(common, headline), ...success];
    const checks = [await booksCheck(office, routes.show)];
    const isOk = [...levels, ...checks].every(({ ok }) => ok) && generator.bottlenecks.length === 0 && !signal.aborted;
    return {
      ...context.head,
      seconds: (performance.now() - originMs) / 1000,
      target: { url, own: target.own, ...(target.redis === undefined ? {} : { redis: target.redis }) },
      phases: parts.map(({ phase }) => phase),
      series: seriesOf(seconds),
      latencies: [...(headline === undefined ? [] : [headline]), ...(rated?.load.latencies ?? [])],
      figures: figuresOf(parts),
      refusals: refusalsOf(parts),
      generator,
      server,
      verdict: { ok: isOk, checks, levels },
      notes: [
        `Latencies are from the phase at a rate (${rate} requests per second over ${connections} connections), ` +
          'corrected for coordinated omission.',
        ...(target.own ? [] : ['An engine accepts 100 requests per second and API key: no flat-out phase.']),
      ],
    };
  },
});

/** Prepares a show with confirmed orders, and empty shows in which sales can be planned. */
async function prepare(
  context: ScenarioContext<typeof FLAGS>,
  target: Target,
  office: BackOffice,
  officeOf: (n: number) => BackOffice,
): Promise<RoutesOptions> {
  const { flags, common } = context;
  const fleet = await context.openFleet({ processes: 1, remote: 0 });
  const host = await openEvening(target, fleet, common, { label: 'control', users: flags.buyers, clocks: true });
  const { sale, orders } = await sellSome(host, fleet, officeOf, flags.buyers);
  await fleet.close();
  const openDraft = async (): Promise<string> => {
    const show = await openRoom(target, 'drafts');
    await office.putProduct(show, { id: 'tee', brand: 'brand', title: 'Tee', skus: [{ sku: 'M' }] });
    return show;
  };
  const drafts = await Promise.all(Array.from({ length: DRAFT_SHOWS }, openDraft));
  return { show: host.show, sale, orders, drafts };
}

async function sellSome(host: Host, fleet: Fleet, officeOf: (n: number) => BackOffice, buyers: number) {
  const joinMs = buyers * JOIN_EVERY_MS;
  if (buyers > 0) host.command({ do: 'join', atMs: fleet.nowMs(), from: 0, to: buyers, overMs: joinMs, shape: 'even' });
  const opensInMs = buyers === 0 ? 0 : 1_000 + joinMs;
  const units = Math.max(4, buyers * 2);
  const { sale, openingMs } = await host.sell({ units, opensInMs, buyers, ...LONG_SALE, ...NO_PRESSES });
  const orders: Array<{ reservation: string; amount: number }> = [];
  if (buyers === 0) return { sale, orders };
  await fleet.until(openingMs + 1_500);
  const { evidence } = await host.end(Number.POSITIVE_INFINITY);
  for (const reservation of new Set(evidence.grants.map((grant) => grant.reservation))) {
    const office = officeOf(orders.length);
    const { amount } = await office.getReservation(host.show, reservation);
    const order = { orderRef: orderRefOf(reservation), amount };
    await office.confirm(host.show, reservation, order, confirmKey(reservation));
    orders.push({ reservation, amount });
  }
  return { sale, orders };
}

const sumOf = (parts: readonly Part[], of: (load: HttpLoadResult) => number): number =>
  parts.reduce((sum, { load }) => sum + of(load), 0);

function healthOf(parts: readonly Part[], cpuSeconds: number, loopDelayP99Ms: number): GeneratorHealth {
  const loadSeconds = sumOf(parts, ({ seconds }) => seconds);
  const busiestShare = cpuSeconds / Math.max(0.001, loadSeconds);
  const late = `autocannon's event loop was ${loopDelayP99Ms.toFixed(1)} ms late at the 99th percentile`;
  const bottlenecks = [
    ...(busiestShare > CPU_SHARE_MAX ? [`autocannon used ${Math.round(busiestShare * 100)} % of a core`] : []),
    ...(loopDelayP99Ms > LOOP_DELAY_P99_MS_MAX ? [late] : []),
  ];
  const sends = sumOf(parts, ({ requests }) => requests);
  return { processes: 1, hosts: 1, cpuSeconds, busiestShare, loopDelayP99Ms, lateSends: 0, sends, bottlenecks };
}

function seriesOf(seconds: readonly Second[]): Series[] {
  const p99 = (mode: Mode): Series => {
    const own = seconds.filter((second) => second.mode === mode);
    const points = own.flatMap(({ atMs, latency }) => (latency === null ? [] : [[atMs, latency.p99Ms] as const]));
    return { name: `request p99, ${mode}`, unit: 'ms', group: 'latency', points };
  };
  const points = seconds.map(({ atMs, responses }) => [atMs, responses] as const);
  const responses: Series = { name: 'responses', unit: '/s', group: 'throughput', points };
  return [responses, p99('at a rate'), p99('flat out')].filter((series) => series.points.length > 0);
}

function figuresOf(parts: readonly Part[]): Figure[] {
  const loads = (mode: Mode) => figuresOver(parts.filter((part) => part.mode === mode).map(({ load }) => load));
  const [rated, flat] = [loads('at a rate'), loads('flat out')];
  const perSecond = ({ responses, seconds }: HttpLoadResult): number => responses / seconds;
  return [
    rated.lower('p50 at the rate', 'ms', ({ all }) => all?.p50Ms, 'all routes'),
    rated.lower('p99 at the rate', 'ms', ({ all }) => all?.p99Ms, 'all routes'),
    rated.neither('responses at the rate', '/s', perSecond, 'equals the rate unless the engine is too slow'),
    flat.higher('responses flat out', '/s', perSecond, 'every connection sends its next request at once'),
    flat.lower('p99 flat out', 'ms', ({ all }) => all?.p99Ms, 'all routes; grows with the connections'),
  ].filter(({ runs }) => runs.length > 0);
}

function refusalsOf(parts: readonly Part[]): BenchResult['refusals'] {
  const codes = new Map<string, number>();
  for (const { load } of parts)
    for (const [code, times] of load.refusals) codes.set(code, (codes.get(code) ?? 0) + times);
  return [...codes].map(([code, times]) => ({ code, count: times })).sort((a, b) => b.count - a.count);
}

async function booksCheck(office: BackOffice, show: string): Promise<Check> {
  const { violations, reservations } = await office.verify(show);
  const right = `${reservations} reservations, each confirmed many times with one key`;
  return checkOf('the ledger replays to the books', 'I1 I2 I3 I4', violations, right);
}
