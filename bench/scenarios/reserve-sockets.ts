/**
 * The rush over real WebSockets: one gateway process, this generator and Redis on the same machine.
 * Four figures: decisions a second when everybody keeps pressing (and those of a bare sketch),
 * latency at a fixed offered rate (counted from the moment each press was due), the time until a
 * crowd on few units has all its answers, and refusals a second that cost Redis nothing.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { startBareReserve } from '../launch/bare-reserve.ts';
import { cpuSecondsOf, watchLoop } from '../launch/cpu.ts';
import { type BenchEngine, startBenchEngine } from '../launch/engine.ts';
import { createHotSale, type HotSale } from '../launch/hot-sale.ts';
import type { AppendMode, BenchRedis } from '../launch/redis.ts';
import { type Buyer, Crowd, type PressTarget } from '../users/hot-sale-buyers.ts';

export interface SocketReserveOptions {
  readonly append: AppendMode;
  readonly buyers: number;
  readonly seconds: number;
  readonly rounds: number;
}

/**
 * Who presses in the closed loop, and how often: the crowd of a flash sale, in which a buyer may
 * hold a few units.
 */
const SATURATING_BUYERS = 10_000;
const PRESSES_A_BUYER = 4;

/** People who press in the closed and in the open loop. */
const CROWD = 2_000;

/**
 * The generator's own stall: such a press was late before the gateway saw it, and its latency says
 * so.
 */
const LATE_MS = 5;
/** Thrown away: code that is not compiled yet, on both sides. */
const WARM_UP_SECONDS = 2;
/**
 * Buyers press several times in one write when refusals are counted: otherwise the generator's own
 * writes are what is measured.
 */
const PRESSES_A_WRITE = 5;
const REFUSALS_UNDER_WAY_MAX = 20_000;

export interface SocketReserveResult {
  readonly rounds: readonly SaturatedRound[];
  /**
   * The same rate from a small and from a large crowd: broadcasts to everybody connected are in the
   * way of answers.
   */
  readonly openLoops: ReadonlyArray<{
    buyers: number;
    offeredPerSecond: number;
    p50Ms: number;
    p99Ms: number;
    lateSends: number;
  }>;
  readonly rush: { buyers: number; units: number; accepted: number; allAnsweredMs: number };
  readonly refusals: { perSecond: number; seconds: number; redisCommands: number; code: string };
}

/** The same crowd at both, one after the other. */
export interface SaturatedRound {
  readonly engine: Saturation;
  /**
   * The least that decides reservations over sockets, so that a slow machine is not taken for a
   * slow engine.
   */
  readonly bare: Saturation;
}

/** CPU is in microseconds a decision. */
export interface Saturation {
  readonly perSecond: number;
  /** Requests a script call. */
  readonly batchSize: number;
  readonly serverMicros: number;
  readonly redisMicros: number;
  readonly generatorMicros: number;
  readonly generatorLoopP99Ms: number;
}

export async function benchSocketReserve(options: SocketReserveOptions): Promise<SocketReserveResult> {
  const engine = await startBenchEngine({ append: options.append });
  try {
    // Latency first: what tens of thousands who came and went leave to the garbage collectors of
    // both sides is not what a fresh room feels.
    const openLoops = [await offer(engine, 5_000, 500, options), await offer(engine, 5_000, CROWD, options)];
    const rounds = await saturate(engine, options);
    const rush = await rushOn(engine, options.buyers, 500);
    const refusals = await refuse(engine, options);
    return { rounds, openLoops, rush, refusals };
  } finally {
    await engine.stop();
  }
}

/** What a crowd can press on: the engine, or the bare sketch. */
interface Contender extends PressTarget {
  readonly pid: number;
  readonly redis: BenchRedis;
  openSale(sale: Pick<HotSale, 'show' | 'units'> & { perBuyer: number }): Promise<void>;
}

/**
 * Closed loop: a crowd in which everybody presses again as soon as they are answered, until they
 * own what they may. A fresh sale and crowd a round, because nobody in a real sale collects
 * hundreds of holds. Engine and sketch take turns in going first: the machine changes its speed
 * meanwhile.
 */
async function saturate(engine: BenchEngine, { append, rounds }: SocketReserveOptions): Promise<SaturatedRound[]> {
  const sketch = await startBareReserve(append);
  try {
    const ofEngine: Contender = { ...engine, openSale: (sale) => createHotSale(engine.store, sale) };
    const runs: SaturatedRound[] = [];
    // The first is thrown away: code that is not compiled yet, on all sides.
    for (let round = 0; round <= rounds; round++) {
      const show = `saturate-${round}`;
      const first = round % 2 === 0 ? await saturateOnce(ofEngine, show) : null;
      const bare = await saturateOnce(sketch, show);
      const run = { engine: first ?? (await saturateOnce(ofEngine, show)), bare };
      if (round > 0) runs.push(run);
    }
    return runs;
  } finally {
    await sketch.stop();
  }
}

