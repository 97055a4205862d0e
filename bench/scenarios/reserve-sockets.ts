/**
 * The rush over WebSockets: one gateway process, this generator and Redis on one machine. Measures
 * decisions per second in a closed loop (also with a bare server), latency at a fixed rate, the
 * time until many buyers on few units have all replies, and refusals per second that need no Redis
 * call.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from '../generator/median.ts';
import { startBareReserve } from '../launch/bare-reserve.ts';
import { cpuSecondsOf, watchLoop } from '../launch/cpu.ts';
import { type BenchEngine, startBenchEngine } from '../launch/engine.ts';
import { createHotSale, type HotSale } from '../launch/hot-sale.ts';
import type { AppendMode, RedisServer } from '../launch/redis-server.ts';
import type { Figure } from '../report/result.ts';
import { type HotBuyer, HotSaleBuyers, type PressTarget } from '../users/hot-sale-buyers.ts';
import { whole } from '../verdict/check.ts';
import { atLeast, atMost } from '../verdict/levels.ts';
import { figuresOver, runFigures } from './figures.ts';
import { count } from './flags.ts';
import { defineLocal, inMs, perSecond, times } from './local-load.ts';
import { verifyBooks } from './reserve-store.ts';

/** HotSaleBuyers of the closed loop, each with a few presses, as in a flash sale with a limit. */
const SATURATING_BUYERS = 10_000;
const PRESSES_PER_BUYER = 4;
/** A small and a large room at the same rate: broadcasts to all viewers delay replies. */
const OPEN_LOOP_BUYERS = [500, 2_000] as const;
const OFFERED_PER_SECOND = 5_000;
const RUSH_UNITS = 500;
const REFUSED_BUYERS = 5_000;
/** A press that leaves later was delayed by the generator; its latency includes the delay. */
const LATE_MS = 5;
/** Not measured: both sides run uncompiled code. */
const WARM_UP_SECONDS = 2;
/** Several presses per write when refusals are counted: the generator is no bottleneck then. */
const PRESSES_PER_WRITE = 5;
const REFUSALS_IN_FLIGHT_MAX = 20_000;
const POLL_MS = { saturated: 2, rate: 10, rush: 1, refusals: 5 } as const;

const DECISIONS_MIN = 25_000;
/** 25,000 decisions/s where the bare server makes 40,000: independent of the machine. */
const OF_BARE_SERVER_MIN = 0.63;
const P99_MS_MAX = 15;
const RUSH_MS_MAX = 1_000;
const REFUSALS_MIN = 100_000;

export const reserveSockets = defineLocal({
  name: 'reserve-sockets',
  about: 'the rush over WebSockets: decisions/s, latency at 5,000/s, all buyers on few units, refusals without Redis',
  flags: { buyers: count(10_000, 'buyers who press at the same moment on 500 units', { max: 20_000 }) },
  defaults: { rounds: 3, seconds: 8 },
  inAll: true,
  async measure({ flags, common: { append, seconds, rounds } }) {
    const engine = await startBenchEngine({ append });
    try {
      // Latency first: the garbage of tens of thousands of connections would distort it.
      const loops: Awaited<ReturnType<typeof offer>>[] = [];
      for (const buyers of OPEN_LOOP_BUYERS) loops.push(await offer(engine, buyers, seconds));
      const pairs = await saturate(engine, append, rounds);
      const rushMs = await rushOn(engine, flags.buyers);
      const refusals = await refuse(engine, seconds);
      const [engines, bares] = [pairs.map((pair) => pair.engine), pairs.map(({ bare }) => bare)];
      const ratioOf = (pair: (typeof pairs)[number]): number => pair.engine.perSecond / pair.bare.perSecond;
      const loopP99 = (runs: readonly Saturation[]): string => inMs(Math.max(...runs.map((run) => run.loopP99Ms)));
      const { higher, lower } = runFigures;
      const [ofEngine, ofBare] = [figuresOver(engines), figuresOver(bares)];
      const nameOf = (buyers: number): string => `at ${perSecond(OFFERED_PER_SECOND)} from ${whole(buyers)}`;
      const since = 'open loop, from the moment a press was due';
      const delays = `${loopP99(engines)} (p99) with the engine, ${loopP99(bares)} with the bare server`;
      const closedLoop = `Closed loop: event loop delay of the generator ${delays}.`;
      const lateNote = ({ buyers, lateSends }: (typeof loops)[number]): string =>
        `${whole(lateSends)} presses of ${whole(buyers)} buyers left late; their latency includes the delay.`;
      return {
        figures: [
          ofEngine.higher('decisions (closed loop)', '/s', (run) => run.perSecond, 'a press after each reply'),
          ofBare.neither('decisions, bare server', '/s', (run) => run.perSecond, 'the same on the simplest server'),
          figuresOver(pairs).higher('engine against the bare server', 'x', ratioOf, 'ratio of decisions in each round'),
          ...loops.map(({ buyers, p99Ms }) => lower(`p99 ${nameOf(buyers)}`, 'ms', () => p99Ms, since)),
          lower('rush, all replied', 'ms', () => rushMs, `${whole(flags.buyers)} buyers on ${RUSH_UNITS} units`),
          higher('refusals', '/s', () => refusals.perSecond, refusals.code),
          ...cpuFigures('', 'gateway', 'lower', engines),
          ...cpuFigures('bare server: ', 'server', 'neither', bares),
          ...loops.map(({ buyers, p50Ms }) => lower(`p50 ${nameOf(buyers)}`, 'ms', () => p50Ms, since)),
        ],
        levels: [
          atLeast('decisions (closed loop)', DECISIONS_MIN, median(engines.map((run) => run.perSecond)), perSecond),
          atLeast('engine against the bare server', OF_BARE_SERVER_MIN, median(pairs.map(ratioOf)), times),
          // The target is about decisions; the larger room shows the cost of broadcasts.
          atMost('p99 at 5,000/s', P99_MS_MAX, loops[0]?.p99Ms ?? Number.NaN, inMs),
          atMost('rush, all replied', RUSH_MS_MAX, rushMs, inMs),
          atLeast('refusals', REFUSALS_MIN, refusals.perSecond, perSecond),
          atMost('scripts run by refusals', refusals.seconds + 1, refusals.scriptCalls, whole),
        ],
        notes: [closedLoop, ...loops.map(lateNote)],
      };
    } finally {
      await engine.stop();
    }
  },
});

