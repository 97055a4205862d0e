/** Some viewers stop reading: the effect on the others, and the cost of each stalled viewer. */
import { LIMITS } from '../../src/limits.ts';
import type { Stretch } from '../generator/assemble.ts';
import { median } from '../generator/median.ts';
import type { ViewersSummary } from '../generator/workloads/viewers.ts';
import { checkOf } from '../verdict/check.ts';
import { commonLevels, mostLevel, share } from '../verdict/levels.ts';
import { figuresOver } from './figures.ts';
import { count, FlagError } from './flags.ts';
import { checkWriters, connectionChecks, fillRoom, gapCheck, ratesFor } from './full-room.ts';
import { charsFlag, joinRateFlag, viewersFlag, warmUpFlag } from './room-flags.ts';
import { defineLoad } from './scenario.ts';
import { AHEAD_MS, type Run } from './scenario-run.ts';
import { metricsOf } from './target.ts';

const FLAGS = {
  viewers: viewersFlag(1_000, 4),
  stalled: share(0.05, 'of them stop reading in every other phase'),
  rate: count(1_500, 'chat messages per second of the whole room', { max: 1_000_000 }),
  writers: count(20, 'viewers who alternate in writing them; none of them stalls', { max: 2_000_000 }),
  // The kernel buffers about 4 MB per stalled connection before the gateway notices.
  chars: charsFlag(LIMITS.chatTextCharsMax),
  joinRate: joinRateFlag(1_000),
  warmUp: warmUpFlag(3),
  recover: count(3, 'seconds to catch up after the viewers read again', { min: 1, max: 600 }),
  othersShare: share(0.1, 'fail if the p99 of the others grows by more than this (median of the rounds)'),
};

const TRAIL_MS = 1_500;
/** Of the viewers who never stall. */
const MEASURING_VIEWERS = 100;
const TOO_SLOW = 'closed_4001';

type Phase = { readonly stretch: Stretch; readonly memoryGrowthBytes: number; readonly demoted: number };

interface Round {
  readonly quiet: Phase;
  readonly stalling: Phase;
  /** Connections closed with "resume". */
  closed: number;
}

