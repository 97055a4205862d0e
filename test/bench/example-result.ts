/** A synthetic result with real histograms. */
import type { Histogram } from 'hdr-histogram-js';
import { describe } from '../../bench/generator/assemble.ts';
import { createPrng, type Prng } from '../../bench/generator/prng.ts';
import { newHistogram } from '../../bench/generator/recorder.ts';
import type { BenchResult, Figure, Latency, Level, Phase, Series } from '../../bench/report/result.ts';

interface Options {
  readonly kind?: 'passing' | 'failing' | 'untrusted';
  /** Repetitions of every figure. */
  readonly runs?: number;
  /** Multiplies every time and divides every rate. */
  readonly slower?: number;
  readonly seconds?: number;
}

const PHASES: ReadonlyArray<readonly [name: string, share: number]> = [
  ['joining', 0.15],
  ['chat', 0.2],
  ['first flash sale', 0.12],
  ['chat again', 0.13],
  ['second flash sale', 0.12],
  ['reconnect wave', 0.1],
  ['third flash sale', 0.12],
  ['leaving', 0.06],
];
const SEED = 7;
const VIEWERS = 5_000;
const REFUSALS = { sold_out: 41_233, limit_reached: 1_204, sale_not_open: 9_120, rate_limited: 311, slow_down: 12 };
const IDLE = { busiestShare: 0.43, loopDelayP99Ms: 3.1, lateSends: 12, bottlenecks: [] };
const OVERLOADED = {
  ...{ busiestShare: 0.98, loopDelayP99Ms: 84.2, lateSends: 9_120 },
  bottlenecks: ['the busiest process used 98 % of a core', '0.76 % of the sends left more than 5 ms late'],
};

/** Parts of a result that leave out their sections of the report. */
export const EMPTY_SECTIONS = {
  ...{ figures: [], latencies: [], refusals: [], notes: [], generator: null, server: null },
  verdict: { ok: true, checks: [], levels: [] },
};

export function exampleResult({ kind = 'passing', runs = 5, slower = 1, seconds = 240 }: Options = {}): BenchResult {
  const prng = createPrng(SEED);
  const phases = phasesOf(seconds);
  const failing = kind === 'failing';
  const latencies = latenciesOf(prng.fork(1), slower * (failing ? 4 : 1));
  const [chat, reserve] = latencies as [Latency, Latency];
  return {
    schema: 'stampede.bench/1',
    scenario: 'show',
    about: 'A whole evening in four minutes: 5,000 viewers join, chat follows recorded bursts, three flash sales open.',
    startedAt: '2026-11-23T20:00:04.120Z',
    seconds,
    seed: SEED,
    parameters: { viewers: VIEWERS, 'chat-rate': 120, sales: 3, 'units-a-sale': 500, trace: null, tls: false },
    command: `stampede bench show --viewers ${VIEWERS} --seconds ${seconds} --seed ${SEED} --p99 150ms`,
    commit: '7052b6f',
    version: '0.1.0',
    machine: { cpus: 8, model: 'AMD EPYC 7763', memoryGiB: 32, platform: 'linux x64', node: 'v20.20.2' },
    target: { url: 'ws://127.0.0.1:7300', own: true, redis: '7.0.15, append-only everysec' },
    phases,
    series: seriesOf(prng.fork(2), phases, seconds, slower * (failing ? 3 : 1)),
    latencies,
    figures: figuresOf(prng.fork(3), chat, reserve, runs, slower),
    refusals: Object.entries(REFUSALS).map(([code, count]) => ({ code, count })),
    generator: {
      ...{ processes: 2, hosts: 1, cpuSeconds: 171.4, sends: 1_204_331 },
      ...(kind === 'untrusted' ? OVERLOADED : IDLE),
    },
    server: {
      processes: [
        { name: 'gateway 1', cpuSeconds: 131.2, memoryMiB: 212.4 },
        { name: 'gateway 2', cpuSeconds: 128.9, memoryMiB: 209.8 },
        { name: 'supervisor (control, jobs)', cpuSeconds: 6.1, memoryMiB: 118 },
        { name: 'redis-server', cpuSeconds: 48.7, memoryMiB: 64.2 },
      ],
    },
    verdict: verdictOf(failing, latencies),
    notes: [
      'No recorded chat was given: the trace is synthetic, made from seed 7.',
      'System calls a delivery were not counted: perf is not installed here.',
    ],
  };
}