function cpuFigures(of: string, server: string, better: 'lower' | 'neither', runs: readonly Saturation[]): Figure[] {
  const figures = figuresOver(runs);
  return [
    figures[better](`${of}${server} CPU`, 'us', ({ serverMicros }) => serverMicros, 'per decision'),
    figures[better](`${of}Redis CPU`, 'us', ({ redisMicros }) => redisMicros, 'per decision'),
    figures.neither(`${of}generator CPU`, 'us', ({ generatorMicros }) => generatorMicros, 'per decision'),
    figures.neither(`${of}batch`, 'requests', ({ batchSize }) => batchSize, 'per script call'),
  ];
}

/** The engine, or the bare server. */
interface Contender extends PressTarget {
  readonly pid: number;
  readonly redis: RedisServer;
  openSale(sale: Pick<HotSale, 'show' | 'units'> & { perBuyer: number }): Promise<void>;
}

/**
 * Closed loop: every buyer presses again after each reply, up to the limit of the sale. New sale
 * and buyers per round, because no buyer holds hundreds of units. Engine and bare server alternate
 * in going first, because the machine changes its speed.
 */
async function saturate(engine: BenchEngine, append: AppendMode, rounds: number) {
  const bareServer = await startBareReserve(append);
  try {
    const own: Contender = { ...engine, openSale: (sale) => createHotSale(engine.store, sale) };
    const pairs: Array<{ engine: Saturation; bare: Saturation }> = [];
    // Round 0 is not measured: all sides run uncompiled code.
    for (let round = 0; round <= rounds; round++) {
      const show = `saturate-${round}`;
      const first = round % 2 === 0 ? await saturateOnce(own, show) : null;
      const bare = await saturateOnce(bareServer, show);
      const pair = { engine: first ?? (await saturateOnce(own, show)), bare };
      if (round > 0) pairs.push(pair);
    }
    return pairs;
  } finally {
    await bareServer.stop();
  }
}

type Saturation = Awaited<ReturnType<typeof saturateOnce>>;

/** Returns CPU in microseconds per decision. */
async function saturateOnce(contender: Contender, show: string) {
  const { pid, redis } = contender;
  const total = SATURATING_BUYERS * PRESSES_PER_BUYER;
  await contender.openSale({ show, units: total, perBuyer: PRESSES_PER_BUYER });
  const buyers = await join(contender, show, SATURATING_BUYERS, 500);
  await redis.admin.config('RESETSTAT');
  const pressed = new Map<HotBuyer, number>(buyers.buyers.map((buyer) => [buyer, 1]));
  buyers.onReply = (buyer) => {
    const presses = pressed.get(buyer) ?? 0;
    if (presses === PRESSES_PER_BUYER) return;
    pressed.set(buyer, presses + 1);
    buyers.press(buyer, performance.now());
  };
  const loop = watchLoop();
  const before = { server: cpuSecondsOf(pid), redis: cpuSecondsOf(redis.pid), own: process.cpuUsage() };
  const startedMs = performance.now();
  for (const buyer of buyers.buyers) buyers.press(buyer, startedMs);
  await buyers.waitForReplies(total, POLL_MS.saturated);
  const seconds = (performance.now() - startedMs) / 1000;
  const own = process.cpuUsage(before.own);
  const micros = (after: number, from: number): number => ((after - from) * 1e6) / total;
  const serverMicros = micros(cpuSecondsOf(pid), before.server);
  const redisMicros = micros(cpuSecondsOf(redis.pid), before.redis);
  const loopP99Ms = loop.stop().p99Ms;
  const generatorMicros = (own.user + own.system) / total;
  const scripts = await redis.scriptCalls();
  expectAccepted(buyers, total);
  buyers.leave();
  const batchSize = total / scripts.calls;
  return { perSecond: total / seconds, batchSize, serverMicros, redisMicros, generatorMicros, loopP99Ms };
}

