/**
 * The rush over real WebSockets: one gateway process, this generator and Redis on the same machine. Four figures: decisions a second when
 * everybody keeps pressing, latency at a fixed offered rate (counted from the moment each press was due), the time until a crowd on few units has all its
 * answers, and refusals a second that cost Redis nothing.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { build as buildHistogram, type Histogram } from 'hdr-histogram-js';
import { cpuSecondsOf, watchLoop } from '../harness/cpu.ts';
import { type BenchEngine, startBenchEngine } from '../harness/engine.ts';
import { RawSocket, textFrame } from '../harness/raw-socket.ts';
import type { AppendMode } from '../harness/redis.ts';
import { createHotSale, HOT_SALE, HOT_SKU } from '../harness/shop.ts';
import { median } from '../harness/stats.ts';

export interface SocketReserveOptions {
  readonly append: AppendMode;
  readonly buyers: number;
  readonly seconds: number;
  readonly rounds: number;
}

/** Who presses in the closed loop, and how often: the crowd of a flash sale, in which a buyer may hold a few units. */
const SATURATING_BUYERS = 10_000;
const PRESSES_A_BUYER = 4;

/** People who press in the closed and in the open loop. */
const CROWD = 2_000;

/** Buyers press several times in one write when refusals are counted: otherwise the generator's own writes are what is measured. */
/** The generator's own stall: such a press was late before the gateway saw it, and its latency says so. */
const LATE_MS = 5;
/** Thrown away: code that is not compiled yet, on both sides. */
const WARM_UP_SECONDS = 2;
const PRESSES_A_WRITE = 5;
const REFUSALS_UNDER_WAY_MAX = 20_000;

interface Buyer {
  readonly socket: RawSocket;
  /** Due time of each unanswered press by request id, in ms of `performance.now()`. */
  readonly open: Map<number, number>;
}

const LETTER_W = 0x77;
const LETTER_O = 0x6f;
const LETTER_E = 0x65;
const OK_ID_AT = '{"t":"ok","id":'.length;
const ERROR_ID_AT = '{"t":"error","id":'.length;

function numberAt(bytes: Buffer, from: number): number {
  let value = 0;
  for (let i = from; i < bytes.length; i++) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) break;
    value = value * 10 + digit;
  }
  return value;
}

function codeOf(bytes: Buffer): string {
  const from = bytes.indexOf('"code":"') + '"code":"'.length;
  return bytes.toString('latin1', from, bytes.indexOf(0x22, from));
}

/** Everybody who presses, and what they were told. */
class Crowd {
  readonly buyers: Buyer[] = [];
  readonly answers = new Map<string, number>();
  answered = 0;
  latencyMicros: Histogram = buildHistogram({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000, numberOfSignificantValueDigits: 3 });
  onAnswer: ((buyer: Buyer) => void) | null = null;
  private nextId = 1;

  async join(engine: BenchEngine, show: string, count: number): Promise<void> {
    for (let from = 0; from < count; from += 200) {
      await Promise.all(Array.from({ length: Math.min(200, count - from) }, (_, i) => this.joinOne(engine, show, `buyer-${from + i}`)));
    }
  }

  press(buyer: Buyer, dueMs: number): void {
    buyer.socket.sendFrames(this.frame(buyer, dueMs));
  }

  /** Several presses in one write, as an impatient thumb on a slow line makes them. */
  pressOften(buyer: Buyer, times: number, dueMs: number): void {
    buyer.socket.sendFrames(Buffer.concat(Array.from({ length: times }, () => this.frame(buyer, dueMs))));
  }

  private frame(buyer: Buyer, dueMs: number): Buffer {
    const id = this.nextId++;
    buyer.open.set(id, dueMs);
    return textFrame(`{"t":"reserve","id":${id},"key":"k${id}","sale":"${HOT_SALE}","lines":[{"sku":"${HOT_SKU}","qty":1}]}`);
  }

  reset(): void {
    this.answers.clear();
    this.answered = 0;
    this.latencyMicros.reset();
    this.onAnswer = null;
  }

  leave(): void {
    for (const { socket } of this.buyers) socket.destroy();
    this.buyers.length = 0;
  }

