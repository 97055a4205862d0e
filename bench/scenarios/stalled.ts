/**
 * Some phones stop reading: what everybody else notices of it, and what each of them costs the
 * gateway.
 */
import { LIMITS } from '../../src/limits.ts';
import type { Stretch } from '../generator/assemble.ts';
import { median } from '../generator/median.ts';
import type { AudienceSummary } from '../generator/workloads/viewers.ts';
import type { BenchResult, Check, Figure } from '../report/result.ts';
import { commonLevels, mostLevel, share } from '../verdict/levels.ts';
import { AHEAD_MS, type Chronicle, openRun } from './chronicle.ts';
import { figure } from './figures.ts';
import { count, FlagError } from './flags.ts';
import { checkWriters, fillRoom, ratesFor, standingChecks, sumOf } from './full-room.ts';
import { defineScenario } from './scenario.ts';
import { metricsOf, type Target } from './target.ts';

const FLAGS = {
  viewers: count(1_000, 'people in the room; all of them hear everything', { min: 4, max: 2_000_000 }),
  stalled: share(0.05, 'of them stop reading in every other phase'),
  rate: count(1_500, 'chat messages a second of the whole room', { max: 1_000_000 }),
  writers: count(20, 'how many write them, in turns; none of them stalls', { max: 2_000_000 }),
  chars: count(
    LIMITS.chatTextCharsMax,
    'length of a message; the kernel takes some 4 MB for each stalled line before the gateway notices',
    {
      min: 16,
      max: LIMITS.chatTextCharsMax,
    },
  ),
  joinRate: count(1_000, 'how many come in a second', { max: 200_000 }),
  warmUp: count(3, 'seconds of chat before what is measured', { min: 1, max: 600 }),
  recover: count(3, 'seconds to catch up after the phones read again', { min: 1, max: 600 }),
  othersShare: share(0.1, 'fail when the p99 of the others grows by more than this (median of the rounds)'),
};

const TRAIL_MS = 1_500;
/** Of the others. */
const MEASURING_VIEWERS = 100;
const TOO_SLOW = 'closed_4001';

interface Phase {
  readonly stretch: Stretch;
  memoryGrowthBytes: number;
  demoted: number;
}

interface Round {
  readonly quiet: Phase;
  readonly stalling: Phase;
  /** With "resume". */
  closed: number;
}

export const stalled = defineScenario({
  name: 'stalled',
  about:
    'the p99 of everybody else while some viewers stop reading, with and without in turns; memory of each who stalls',
  flags: FLAGS,
  defaults: { seconds: 15, rounds: 3 },
  check(flags, { url }) {
    const every = everyOf(flags.stalled);
    if (!(every >= 2 && Number.isFinite(every))) throw new FlagError('--stalled is a share above 0, at most 50 %');
    if (Math.ceil(flags.viewers / every) + flags.writers > flags.viewers)
      throw new FlagError(`--writers ${flags.writers} do not fit among the ${flags.viewers} viewers who read`);
    checkWriters(flags, url === null);
  },
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const { viewers, joinRate, writers, chars, rate: perSecond } = flags;
    const every = everyOf(flags.stalled);
    const silent = Math.ceil(viewers / every);
    const run = await openRun(context, { env: ratesFor(perSecond / writers) });
    const { target, fleet, chronicle } = run;
    const rounds: Round[] = [];
    let ends: AudienceSummary[] = [];
    await chronicle.unlessStopped(async () => {
      // The same people are measured in both: neighbours of those who stall.
      const measureEvery = every * Math.max(1, Math.floor(viewers / every / MEASURING_VIEWERS));
      const { room } = await fillRoom(run, {
        label: 'stalled',
        variant: common.variant,
        viewers,
        joinRate,
        measureEvery,
        measureFrom: 1,
      });
      const phaseMs = common.seconds * 1000;
      const roundMs = 2 * phaseMs + flags.recover * 1000;
      const chatMs = fleet.secondAfter(AHEAD_MS);
      chronicle.phase('warm-up', { fromMs: chatMs });
      const forMs = flags.warmUp * 1000 + common.rounds * (roundMs + 1000);
      room.command({
        do: 'chat',
        atMs: chatMs,
        plan: { perSecond, arrivals: 'poisson', forMs, chars, writers, skipEvery: every },
      });
      await fleet.until(chatMs + flags.warmUp * 1000);
      const phase = async (name: string, fromMs: number): Promise<Phase> => {
        const stretch = chronicle.phase(name, { fromMs, forMs: phaseMs, measured: true });
        const before = await look(chronicle, target);
        await fleet.until(stretch.toMs);
        const after = await look(chronicle, target);
        return {
          stretch,
          memoryGrowthBytes: after.memoryBytes - before.memoryBytes,
          demoted: after.demotions - before.demotions,
        };
      };
      for (let round = 1; round <= common.rounds; round++) {
        const fromMs = fleet.secondAfter(0);
        await fleet.until(fromMs);
        const closedBefore = tooSlow(chronicle);
        const quiet = await phase(`all read, round ${round}`, fromMs);
        room.command({ do: 'stall', every, forMs: phaseMs });
        const stalling = await phase(`${silent} stalled, round ${round}`, quiet.stretch.toMs);
        const current: Round = { quiet, stalling, closed: 0 };
        rounds.push(current);
        chronicle.phase('catching up');
        await fleet.until(fleet.nowMs() + flags.recover * 500);
        room.command({ do: 'return' });
        await fleet.until(fleet.nowMs() + flags.recover * 500);
        current.closed = tooSlow(chronicle) - closedBefore;
      }
      chronicle.phase('trailing');
      await fleet.until(Math.max(fleet.nowMs(), chatMs + forMs) + TRAIL_MS);
      ends = (await room.stop()) as AudienceSummary[];
    });
    const others = chronicle.latency('delivery', ...rounds.map(({ stalling }) => stalling.stretch));
    const ratios = rounds.map((round) => p99(chronicle, round.stalling) / p99(chronicle, round.quiet));
    return chronicle.finish({
      figures: figuresOf(chronicle, rounds, ratios, silent),
      checks: ends.length === 0 ? [] : checksOf(chronicle, ends, viewers),
      levels: [
        ...mostLevel(
          'othersShare',
          flags.othersShare,
          median(ratios) - 1,
          (value) => `${value < 0 ? '' : '+'}${(value * 100).toFixed(1)} %`,
        ),
        ...commonLevels(common, others),
      ],
      headline: others,
    });
  },
});