function phasesOf(seconds: number): Phase[] {
  let fromMs = 0;
  return PHASES.map(([name, share]) => {
    const phase = { name, fromMs, toMs: fromMs + share * seconds * 1000 };
    fromMs = phase.toMs;
    return phase;
  });
}

/** A log-normal distribution with a second peak, as a queue behind a garbage collection causes. */
function record(prng: Prng, count: number, medianMs: number, widthLog: number, stallMs: number): Histogram {
  const histogram = newHistogram();
  for (let nth = 0; nth < count; nth++) {
    const bell = Math.sqrt(-2 * Math.log(1 - prng.next())) * Math.cos(2 * Math.PI * prng.next());
    const stall = prng.chance(0.004) ? prng.next() * stallMs : 0;
    histogram.recordValue(Math.max(1, Math.round((medianMs * Math.exp(widthLog * bell) + stall) * 1000)));
  }
  return histogram;
}

const latenciesOf = (prng: Prng, slower: number): Latency[] => [
  describe('chat, sent to seen', record(prng, 60_000, 12 * slower, 0.5, 160 * slower)),
  describe('reservation, press to reply', record(prng, 30_000, 3.1 * slower, 0.7, 90 * slower)),
  describe('join, opened to in the room', record(prng, 7_500, 8 * slower, 0.6, 400 * slower)),
];

type Value = (phase: string, nth: number, share: number) => number;

function seriesOf(prng: Prng, phases: readonly Phase[], seconds: number, slower: number): Series[] {
  const phaseAt = (atMs: number): string =>
    phases.find(({ fromMs, toMs }) => atMs >= fromMs && atMs < toMs)?.name ?? '';
  const series = (name: string, unit: string, group: Series['group'], value: Value): Series => {
    const points = Array.from({ length: seconds }, (_, nth) => {
      const atMs = nth * 1000 + 500;
      return [atMs, Math.round(value(phaseAt(atMs), nth, nth / seconds) * 100) / 100] as const;
    });
    return { name, unit, group, points };
  };
  const noise = (): number => 0.9 + 0.2 * prng.next();
  const audience = (phase: string, share: number): number => {
    if (phase === 'joining') return VIEWERS * (share / 0.15);
    if (phase === 'leaving') return VIEWERS * ((1 - share) / 0.06);
    return phase === 'reconnect wave' ? VIEWERS * 0.8 : VIEWERS;
  };
  const chat = (phase: string): number => ({ chat: 120, 'chat again': 150, leaving: 20, joining: 30 })[phase] ?? 90;
  const sale = (phase: string): boolean => phase.endsWith('flash sale');
  const latencyFactor = (phase: string): number => slower * (sale(phase) ? 2.1 : phase === 'reconnect wave' ? 1.6 : 1);
  const rush: Value = (phase, nth) => (sale(phase) ? noise() * Math.exp(-((nth % 29) / 9)) : 0);
  const delivered: Value = (phase, _, share) => (audience(phase, share) * chat(phase) * noise()) / slower;
  const chatP99: Value = (phase) => 46 * latencyFactor(phase) * noise() + (prng.chance(0.02) ? 180 * slower : 0);
  return [
    series('chat delivered', '/s', 'throughput', delivered),
    series('chat sent', '/s', 'throughput', (phase) => chat(phase) * noise()),
    series('reservations requested', '/s', 'throughput', (phase, nth, share) => 2_400 * rush(phase, nth, share)),
    series('hearts', '/s', 'throughput', (phase) => 60 * noise() + (sale(phase) ? 40 : 0)),
    series('viewers', '', 'audience', (phase, _, share) => audience(phase, share)),
    series('chat p50', 'ms', 'latency', (phase) => 12 * latencyFactor(phase) * noise()),
    series('chat p99', 'ms', 'latency', chatP99),
    series('reservation p99', 'ms', 'latency', (phase) => 17 * latencyFactor(phase) * noise()),
    series('sold_out', '/s', 'refusals', (phase, nth, share) => (nth % 29 > 3 ? 1_500 * rush(phase, nth, share) : 0)),
    series('sale_not_open', '/s', 'refusals', (phase) => (phase.startsWith('chat') ? 90 * noise() : 0)),
    series('gateways, CPU', 'cores', 'server', (phase) => (sale(phase) ? 1.5 : 1.05) * noise()),
    series('Redis, CPU', 'cores', 'server', (phase) => (sale(phase) ? 0.5 : 0.16) * noise()),
    series('memory of all', 'MiB', 'server', (_, __, share) => 420 + 180 * Math.min(1, share * 6) + 6 * noise()),
    series('busiest process, CPU', '%', 'generator', (phase) => (sale(phase) ? 43 : 31) * noise()),
    series('loop delay p99', 'ms', 'generator', () => 2.6 * noise()),
  ];
}