  private joinOne(engine: BenchEngine, show: string, user: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const open = new Map<number, number>();
      const socket = new RawSocket(
        { host: '127.0.0.1', port: engine.port, path: `/v1/shows/${show}`, protocols: ['stampede.v1.json', `token.${engine.token(show, user)}`] },
        {
          onMessage: (payload) => {
            // The kind is told by its first letter: `{"t":"ok","id":7,...` or `{"t":"error","id":7,"at":...,"code":"sold_out",...`
            const kind = payload[6];
            if (kind === LETTER_W) resolve();
            else if (kind === LETTER_O) this.noteAnswer(buyer, numberAt(payload, OK_ID_AT), 'accepted');
            else if (kind === LETTER_E) this.noteAnswer(buyer, numberAt(payload, ERROR_ID_AT), codeOf(payload));
          },
          onClose: (code) => reject(new Error(`closed with ${code}`)),
        },
      );
      const buyer: Buyer = { socket, open };
      this.buyers.push(buyer);
    });
  }

  private noteAnswer(buyer: Buyer, id: number, word: string): void {
    const dueMs = buyer.open.get(id);
    if (dueMs === undefined) throw new Error(`a second answer to request ${id}`);
    buyer.open.delete(id);
    this.answered++;
    this.answers.set(word, (this.answers.get(word) ?? 0) + 1);
    this.latencyMicros.recordValue(Math.max(1, Math.round((performance.now() - dueMs) * 1000)));
    this.onAnswer?.(buyer);
  }
}

export interface SocketReserveResult {
  /** Median of the rounds. */
  readonly decisionsPerSecond: number;
  readonly decisionRuns: readonly number[];
  readonly batchSize: number;
  /** The same rate from a small and from a large crowd: broadcasts to everybody connected are in the way of answers. */
  readonly openLoops: ReadonlyArray<{ buyers: number; offeredPerSecond: number; p50Ms: number; p99Ms: number; lateSends: number }>;
  readonly rush: { buyers: number; units: number; accepted: number; allAnsweredMs: number };
  readonly refusals: { perSecond: number; seconds: number; redisCommands: number; code: string };
  readonly cpu: { gatewaySeconds: number; redisSeconds: number; generatorSeconds: number; decisions: number; generatorLoopP99Ms: number };
}

export async function benchSocketReserve(options: SocketReserveOptions): Promise<SocketReserveResult> {
  const engine = await startBenchEngine({ append: options.append });
  try {
    // Latency first: what tens of thousands who came and went leave to the garbage collectors of both sides is not what a fresh room feels.
    const openLoops = [await offer(engine, 5_000, 500, options), await offer(engine, 5_000, CROWD, options)];
    const saturated = await saturate(engine, options);
    const rush = await rushOn(engine, options.buyers, 500);
    const refusals = await refuse(engine, options);
    return { ...saturated, openLoops, rush, refusals };
  } finally {
    await engine.stop();
  }
}

/**
 * Closed loop: a crowd in which everybody presses again as soon as they are answered, until they own what they may. A fresh sale and crowd a round,
 * because nobody in a real sale collects hundreds of holds.
 */
async function saturate(
  engine: BenchEngine,
  { rounds }: SocketReserveOptions,
): Promise<Pick<SocketReserveResult, 'decisionsPerSecond' | 'decisionRuns' | 'batchSize' | 'cpu'>> {
  const runs: Saturation[] = [];
  // The first is thrown away: code that is not compiled yet, on both sides.
  for (let round = 0; round <= rounds; round++) {
    const run = await saturateOnce(engine, `saturate-${round}`);
    if (round > 0) runs.push(run);
  }
  const sum = (of: (run: Saturation) => number): number => runs.reduce((total, run) => total + of(run), 0);
  return {
    decisionsPerSecond: median(runs.map(({ accepted, seconds }) => accepted / seconds)),
    decisionRuns: runs.map(({ accepted, seconds }) => accepted / seconds),
    batchSize: sum(({ accepted }) => accepted) / sum(({ calls }) => calls),
    cpu: {
      gatewaySeconds: sum(({ gatewaySeconds }) => gatewaySeconds),
      redisSeconds: sum(({ redisSeconds }) => redisSeconds),
      generatorSeconds: sum(({ generatorSeconds }) => generatorSeconds),
      decisions: sum(({ accepted }) => accepted),
      generatorLoopP99Ms: Math.max(...runs.map(({ generatorLoopP99Ms }) => generatorLoopP99Ms)),
    },
  };
}

