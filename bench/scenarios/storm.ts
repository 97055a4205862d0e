/** All connections break at the same moment and come back with their positions. */
import { syntheticChat } from '../evening/chat.ts';
import { type EveningResult, type Host, openEvening } from '../evening/host.ts';
import type { Stretch } from '../generator/assemble.ts';
import { commonLevels, latencyLevel, milliseconds, mostLevel } from '../verdict/levels.ts';
import { figuresOver } from './figures.ts';
import { choice, duration, FlagError } from './flags.ts';
import { joinEvenly } from './room.ts';
import { chatRateFlag, joinRateFlag, p99Flag, viewersFlag } from './room-flags.ts';
import { defineLoad } from './scenario.ts';
import { AHEAD_MS, type Run } from './scenario-run.ts';

const FLAGS = {
  viewers: viewersFlag(500),
  joinRate: joinRateFlag(500),
  chat: chatRateFlag(20),
  to: choice(
    ['same-node', 'other-node'],
    'same-node',
    'where they come back; other-node kills theirs, and the other one never had the room',
  ),
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
  start: ({ to }) => ({ spare: to === 'other-node' }),
  check({ to, away, back }) {
    if (to === 'other-node' && (away !== FLAGS.away.initial || back !== FLAGS.back.initial))
      throw new FlagError('--away and --back are for --to same-node: a killed node leaves the delay to the clients');
  },
  collect: (): Round[] => [],
  async load(run, rounds) {
    for (let round = 1; round <= run.common.rounds; round++) rounds.push(await breakAll(run, run.common.seed + round));
  },
  report(run, rounds) {
    const { viewers, resumeP99, allResumed } = run.flags;
    const resume = run.latency('resume');
    const { higher, lower } = figuresOver(rounds);
    const perViewer = ({ redisCommands }: Round): number => redisCommands / viewers;
    const commands =
      run.flags.to === 'same-node'
        ? lower('Redis commands per viewer', '', perViewer, 'beyond an idle room')
        : lower('Redis commands', '', ({ redisCommands }) => redisCommands, 'of all viewers, beyond the room before');
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
  const isKilled = flags.to === 'other-node';
  // Few commands can be counted only while no chat adds some.
  const chatMs = isKilled ? BEFORE_MS / 2 : BEFORE_MS + awayMs + backMs + WAIT_MS;
  host.sendChat(quietMs, syntheticChat(seed, flags.chat, chatMs));
  run.phase('before', { fromMs: quietMs, forMs: BEFORE_MS });
  const idleMs = isKilled ? BEFORE_MS / 3 : BEFORE_MS;
  await fleet.until(breakMs - idleMs);
  const idleCommands = await commandsDuring(run, () => fleet.until(breakMs - AHEAD_MS));
  run.phase('away', { fromMs: breakMs, forMs: awayMs });
  if (!isKilled) host.command({ do: 'drop', atMs: breakMs, share: 1, overMs: 0, awayMs, backMs });
  const stretch = run.phase('resuming', { fromMs: returnMs, measured: true });
  const isBack = (): boolean => run.count('resumed', stretch) + run.count('snapshots', stretch) >= viewers;
  const startedMs = fleet.nowMs();
  const commands = await commandsDuring(run, async () => {
    if (isKilled) await killNode(run, host, breakMs);
    else await fleet.until(returnMs);
    await fleet.when(`${viewers} viewers to come back`, isBack, backMs + WAIT_MS);
  });
  const redisCommands = commands - (idleCommands / (idleMs - AHEAD_MS)) * (fleet.nowMs() - startedMs);
  run.phase('after', { fromMs: fleet.secondAfter(0) });
  await run.wait(AFTER_MS);
  const ended = await host.end(NO_COUNTDOWN);
  await target.engine?.spare?.startOther();
  return { ...ended, stretch, allResumedMs: ended.lastResumeMs - returnMs, redisCommands };
}

/** The viewers come back as the protocol says, and find that they have missed an event. */
async function killNode({ target, fleet }: Run<typeof FLAGS>, host: Host, atMs: number): Promise<void> {
  const spare = target.engine?.spare;
  if (!spare) throw new Error('a storm to another node needs a spare one');
  host.command({ do: 'move', gateway: { ...target.gateway, port: spare.port } });
  await fleet.until(atMs);
  await spare.killOther();
  await host.office.announce(host.show, 'Sorry, we are back.');
}

/** Commands that Redis ran in the meantime; 0 if its statistics are not accessible. */
async function commandsDuring({ target: { engine } }: Run<typeof FLAGS>, wait: () => Promise<void>): Promise<number> {
  const total = async (): Promise<number> => (await engine?.redis.commandsRun()) ?? 0;
  const before = await total();
  await wait();
  return (await total()) - before;
}