const everyOf = (part: number): number => Math.round(1 / part);

const p99 = (chronicle: Chronicle, { stretch }: Phase): number =>
  chronicle.latency('delivery', stretch)?.p99Ms ?? Number.NaN;

const tooSlow = (chronicle: Chronicle): number =>
  chronicle.refusals().find(({ code }) => code === TOO_SLOW)?.count ?? 0;

/**
 * What waits for a slow line lies outside of JavaScript's heap, whose own ups and downs are larger.
 */
async function look(chronicle: Chronicle, { gate }: Target): Promise<{ memoryBytes: number; demotions: number }> {
  const [, [resident, heap, demotions]] = await Promise.all([
    chronicle.readServer(),
    metricsOf(gate, ['process_resident_memory_bytes', 'nodejs_heap_size_total_bytes', 'stampede_demotions_total']),
  ]);
  return { memoryBytes: (resident ?? Number.NaN) - (heap ?? Number.NaN), demotions: demotions ?? Number.NaN };
}

function figuresOf(
  chronicle: Chronicle,
  rounds: readonly Round[],
  ratios: readonly number[],
  silent: number,
): Figure[] {
  const each = (value: (round: Round) => number): number[] => rounds.map(value);
  const perSecond = (name: string, { stretch }: Phase): number =>
    chronicle.count(name, stretch) / ((stretch.toMs - stretch.fromMs) / 1000);
  return [
    figure(
      'p99 of the others, stalled against not',
      'x',
      'lower',
      ratios,
      'each phase with stalled phones against the one without before it',
    ),
    figure(
      'delivery p99, all read',
      'ms',
      'lower',
      each(({ quiet }) => p99(chronicle, quiet)),
      'from the moment a message was due, people who never stall',
    ),
    figure(
      `delivery p99 of the others, ${silent} stalled`,
      'ms',
      'lower',
      each(({ stalling }) => p99(chronicle, stalling)),
      'the same people',
    ),
    figure(
      'messages delivered, all read',
      '/s',
      'higher',
      each(({ quiet }) => perSecond('delivered', quiet)),
      'chat messages times the viewers who got them',
    ),
    figure(
      'demoted',
      '',
      'neither',
      each(({ stalling }) => stalling.demoted),
      `of ${silent} stalled: left the chat lane, kept events and state`,
    ),
    figure(
      'closed with resume',
      '',
      'neither',
      each(({ closed }) => closed),
      `of ${silent} stalled: over the hard limit`,
    ),
    // What a later round needs lies in memory that an earlier one left: only the first says what
    // one costs.
    figure(
      'memory a stalled viewer',
      'KiB',
      'lower',
      rounds.slice(0, 1).map(({ stalling }) => stalling.memoryGrowthBytes / 1024 / silent),
      'growth of the gateway process outside of the JavaScript heap while they stalled',
    ),
  ];
}

function checksOf(chronicle: Chronicle, ends: readonly AudienceSummary[], viewers: number): Check[] {
  const connected = sumOf(ends, (end) => end.connected);
  const [gaps, chatGaps] = [sumOf(ends, ({ eventGaps }) => eventGaps), sumOf(ends, (end) => end.chatGaps)];
  const unanswered = sumOf(ends, (end) => end.unanswered);
  const closed = chronicle.refusals().filter(({ code }) => code.startsWith('closed_') && code !== TOO_SLOW);
  return [
    ...standingChecks(chronicle, connected, unanswered, viewers),
    {
      name: 'only who stalled was closed, and told to resume',
      ok: closed.length === 0,
      detail:
        closed.length === 0
          ? `${tooSlow(chronicle)} closed with 4001`
          : closed.map(({ code, count: times }) => `${times} ${code}`).join(', '),
    },
    {
      name: 'events and chat without a silent gap',
      promise: 'I7',
      ok: gaps === 0 && chatGaps === 0,
      detail: `missing and not announced: ${gaps} events, ${chatGaps} chat messages; ${chronicle.count('missed')} announced as missed`,
    },
  ];
}
