/** How fast people get in, and what one who only sits there costs. */
import type { Stretch } from '../generator/assemble.ts';
import type { LoadHandle } from '../generator/contract.ts';
import type { AudienceParams, AudienceSummary } from '../generator/workloads/viewers.ts';
import type { BenchResult, Check } from '../report/result.ts';
import { commonLevels } from '../verdict/levels.ts';
import { type Chronicle, openRun } from './chronicle.ts';
import { figure } from './figures.ts';
import { count, duration } from './flags.ts';
import { openRoom } from './room.ts';
import { defineScenario } from './scenario.ts';
import { cpuSecondsBetween, type ServerReading } from './target.ts';

const FLAGS = {
  viewers: count(2_000, 'how many come', { max: 2_000_000 }),
  joinRate: count(500, 'how many a second, on a fixed schedule', { max: 200_000 }),
  settle: duration(
    45_000,
    'rest before the first viewer and after the last until memory is read: Node gives back what the joins left half a minute later; 0 = none',
  ),
};

/** Somebody who was not let in within this long after the last was due is not waited for. */
const STRAGGLE_MS = 15_000;
const BEFORE_MS = 300;
/**
 * Who comes and goes before anything is measured, so that neither side runs code that is not
 * compiled yet.
 */
const WARM_UP_PEOPLE = 500;
const WARM_UP_MS = 2_000;

export const connect = defineScenario({
  name: 'connect',
  about: 'join rate, join latency from the moment each was due, memory of an idle viewer',
  flags: FLAGS,
  defaults: { seconds: 5 },
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const run = await openRun(context);
    const { target, fleet, chronicle } = run;
    const rounds: Array<{
      joining: Stretch;
      joined: number;
      seconds: number;
      cpuSeconds: number;
      memoryBytes: number;
      restedBytes: number;
    }> = [];
    const rest = async (): Promise<ServerReading | null> => {
      chronicle.phase('settling');
      await fleet.until(fleet.nowMs() + flags.settle);
      return chronicle.readServer();
    };
    await chronicle.unlessStopped(async () => {
      const prepare = async (people: number): Promise<LoadHandle> => {
        const show = await openRoom(target, 'connect');
        const access = await target.access(show, people);
        const { gate } = target;
        const params = {
          gate,
          show,
          access,
          role: 'viewer',
          variant: common.variant,
          people,
          joinPerSecond: flags.joinRate,
          measureEvery: 50,
        } as const;
        return fleet.load<AudienceParams>('audience', params);
      };
      chronicle.phase('warm-up');
      const early = await prepare(Math.min(WARM_UP_PEOPLE, flags.viewers));
      early.start(fleet.nowMs());
      await fleet.until(fleet.nowMs() + WARM_UP_MS);
      await early.stop();
      for (let round = 1; round <= common.rounds; round++) {
        chronicle.phase('preparing');
        const crowd = await prepare(flags.viewers);
        // What a later round needs lies in memory that an earlier one left: only the first says
        // what a viewer costs.
        const before = round === 1 ? await rest() : await chronicle.readServer();
        const joiningMs = (flags.viewers * 1000) / flags.joinRate;
        const fromMs = fleet.secondAfter(BEFORE_MS);
        const joining = chronicle.phase('joining', { fromMs, measured: true });
        crowd.start(fromMs);
        await fleet.until(fromMs + joiningMs);
        // The last may still be on their way, and the samples of a second come when it is over.
        const untilMs = fleet.nowMs() + STRAGGLE_MS;
        const settled = (): number => chronicle.count('joined', joining) + refused(chronicle, joining);
        while (settled() < flags.viewers && fleet.nowMs() < untilMs) await fleet.until(fleet.nowMs() + 50);
        const after = await chronicle.readServer();
        const idle = chronicle.phase('idle', { fromMs: fleet.secondAfter(0), forMs: common.seconds * 1000 });
        await fleet.until(idle.toMs);
        const later = await chronicle.readServer();
        const rested = round === 1 ? await rest() : null;
        const joined = chronicle.gauge('viewers');
        chronicle.phase('leaving');
        const ends = (await crowd.stop()) as AudienceSummary[];
        rounds.push({
          joining,
          joined,
          seconds: (Math.max(...ends.map(({ lastJoinMs }) => lastJoinMs)) - fromMs) / 1000,
          cpuSeconds: cpuSecondsBetween('gateway', before, after),
          memoryBytes: gatewayBytes(later) - gatewayBytes(before),
          restedBytes: gatewayBytes(rested) - gatewayBytes(before),
        });
      }
    });
    const join = chronicle.latency('join', ...rounds.map(({ joining }) => joining));
    return chronicle.finish({
      figures: [
        figure(
          'joined',
          '/s',
          'higher',
          rounds.map(({ joined, seconds }) => joined / seconds),
          'welcomed a second, from the first due to the last welcome',
        ),
        figure(
          'join p50',
          'ms',
          'lower',
          rounds.map(({ joining }) => chronicle.latency('join', joining)?.p50Ms ?? Number.NaN),
          'from due to welcome',
        ),
        figure(
          'join p99',
          'ms',
          'lower',
          rounds.map(({ joining }) => chronicle.latency('join', joining)?.p99Ms ?? Number.NaN),
          'from due to welcome',
        ),
        figure(
          'server CPU a join',
          'us',
          'lower',
          rounds.map(({ cpuSeconds, joined }) => (cpuSeconds * 1e6) / joined),
          'of the gateway process',
        ),
        figure(
          'memory a viewer',
          'KiB',
          'lower',
          rounds.slice(0, 1).map(({ restedBytes, joined }) => restedBytes / 1024 / joined),
          'growth of the gateway process, both readings after a rest',
        ),
        figure(
          'memory a viewer, joins just over',
          'KiB',
          'lower',
          rounds.slice(0, 1).map(({ memoryBytes, joined }) => memoryBytes / 1024 / joined),
          'the same with what the joins left to the garbage collector',
        ),
      ],
      checks: rounds.map(({ joined }, i) => everybodyIn(joined, flags.viewers, i)),
      levels: commonLevels(common, join),
      headline: join,
    });
  },
});

const gatewayBytes = (reading: ServerReading | null): number =>
  reading?.processes.find(({ name }) => name === 'gateway')?.memoryBytes ?? Number.NaN;

const refused = (chronicle: Chronicle, stretch: Stretch): number =>
  chronicle.refusals(stretch).reduce((sum, { count: times }) => sum + times, 0);

function everybodyIn(joined: number, wanted: number, round: number): Check {
  return {
    name: `everybody was let in${round === 0 ? '' : `, round ${round + 1}`}`,
    ok: joined === wanted,
    detail: `${joined} of ${wanted} were welcomed`,
  };
}