async function join(target: PressTarget, show: string, count: number, restMs: number): Promise<HotSaleBuyers> {
  const buyers = new HotSaleBuyers();
  await buyers.join(target, show, count);
  await sleep(restMs);
  return buyers;
}

function expectAccepted({ replies }: HotSaleBuyers, units: number): void {
  if (replies.get('accepted') !== units)
    throw new Error(`expected ${units} accepted reservations: ${JSON.stringify([...replies])}`);
}

/** Open loop: presses follow a fixed schedule, independent of replies. */
async function offer(engine: BenchEngine, count: number, seconds: number) {
  const show = `offer-${count}`;
  await createHotSale(engine.store, { show, units: 10_000_000, perBuyer: 1_000 });
  const buyers = await join(engine, show, count, 500);
  const send = async (forSeconds: number): Promise<number> => {
    const startedMs = performance.now();
    const total = OFFERED_PER_SECOND * forSeconds;
    const repliesBefore = buyers.replyCount;
    let late = 0;
    for (let sent = 0; sent < total; await sleep(1)) {
      const now = performance.now();
      for (; sent < total; sent++) {
        const dueMs = startedMs + (sent * 1000) / OFFERED_PER_SECOND;
        if (dueMs > now) break;
        if (now - dueMs > LATE_MS) late++;
        buyers.press(buyers.buyers[sent % count] as HotBuyer, dueMs);
      }
    }
    await buyers.waitForReplies(repliesBefore + total, POLL_MS.rate);
    return late;
  };
  await send(WARM_UP_SECONDS);
  buyers.reset();
  const lateSends = await send(seconds);
  const at = (percentile: number): number => buyers.latencyMicros.getValueAtPercentile(percentile) / 1000;
  const loop = { buyers: count, p50Ms: at(50), p99Ms: at(99), lateSends };
  buyers.leave();
  return loop;
}

/** All buyers press once at the same moment. Returns the time until the last reply. */
async function rushOn(engine: BenchEngine, count: number): Promise<number> {
  const show = 'rush';
  await createHotSale(engine.store, { show, units: RUSH_UNITS });
  const buyers = await join(engine, show, count, 1_000);
  const startedMs = performance.now();
  for (const buyer of buyers.buyers) buyers.press(buyer, startedMs);
  await buyers.waitForReplies(count, POLL_MS.rush);
  const tookMs = performance.now() - startedMs;
  expectAccepted(buyers, RUSH_UNITS);
  await verifyBooks(engine.store, show);
  buyers.leave();
  return tookMs;
}

/** Presses before the opening, which the gateway refuses alone. */
async function refuse(engine: BenchEngine, forSeconds: number) {
  const show = 'early';
  await createHotSale(engine.store, { show, units: 10, opensInMs: 3_600_000 });
  const buyers = await join(engine, show, REFUSED_BUYERS, 1_000);
  await engine.redis.admin.config('RESETSTAT');
  const startedMs = performance.now();
  let sent = 0;
  for (let next = 0; performance.now() < startedMs + forSeconds * 1000; ) {
    // Bounded, so that presses wait for the gateway and not in the kernel.
    if (sent - buyers.replyCount < REFUSALS_IN_FLIGHT_MAX) {
      for (let i = 0; i < 200; i++)
        buyers.pressOften(buyers.buyers[next++ % REFUSED_BUYERS] as HotBuyer, PRESSES_PER_WRITE, performance.now());
      sent += 200 * PRESSES_PER_WRITE;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await buyers.waitForReplies(sent, POLL_MS.refusals);
  const elapsed = (performance.now() - startedMs) / 1000;
  // The engine also runs scripts for its clock and viewer counts, about one per second.
  const { calls: scriptCalls } = await engine.redis.scriptCalls();
  const [code = 'none'] = buyers.replies.keys();
  const refused = buyers.replies.get('sale_not_open') ?? 0;
  buyers.leave();
  return { perSecond: refused / elapsed, seconds: Math.ceil(elapsed), scriptCalls, code };
}