export const stalled = defineLoad({
  name: 'stalled',
  about: 'p99 of the other viewers while some stop reading, phases with and without alternating; memory of each',
  flags: FLAGS,
  defaults: { seconds: 15, rounds: 3 },
  check(flags, { url }) {
    const every = everyOf(flags.stalled);
    if (!(every >= 2 && Number.isFinite(every))) throw new FlagError('--stalled is a share above 0, at most 50 %');
    if (Math.ceil(flags.viewers / every) + flags.writers > flags.viewers)
      throw new FlagError(`--writers ${flags.writers} do not fit among the ${flags.viewers} viewers who read`);
    checkWriters(flags, url === null);
  },
  start: ({ rate, writers }) => ({ env: ratesFor(rate / writers) }),
  collect: () => ({ rounds: [] as Round[], ends: [] as ViewersSummary[] }),
  async load(run, collected) {
    const { flags, common, fleet } = run;
    const { viewers, joinRate, writers, chars, rate: perSecond, recover } = flags;
    const every = everyOf(flags.stalled);
    // The same viewers are measured in both phases: neighbors of those who stall.
    const measureEvery = every * Math.max(1, Math.floor(viewers / every / MEASURING_VIEWERS));
    const { room } = await fillRoom(run, { label: 'stalled', viewers, joinRate, measureEvery, measureFrom: 1 });
    const phaseMs = common.seconds * 1000;
    const chatMs = fleet.secondAfter(AHEAD_MS);
    run.phase('warm-up', { fromMs: chatMs });
    const forMs = flags.warmUp * 1000 + common.rounds * (2 * phaseMs + recover * 1000 + 1000);
    const plan = { perSecond, arrivals: 'poisson', forMs, chars, writers, skipEvery: every } as const;
    room.command({ do: 'chat', atMs: chatMs, plan });
    await fleet.until(chatMs + flags.warmUp * 1000);
    const measure = async (name: string, fromMs: number): Promise<Phase> => {
      const stretch = run.phase(name, { fromMs, forMs: phaseMs, measured: true });
      const before = await readGateway(run);
      await fleet.until(stretch.toMs);
      const after = await readGateway(run);
      const memoryGrowthBytes = after.memoryBytes - before.memoryBytes;
      return { stretch, memoryGrowthBytes, demoted: after.demotions - before.demotions };
    };
    for (let round = 1; round <= common.rounds; round++) {
      const fromMs = fleet.secondAfter(0);
      await fleet.until(fromMs);
      const closedBefore = closedAsSlow(run);
      const quiet = await measure(`all read, round ${round}`, fromMs);
      room.command({ do: 'stall', every, forMs: phaseMs });
      const stalling = await measure(`${silentOf(flags)} stalled, round ${round}`, quiet.stretch.toMs);
      const current: Round = { quiet, stalling, closed: 0 };
      collected.rounds.push(current);
      run.phase('catching up');
      await run.wait(recover * 500);
      room.command({ do: 'return' });
      await run.wait(recover * 500);
      current.closed = closedAsSlow(run) - closedBefore;
    }
    run.phase('trailing');
    await fleet.until(Math.max(fleet.nowMs(), chatMs + forMs) + TRAIL_MS);
    collected.ends = (await room.stop()) as ViewersSummary[];
  },
  report(run, { rounds, ends }) {
    const { flags } = run;
    const silent = silentOf(flags);
    const others = run.latency('delivery', ...rounds.map(({ stalling }) => stalling.stretch));
    const p99 = (phase: Phase): number => run.p99Of('delivery')(phase) ?? Number.NaN;
    const ratioOf = ({ stalling, quiet }: Round): number => p99(stalling) / p99(quiet);
    const percent = (value: number): string => `${value < 0 ? '' : '+'}${(value * 100).toFixed(1)} %`;
    const { higher, lower, neither } = figuresOver(rounds);
    const delivered = run.rateOf('delivered');
    const memory = ({ stalling }: Round): number => stalling.memoryGrowthBytes / 1024 / silent;
    const grown = 'growth of the gateway process outside of the JavaScript heap while they stalled';
    const otherCloses = run.refusals().filter(({ code }) => /^closed_(?!4001)/.test(code));
    const closes = otherCloses.map(({ code, count: times }) => `${times} ${code}`);
    const onlyStalled = 'only stalled connections were closed, with resume';
    const checks = [
      ...connectionChecks(run, ends, flags.viewers),
      checkOf(onlyStalled, undefined, closes, `${closedAsSlow(run)} closed with 4001`),
      gapCheck(ends, run.count('missed')),
    ];
    return {
      figures: [
        lower('p99 of the others, stalled against not', 'x', ratioOf, 'each phase against the one before it'),
        lower('delivery p99, all read', 'ms', ({ quiet }) => p99(quiet), 'from due to viewers who never stall'),
        lower(`delivery p99 of the others, ${silent} stalled`, 'ms', ({ stalling }) => p99(stalling), 'same viewers'),
        higher('messages delivered, all read', '/s', ({ quiet }) => delivered(quiet), 'messages x viewers'),
        neither('demoted', '', ({ stalling }) => stalling.demoted, `of ${silent} stalled: lost chat, kept the rest`),
        neither('closed with resume', '', ({ closed }) => closed, `of ${silent} stalled: over the hard limit`),
        // Later rounds reuse memory of earlier ones.
        figuresOver(rounds.slice(0, 1)).lower('memory per stalled viewer', 'KiB', memory, grown),
      ],
      checks: ends.length === 0 ? [] : checks,
      levels: [
        ...mostLevel('othersShare', flags.othersShare, median(rounds.map(ratioOf)) - 1, percent),
        ...commonLevels(run.common, others),
      ],
      headline: others,
    };
  },
});

const everyOf = (part: number): number => Math.round(1 / part);
const silentOf = ({ viewers, stalled: part }: Run<typeof FLAGS>['flags']): number => Math.ceil(viewers / everyOf(part));

const closedAsSlow = (run: Run<typeof FLAGS>): number =>
  run.refusals().find(({ code }) => code === TOO_SLOW)?.count ?? 0;

/** Excludes the JavaScript heap, which varies by more than the buffers of slow connections. */
async function readGateway(run: Run<typeof FLAGS>): Promise<{ memoryBytes: number; demotions: number }> {
  const names = ['process_resident_memory_bytes', 'nodejs_heap_size_total_bytes', 'stampede_demotions_total'];
  const [, [resident = Number.NaN, heap = Number.NaN, demotions = Number.NaN]] = await Promise.all([
    run.readServer(),
    metricsOf(run.target, names),
  ]);
  return { memoryBytes: resident - heap, demotions };
}