async function saturateOnce(contender: Contender, show: string): Promise<Saturation> {
  const { pid, redis } = contender;
  const crowd = new Crowd();
  const total = SATURATING_BUYERS * PRESSES_A_BUYER;
  await contender.openSale({ show, units: total, perBuyer: PRESSES_A_BUYER });
  await crowd.join(contender, show, SATURATING_BUYERS);
  await sleep(500);
  await redis.client.config('RESETSTAT');
  const pressed = new Map<Buyer, number>(crowd.buyers.map((buyer) => [buyer, 1]));
  crowd.onAnswer = (buyer) => {
    const times = pressed.get(buyer) ?? 0;
    if (times === PRESSES_A_BUYER) return;
    pressed.set(buyer, times + 1);
    crowd.press(buyer, performance.now());
  };
  const loop = watchLoop();
  const before = { server: cpuSecondsOf(pid), redis: cpuSecondsOf(redis.pid), own: process.cpuUsage() };
  const startedMs = performance.now();
  for (const buyer of crowd.buyers) crowd.press(buyer, startedMs);
  await crowd.told(total, 2);
  const seconds = (performance.now() - startedMs) / 1000;
  const own = process.cpuUsage(before.own);
  const after = { server: cpuSecondsOf(pid), redis: cpuSecondsOf(redis.pid) };
  const generatorLoopP99Ms = loop.stop().p99Ms;
  const scripts = await redis.scriptCalls();
  const accepted = crowd.answers.get('accepted') ?? 0;
  if (accepted !== total) throw new Error(`not everything was accepted: ${JSON.stringify([...crowd.answers])}`);
  crowd.leave();
  return {
    perSecond: total / seconds,
    batchSize: total / scripts.calls,
    serverMicros: ((after.server - before.server) * 1e6) / total,
    redisMicros: ((after.redis - before.redis) * 1e6) / total,
    generatorMicros: (own.user + own.system) / total,
    generatorLoopP99Ms,
  };
}

/** Open loop: presses are due on a fixed schedule, whatever the answers do. */
async function offer(
  engine: BenchEngine,
  perSecond: number,
  buyers: number,
  { seconds }: SocketReserveOptions,
): Promise<SocketReserveResult['openLoops'][number]> {
  const show = `offer-${buyers}`;
  await createHotSale(engine.store, { show, units: 10_000_000, perBuyer: 1_000 });
  const crowd = new Crowd();
  await crowd.join(engine, show, buyers);
  await sleep(500);
  const send = async (forSeconds: number): Promise<number> => {
    const startedMs = performance.now();
    const total = perSecond * forSeconds;
    const answeredBefore = crowd.answered;
    let sent = 0;
    let late = 0;
    while (sent < total) {
      const now = performance.now();
      while (sent < total && startedMs + (sent * 1000) / perSecond <= now) {
        const dueMs = startedMs + (sent * 1000) / perSecond;
        if (now - dueMs > LATE_MS) late++;
        crowd.press(crowd.buyers[sent % crowd.buyers.length] as Buyer, dueMs);
        sent++;
      }
      await sleep(1);
    }
    await crowd.told(answeredBefore + total, 10);
    return late;
  };
  await send(WARM_UP_SECONDS);
  crowd.reset();
  const lateSends = await send(seconds);
  const at = (percentile: number): number => crowd.latencyMicros.getValueAtPercentile(percentile) / 1000;
  const result = { buyers, offeredPerSecond: perSecond, p50Ms: at(50), p99Ms: at(99), lateSends };
  crowd.leave();
  return result;
}

/** Everybody presses once, in the same instant. */
async function rushOn(engine: BenchEngine, buyers: number, units: number): Promise<SocketReserveResult['rush']> {
  const show = 'rush';
  await createHotSale(engine.store, { show, units });
  const crowd = new Crowd();
  await crowd.join(engine, show, buyers);
  await sleep(1_000);
  const startedMs = performance.now();
  for (const buyer of crowd.buyers) crowd.press(buyer, startedMs);
  await crowd.told(buyers, 1);
  const allAnsweredMs = performance.now() - startedMs;
  const accepted = crowd.answers.get('accepted') ?? 0;
  if (accepted !== units)
    throw new Error(`${accepted} accepted of ${units} units: ${JSON.stringify([...crowd.answers])}`);
  const verified = await engine.store.verify(show);
  if (!verified.ok || verified.value.violations.length > 0) throw new Error('the books are wrong');
  crowd.leave();
  return { buyers, units, accepted, allAnsweredMs };
}

/** Early presses: refused by the gateway alone. */
async function refuse(
  engine: BenchEngine,
  { seconds }: SocketReserveOptions,
): Promise<SocketReserveResult['refusals']> {
  const show = 'early';
  await createHotSale(engine.store, { show, units: 10, opensInMs: 3_600_000 });
  const crowd = new Crowd();
  await crowd.join(engine, show, 5_000);
  await sleep(1_000);
  await engine.redis.client.config('RESETSTAT');
  const startedMs = performance.now();
  const untilMs = startedMs + seconds * 1000;
  let next = 0;
  let turn = 0;
  while (performance.now() < untilMs) {
    // A bounded number under way, so that the queue is the gateway's work and not the kernel's
    // memory.
    if (next - crowd.answered < REFUSALS_UNDER_WAY_MAX) {
      for (let i = 0; i < 200; i++)
        crowd.pressOften(crowd.buyers[turn++ % crowd.buyers.length] as Buyer, PRESSES_A_WRITE, performance.now());
      next += 200 * PRESSES_A_WRITE;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await crowd.told(next, 5);
  const elapsed = (performance.now() - startedMs) / 1000;
  const { calls: redisCommands } = await engine.redis.scriptCalls();
  // What the engine does anyway in a quiet show (its clock, viewer counts) is not a reserve: only
  // scripts that decide would be.
  const [code = 'none'] = [...crowd.answers.keys()];
  const refused = crowd.answers.get('sale_not_open') ?? 0;
  crowd.leave();
  return { perSecond: refused / elapsed, seconds: Math.ceil(elapsed), redisCommands, code };
}