interface Saturation {
  readonly accepted: number;
  readonly seconds: number;
  readonly calls: number;
  readonly gatewaySeconds: number;
  readonly redisSeconds: number;
  readonly generatorSeconds: number;
  readonly generatorLoopP99Ms: number;
}

async function saturateOnce(engine: BenchEngine, show: string): Promise<Saturation> {
  const crowd = new Crowd();
  await createHotSale(engine.store, { show, units: SATURATING_BUYERS * PRESSES_A_BUYER, perBuyer: PRESSES_A_BUYER });
  await crowd.join(engine, show, SATURATING_BUYERS);
  await sleep(500);
  await engine.redis.client.config('RESETSTAT');
  const total = SATURATING_BUYERS * PRESSES_A_BUYER;
  const pressed = new Map<Buyer, number>(crowd.buyers.map((buyer) => [buyer, 1]));
  crowd.onAnswer = (buyer) => {
    const times = pressed.get(buyer) ?? 0;
    if (times === PRESSES_A_BUYER) return;
    pressed.set(buyer, times + 1);
    crowd.press(buyer, performance.now());
  };
  const loop = watchLoop();
  const before = { gateway: cpuSecondsOf(engine.pid), redis: cpuSecondsOf(engine.redis.pid), own: process.cpuUsage() };
  const startedMs = performance.now();
  for (const buyer of crowd.buyers) crowd.press(buyer, startedMs);
  while (crowd.answered < total) await sleep(2);
  const seconds = (performance.now() - startedMs) / 1000;
  const own = process.cpuUsage(before.own);
  const scripts = (await engine.redis.commandCalls()).get('evalsha');
  const accepted = crowd.answers.get('accepted') ?? 0;
  if (accepted !== total) throw new Error(`not everything was accepted: ${JSON.stringify([...crowd.answers])}`);
  crowd.leave();
  return {
    accepted,
    seconds,
    calls: scripts?.calls ?? Number.NaN,
    gatewaySeconds: cpuSecondsOf(engine.pid) - before.gateway,
    redisSeconds: cpuSecondsOf(engine.redis.pid) - before.redis,
    generatorSeconds: (own.user + own.system) / 1e6,
    generatorLoopP99Ms: loop.stop().p99Ms,
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
    while (crowd.answered < answeredBefore + total) await sleep(10);
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
  while (crowd.answered < buyers) await sleep(1);
  const allAnsweredMs = performance.now() - startedMs;
  const accepted = crowd.answers.get('accepted') ?? 0;
  if (accepted !== units) throw new Error(`${accepted} accepted of ${units} units: ${JSON.stringify([...crowd.answers])}`);
  const verified = await engine.store.verify(show);
  if (!verified.ok || verified.value.violations.length > 0) throw new Error('the books are wrong');
  crowd.leave();
  return { buyers, units, accepted, allAnsweredMs };
}

/** Early presses: refused by the gateway alone. */
async function refuse(engine: BenchEngine, { seconds }: SocketReserveOptions): Promise<SocketReserveResult['refusals']> {
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
    // A bounded number under way, so that the queue is the gateway's work and not the kernel's memory.
    if (next - crowd.answered < REFUSALS_UNDER_WAY_MAX) {
      for (let i = 0; i < 200; i++) crowd.pressOften(crowd.buyers[turn++ % crowd.buyers.length] as Buyer, PRESSES_A_WRITE, performance.now());
      next += 200 * PRESSES_A_WRITE;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  while (crowd.answered < next) await sleep(5);
  const elapsed = (performance.now() - startedMs) / 1000;
  const calls = await engine.redis.commandCalls();
  // What the engine does anyway in a quiet show (its clock, viewer counts) is not a reserve: only scripts that decide would be.
  const [code = 'none'] = [...crowd.answers.keys()];
  const refused = crowd.answers.get('sale_not_open') ?? 0;
  const redisCommands = [...calls].filter(([name]) => name === 'evalsha' || name === 'eval').reduce((sum, [, { calls: count }]) => sum + count, 0);
  crowd.leave();
  return { perSecond: refused / elapsed, seconds: Math.ceil(elapsed), redisCommands, code };
}
