/** How fast viewers join, and what an idle viewer costs. */
import type { LoadHandle } from '../generator/contract.ts';
import type { ViewersParams, ViewersSummary } from '../generator/workloads/viewers.ts';
import { checkThat } from '../verdict/check.ts';
import { commonLevels } from '../verdict/levels.ts';
import { figuresOver, ofRound } from './figures.ts';
import { duration } from './flags.ts';
import { audienceBase } from './full-room.ts';
import { openRoom } from './room.ts';
import { joinRateFlag, viewersFlag } from './room-flags.ts';
import { defineLoad } from './scenario.ts';
import type { Run } from './scenario-run.ts';
import { cpuSecondsBetween, type ServerReading } from './target.ts';

const SETTLE =
  'idle time before the first viewer and after the last one, before memory is read; Node returns memory late';
const FLAGS = {
  viewers: viewersFlag(2_000),
  joinRate: joinRateFlag(500),
  settle: duration(45_000, SETTLE),
};

/** Viewers that have not joined this long after the last one was due are not awaited. */
const STRAGGLE_MS = 15_000;
const BEFORE_MS = 300;
/** These connect first, so that neither side runs uncompiled code in the measured phase. */
const WARM_UP_VIEWERS = 500;
const WARM_UP_MS = 2_000;

type Round = Awaited<ReturnType<typeof measure>>;

export const connect = defineLoad({
  name: 'connect',
  about: 'join rate, join latency from the moment each was due, memory of an idle viewer',
  flags: FLAGS,
  defaults: { seconds: 5 },
  collect: (): Round[] => [],
  async load(run, rounds) {
    run.phase('warm-up');
    const early = await prepare(run, Math.min(WARM_UP_VIEWERS, run.flags.viewers));
    early.start(run.fleet.nowMs());
    await run.wait(WARM_UP_MS);
    await early.stop();
    for (let round = 1; round <= run.common.rounds; round++) rounds.push(await measure(run, round === 1));
  },
  report(run, rounds) {
    const join = run.latency('join', ...rounds.map(({ stretch }) => stretch));
    const { higher, lower } = figuresOver(rounds);
    // Later rounds reuse memory of earlier ones.
    const first = figuresOver(rounds.slice(0, 1));
    const rested = ({ restedBytes, joined }: Round): number => restedBytes / 1024 / joined;
    const unrested = ({ memoryBytes, joined }: Round): number => memoryBytes / 1024 / joined;
    const { viewers } = run.flags;
    return {
      figures: [
        higher('joined', '/s', ({ joined, seconds }) => joined / seconds, 'from the first due to the last welcome'),
        lower('join p50', 'ms', run.p50Of('join'), 'from due to welcome'),
        lower('join p99', 'ms', run.p99Of('join'), 'from due to welcome'),
        lower('server CPU per join', 'us', (round) => (round.cpuSeconds * 1e6) / round.joined, 'of the gateway'),
        first.lower('memory per viewer', 'KiB', rested, 'growth of the gateway process, read after idle time'),
        first.lower('memory per viewer, right after the joins', 'KiB', unrested, 'including garbage of the joins'),
      ],
      checks: rounds.map(({ joined }, i) => {
        return checkThat(ofRound('all viewers joined', i), joined === viewers, `${joined} of ${viewers}`);
      }),
      levels: commonLevels(run.common, join),
      headline: join,
    };
  },
});

async function prepare(run: Run<typeof FLAGS>, viewers: number): Promise<LoadHandle> {
  const show = await openRoom(run.target, 'connect');
  return run.fleet.load<ViewersParams>('viewers', {
    ...(await audienceBase(run, show, viewers)),
    users: viewers,
    joinPerSecond: run.flags.joinRate,
    measureEvery: 50,
  });
}

async function measure(run: Run<typeof FLAGS>, isFirst: boolean) {
  const { flags, common, fleet } = run;
  const { viewers } = flags;
  const rest = async (): Promise<ServerReading | null> => {
    run.phase('settling');
    await run.wait(flags.settle);
    return run.readServer();
  };
  run.phase('preparing');
  const load = await prepare(run, viewers);
  const before = isFirst ? await rest() : await run.readServer();
  const fromMs = fleet.secondAfter(BEFORE_MS);
  const stretch = run.phase('joining', { fromMs, measured: true });
  load.start(fromMs);
  await fleet.until(fromMs + (viewers * 1000) / flags.joinRate);
  await run.atMost(STRAGGLE_MS, () => run.count('joined', stretch) + run.refused(stretch) >= viewers);
  const after = await run.readServer();
  const idle = run.phase('idle', { fromMs: fleet.secondAfter(0), forMs: common.seconds * 1000 });
  await fleet.until(idle.toMs);
  const later = await run.readServer();
  const rested = isFirst ? await rest() : null;
  const joined = run.gauge('viewers');
  run.phase('leaving');
  const ends = (await load.stop()) as ViewersSummary[];
  return {
    stretch,
    joined,
    seconds: (Math.max(...ends.map(({ lastJoinMs }) => lastJoinMs)) - fromMs) / 1000,
    cpuSeconds: cpuSecondsBetween('gateway', before, after),
    memoryBytes: gatewayBytes(later) - gatewayBytes(before),
    restedBytes: gatewayBytes(rested) - gatewayBytes(before),
  };
}

const gatewayBytes = (reading: ServerReading | null): number =>
  reading?.processes.find(({ name }) => name === 'gateway')?.memoryBytes ?? Number.NaN;
