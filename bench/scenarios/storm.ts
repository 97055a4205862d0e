/**
 * Everybody loses their line in the same moment and comes back with their position: a gateway
 * behind a tunnel, a network that blinked.
 */

import { syntheticChat } from '../evening/chat.ts';
import { type Ended, openEvening } from '../evening/host.ts';
import type { BenchResult, Figure } from '../report/result.ts';
import { commonLevels, latencyLevel, milliseconds, mostLevel } from '../verdict/levels.ts';
import { type Chronicle, joinEvenly, openRun } from './chronicle.ts';
import { figuresOfRounds } from './figures.ts';
import { count, duration } from './flags.ts';
import { defineScenario } from './scenario.ts';
import type { Target } from './target.ts';

const FLAGS = {
  viewers: count(500, 'how many are there', { max: 2_000_000 }),
  joinRate: count(500, 'how many come a second before it', { max: 200_000 }),
  chat: count(20, 'messages a second meanwhile', { min: 0, max: 100_000 }),
  away: duration(0, 'the network stays down so long'),
  back: duration(500, 'then each comes back within this time (the first wait of the protocol is up to 500 ms)'),
  resumeP99: duration<number | null>(null, 'fail when the 99th percentile from reconnect to welcome is above this'),
  allResumed: duration<number | null>(null, 'fail when the last is back later than this after the first tried'),
};

const BEFORE_MS = 3_000;
const AFTER_MS = 2_000;
const WAIT_MS = 45_000;
/** Nothing is sold; no countdown to see together. */
const NO_ZERO = Number.POSITIVE_INFINITY;

interface Round extends Ended {
  readonly resuming: { readonly fromMs: number; readonly toMs: number };
  readonly allResumedMs: number;
  readonly redisCommands: number;
}

export const storm = defineScenario({
  name: 'storm',
  about: 'everybody loses the line at once and comes back with their position: time until all have resumed',
  flags: FLAGS,
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const run = await openRun(context);
    const { target, fleet, chronicle } = run;
    const rounds: Round[] = [];
    await chronicle.unlessStopped(async () => {
      for (let round = 1; round <= common.rounds; round++) {
        chronicle.phase('preparing');
        const host = await openEvening(target, fleet, common, { label: 'storm', people: flags.viewers, clocks: false });
        await joinEvenly(run, host, flags.viewers, flags.joinRate, WAIT_MS);
        const quietMs = fleet.secondAfter(0);
        const breakMs = quietMs + BEFORE_MS;
        const returnMs = breakMs + flags.away;
        host.talk(
          quietMs,
          syntheticChat(common.seed + round, flags.chat, BEFORE_MS + flags.away + flags.back + WAIT_MS),
        );
        chronicle.phase('before', { fromMs: quietMs, forMs: BEFORE_MS });
        const calm = await commandsOver(target, () => fleet.until(breakMs - 200), BEFORE_MS);
        chronicle.phase('away', { fromMs: breakMs, forMs: flags.away });
        host.command({ do: 'drop', atMs: breakMs, share: 1, overMs: 0, awayMs: flags.away, backMs: flags.back });
        const resuming = chronicle.phase('resuming', { fromMs: returnMs, measured: true });
        await fleet.until(returnMs);
        const startedMs = fleet.nowMs();
        const resumed = (): number => chronicle.count('resumed', resuming) + chronicle.count('snapshots', resuming);
        const busy = await commandsOver(
          target,
          () => fleet.when('everybody to be back', () => resumed() >= flags.viewers, flags.back + WAIT_MS),
          null,
        );
        const tookMs = fleet.nowMs() - startedMs;
        chronicle.phase('after', { fromMs: fleet.secondAfter(0) });
        await fleet.until(fleet.nowMs() + AFTER_MS);
        const ended = await host.end(NO_ZERO);
        rounds.push({
          ...ended,
          resuming,
          allResumedMs: ended.lastResumeMs - returnMs,
          redisCommands: busy.commands - calm.perMs * tookMs,
        });
      }
    });
    const resume = chronicle.latency('resume');
    const allResumedMs = rounds.map((round) => round.allResumedMs);
    return chronicle.finish({
      figures: figuresOf(chronicle, rounds, flags.viewers, target),
      checks: rounds.flatMap(({ checks }) => checks),
      levels: [
        ...commonLevels(common, resume),
        ...latencyLevel('resumeP99', flags.resumeP99, resume),
        ...mostLevel('allResumed', flags.allResumed, Math.max(...allResumedMs), milliseconds),
      ],
      headline: resume,
    });
  },
});

function figuresOf(chronicle: Chronicle, rounds: readonly Round[], viewers: number, target: Target): Figure[] {
  const of = figuresOfRounds(rounds);
  return [
    of(
      'all resumed',
      'ms',
      'lower',
      'from the first attempt that was due to the last welcome',
      ({ allResumedMs }) => allResumedMs,
    ),
    of(
      'resume p50',
      'ms',
      'lower',
      'from due to welcome',
      ({ resuming }) => chronicle.latency('resume', resuming)?.p50Ms,
    ),
    of(
      'resume p99',
      'ms',
      'lower',
      'from due to welcome',
      ({ resuming }) => chronicle.latency('resume', resuming)?.p99Ms,
    ),
    of(
      'from memory',
      '%',
      'higher',
      'resumed from the ring of the node or the log; the rest took a snapshot',
      ({ evidence: { line } }) => (line.reconnects === 0 ? undefined : (line.resumed * 100) / line.reconnects),
    ),
    ...(target.engine === null
      ? []
      : [
          of(
            'Redis commands a viewer',
            '',
            'lower',
            'beyond those of a calm room in the same time',
            ({ redisCommands }) => redisCommands / viewers,
          ),
        ]),
  ];
}

/** Commands that Redis ran meanwhile, where it is our own to ask. */
async function commandsOver(
  { engine }: Target,
  run: () => Promise<void>,
  forMs: number | null,
): Promise<{ commands: number; perMs: number }> {
  const total = async (): Promise<number> => (await engine?.redis.commandsRun()) ?? 0;
  const before = await total();
  await run();
  const commands = (await total()) - before;
  return { commands, perMs: forMs === null ? 0 : commands / forMs };
}
