/** N buyers on M units at the moment the countdown reaches zero. */
import { type Ended, openEvening } from '../evening/host.ts';
import type { BenchResult, Figure } from '../report/result.ts';
import { commonLevels, latencyLevel, milliseconds, mostLevel, share } from '../verdict/levels.ts';
import { type Chronicle, joinEvenly, openRun } from './chronicle.ts';
import { figure, figuresOfRounds } from './figures.ts';
import { count, duration } from './flags.ts';
import { defineScenario } from './scenario.ts';

const FLAGS = {
  buyers: count(2_000, 'how many want one', { max: 2_000_000 }),
  units: count(400, 'how many there are', { max: 10_000_000 }),
  joinRate: count(500, 'how many come a second before it', { max: 200_000 }),
  within: duration(500, 'how long people take to press after zero, each at a moment of their own'),
  early: share(0.05, 'of the buyers press before it opens too'),
  twice: share(0.05, 'of the buyers send their request twice, with the same key'),
  regret: share(0.05, 'of those who got one give it back'),
  pays: share(0.7, 'of those who got one pay; the rest let it lapse'),
  zeroSpread: duration(250, 'fail when viewers see zero further apart than this'),
  decisionP99: duration<number | null>(null, 'fail when the 99th percentile from press to answer is above this'),
  joinP99: duration<number | null>(null, 'fail when the 99th percentile from join to welcome is above this'),
  allAnswered: duration<number | null>(null, 'fail when the last answer comes later than this after zero'),
};

const COUNTDOWN_MS = 3_000;
const JOIN_WAIT_MS = 20_000;
const ANSWER_WAIT_MS = 30_000;
const PAY_WITHIN_MS = 2_000;
const HOLD_MS = 15_000;

interface Round extends Ended {
  readonly zeroMs: number;
  readonly decided: { readonly fromMs: number; readonly toMs: number };
}

export const rush = defineScenario({
  name: 'rush',
  about: 'N buyers on M units at zero: every answer, and the books afterwards',
  flags: FLAGS,
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const run = await openRun(context);
    const { target, fleet, chronicle } = run;
    const rounds: Round[] = [];
    await chronicle.unlessStopped(async () => {
      for (let round = 1; round <= common.rounds; round++) {
        chronicle.phase('preparing');
        const host = await openEvening(target, fleet, common, {
          label: 'rush',
          people: flags.buyers,
          clocks: true,
          pays: flags.pays,
          payWithinMs: PAY_WITHIN_MS,
        });
        await chronicle.readServer();
        await joinEvenly(run, host, flags.buyers, flags.joinRate, JOIN_WAIT_MS);
        chronicle.phase('countdown');
        const { zeroMs } = await host.sell({
          units: flags.units,
          opensInMs: COUNTDOWN_MS,
          durationMs: 600_000,
          holdMs: HOLD_MS,
          buyers: flags.buyers,
          withinMs: flags.within,
          perBuyer: 2,
          early: flags.early,
          twice: flags.twice,
          regret: flags.regret,
        });
        const decided = chronicle.phase('rush', { fromMs: zeroMs, measured: true });
        const lastMs = zeroMs + flags.within + 1_000;
        await fleet.when(
          'every press to be answered',
          () => fleet.nowMs() > lastMs + 1_000 && chronicle.gauge('presses waiting') === 0,
          flags.within + COUNTDOWN_MS + ANSWER_WAIT_MS,
        );
        chronicle.phase('paying');
        await fleet.until(lastMs + PAY_WITHIN_MS + 2_000);
        await chronicle.readServer();
        rounds.push({ ...(await host.end(flags.zeroSpread)), zeroMs, decided });
      }
    });
    const decision = chronicle.latency('decision');
    const allAnsweredMs = rounds.map(({ rushes }) =>
      Math.max(...rushes.map(({ firstDueMs, lastAnswerMs }) => lastAnswerMs - firstDueMs)),
    );
    return chronicle.finish({
      figures: figuresOf(chronicle, rounds, allAnsweredMs),
      checks: rounds.flatMap(({ checks }, i) =>
        checks.map((check) => ({ ...check, name: i === 0 ? check.name : `${check.name}, round ${i + 1}` })),
      ),
      levels: [
        ...commonLevels(common, decision),
        ...latencyLevel('decisionP99', flags.decisionP99, decision),
        ...latencyLevel('joinP99', flags.joinP99, chronicle.latency('join')),
        ...mostLevel('allAnswered', flags.allAnswered, Math.max(...allAnsweredMs), milliseconds),
      ],
      headline: decision,
    });
  },
});

function figuresOf(chronicle: Chronicle, rounds: readonly Round[], allAnsweredMs: readonly number[]): Figure[] {
  const of = figuresOfRounds(rounds);
  const zero = ({ evidence }: Round) => evidence.zeros[0];
  return [
    of(
      'answers',
      '',
      'neither',
      'presses that were answered, repeated ones included',
      ({ rushes }) => rushes[0]?.answers,
    ),
    of(
      'accepted',
      '',
      'neither',
      'answers that were a reservation, repeated ones included',
      ({ rushes }) => rushes[0]?.accepted,
    ),
    figure('all answered', 'ms', 'lower', allAnsweredMs, 'from the first press that was due to the last answer'),
    of(
      'decision p50',
      'ms',
      'lower',
      'from due to answered',
      ({ decided }) => chronicle.latency('decision', decided)?.p50Ms,
    ),
    of(
      'decision p99',
      'ms',
      'lower',
      'from due to answered',
      ({ decided }) => chronicle.latency('decision', decided)?.p99Ms,
    ),
    of(
      'accepted p99',
      'ms',
      'lower',
      'those who got one',
      ({ decided }) => chronicle.latency('accept', decided)?.p99Ms,
    ),
    of('zero spread', 'ms', 'lower', 'between the first and the last clock at zero', (round) =>
      spread(zero(round)?.clockFirstMs, zero(round)?.clockLastMs),
    ),
    of('opening spread', 'ms', 'lower', 'between the first and the last viewer who was told that it opened', (round) =>
      spread(zero(round)?.openedFirstMs, zero(round)?.openedLastMs),
    ),
  ];
}

const spread = (first: number | undefined, last: number | undefined): number | undefined =>
  first === undefined || last === undefined || last < first ? undefined : last - first;