function figuresOf(prng: Prng, chat: Latency, reserve: Latency, runs: number, slower: number): Figure[] {
  const around = (value: number): number[] =>
    Array.from({ length: runs }, () => Math.round(value * (0.97 + 0.06 * prng.next()) * 1000) / 1000);
  const same = (value: number): number[] => Array.from({ length: runs }, () => value);
  const figure = (name: string, unit: string, better: Figure['better'], values: number[], about: string): Figure => {
    return { name, unit, better, runs: values, about };
  };
  return [
    figure('viewers in the room', '', 'neither', same(VIEWERS), 'Viewers who were connected at the same time.'),
    figure('chat delivered', '/s', 'higher', around(512_000 / slower), 'Messages times viewers, busiest minute.'),
    figure('chat p99', 'ms', 'lower', around(chat.p99Ms), '99 of 100 messages were seen this soon.'),
    figure('reservation p99', 'ms', 'lower', around(reserve.p99Ms), '99 of 100 buyers had their reply this soon.'),
    figure('countdown spread', 'ms', 'lower', around(21 * slower), 'From the first to the last viewer.'),
    figure('sold out after', 's', 'neither', around(1.94), 'Until all 500 units of a sale were held.'),
    figure('memory per viewer', 'KiB', 'lower', around(3.9), 'What an idle connection costs the engine.'),
    { name: 'bytes per chat message', unit: 'B', better: 'lower', runs: around(58.2) },
    { name: 'encodes per batch', unit: '', better: 'lower', runs: same(2) },
  ];
}

function verdictOf(failing: boolean, [chat, reserve]: readonly Latency[]): BenchResult['verdict'] {
  const level = (flag: string, wantedMs: number, measuredMs = 0): Level => ({
    flag,
    wanted: `<= ${wantedMs} ms`,
    measured: `${measuredMs.toFixed(1)} ms`,
    ok: measuredMs <= wantedMs,
  });
  const levels = [level('--p99', 150, chat?.p99Ms), level('--reserve-p99', 100, reserve?.p99Ms)];
  const units = failing
    ? 'sale 2: 500 units, 499 in the books, 1 missing'
    : '1,500 units: 1,204 confirmed, 291 released, 5 left';
  const checks = (
    [
      ['I1', 'Every unit is accounted for', units],
      ['I2', 'No buyer holds more than the limit', '4,812 buyers, at most 2 units each'],
      ['I3', 'Each accepted reservation is in the ledger', '1,495 of 1,495'],
      ['I4', 'Event numbers without a gap', '5,000 viewers, 12,331,204 events'],
      ['I5', 'The countdown reached zero together', 'spread 21 ms over 5,000 viewers'],
      ['I6', 'Refusals were justified', '51,880 checked'],
      ['I7', 'A repeated key gets the same result', '312 repeats'],
    ] as const
  ).map(([promise, name, detail]) => ({ name, promise, ok: !failing || promise !== 'I1', detail }));
  return { ok: !failing && levels.every(({ ok }) => ok), checks, levels };
}
