/** All connections break at the same moment and come back with their positions. */
import { syntheticChat } from '../evening/chat.ts';
import { type EveningResult, openEvening } from '../evening/host.ts';
import type { Stretch } from '../generator/assemble.ts';
import { commonLevels, latencyLevel, milliseconds, mostLevel } from '../verdict/levels.ts';
import { figuresOver } from './figures.ts';
import { duration } from './flags.ts';
import { joinEvenly } from './room.ts';
import { chatRateFlag, joinRateFlag, p99Flag, viewersFlag } from './room-flags.ts';
import { defineLoad } from './scenario.ts';
import type { Run } from './scenario-run.ts';

const FLAGS = {
  viewers: viewersFlag(500),
  joinRate: joinRateFlag(500),
  chat: chatRateFlag(20),
  away: duration(0, 'how long the network stays down'),
  back: duration(500, 'time within which each viewer comes back (the protocol waits up to 500 ms at first)'),
  resumeP99: p99Flag('reconnect to welcome'),
  allResumed: duration<number | null>(null, 'fail if the last viewer is back later than this after the first attempt'),
};

const BEFORE_MS = 3_000;
const AFTER_MS = 2_000;
const WAIT_MS = 45_000;
const NO_COUNTDOWN = Number.POSITIVE_INFINITY;

type Round = EveningResult & { stretch: Stretch; allResumedMs: number; redisCommands: number };

export const storm = defineLoad({
  name: 'storm',
  about: 'all connections break at once and come back with their positions: time until all have resumed',
  flags: FLAGS,
  collect: (): Round[] => [],
  async load(run, rounds) {
    for (let round = 1; round <= run.common.rounds; round++) rounds.push(await breakAll(run, run.common.seed + round));
  },
  report(run, rounds) {
    const { viewers, resumeP99, allResumed } = run.flags;
    const resume = run.latency('resume');
    const { higher, lower } = figuresOver(rounds);
    const perViewer = ({ redisCommands }: Round): number => redisCommands / viewers;
    const commands = lower('Redis commands per viewer', '', perViewer, 'beyond an idle room');
    const fromMemory = ({ evidence: { connections } }: Round): number =>
      (connections.resumed * 100) / connections.reconnects;
    return {
      figures: [
        lower('all resumed', 'ms', ({ allResumedMs }) => allResumedMs, 'from the first attempt to the last welcome'),
        lower('resume p50', 'ms', run.p50Of('resume'), 'from due to welcome'),
        lower('resume p99', 'ms', run.p99Of('resume'), 'from due to welcome'),
        higher(
          'from memory',
          '%',
          fromMemory,
          'resumed from the ring of the node or the log; the rest took a snapshot',
        ),
        ...(run.target.engine === null ? [] : [commands]),
      ],
      checks: rounds.flatMap(({ checks }) => checks),
      levels: [
        ...commonLevels(run.common, resume),
        ...latencyLevel('resumeP99', resumeP99, resume),
        ...mostLevel('allResumed', allResumed, Math.max(...rounds.map((round) => round.allResumedMs)), milliseconds),
      ],
      headline: resume,
    };
  },
});

async function breakAll(run: Run<typeof FLAGS>, seed: number): Promise<Round> {
  const { flags, common, fleet, target } = run;
  const { viewers, away: awayMs, back: backMs } = flags;
  run.phase('preparing');
  const host = await openEvening(target, fleet, common, { label: 'storm', users: viewers, clocks: false });
  await joinEvenly(run, host, viewers, flags.joinRate, WAIT_MS);
  const quietMs = fleet.secondAfter(0);
  const breakMs = quietMs + BEFORE_MS;
  const returnMs = breakMs + awayMs;
  host.sendChat(quietMs, syntheticChat(seed, flags.chat, BEFORE_MS + awayMs + backMs + WAIT_MS));
  run.phase('before', { fromMs: quietMs, forMs: BEFORE_MS });
  const idleCommands = await commandsDuring(run, () => fleet.until(breakMs - 200));
  run.phase('away', { fromMs: breakMs, forMs: awayMs });
  host.command({ do: 'drop', atMs: breakMs, share: 1, overMs: 0, awayMs, backMs });
  const stretch = run.phase('resuming', { fromMs: returnMs, measured: true });
  await fleet.until(returnMs);
  const startedMs = fleet.nowMs();
  const isBack = (): boolean => run.count('resumed', stretch) + run.count('snapshots', stretch) >= viewers;
  const allBack = () => fleet.when(`${viewers} viewers to come back`, isBack, backMs + WAIT_MS);
  const commands = await commandsDuring(run, allBack);
  const redisCommands = commands - (idleCommands / BEFORE_MS) * (fleet.nowMs() - startedMs);
  run.phase('after', { fromMs: fleet.secondAfter(0) });
  await run.wait(AFTER_MS);
  const ended = await host.end(NO_COUNTDOWN);
  return { ...ended, stretch, allResumedMs: ended.lastResumeMs - returnMs, redisCommands };
}

/** Commands that Redis ran in the meantime; 0 if its statistics are not accessible. */
async function commandsDuring({ target: { engine } }: Run<typeof FLAGS>, wait: () => Promise<void>): Promise<number> {
  const total = async (): Promise<number> => (await engine?.redis.commandsRun()) ?? 0;
  const before = await total();
  await wait();
  return (await total()) - before;
}
