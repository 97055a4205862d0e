/** Chat intake: messages per second that one gateway accepts if delivery is no bottleneck. */
import { LIMITS } from '../../src/limits.ts';
import { busiestOf, CPU_SHARE_MAX, type Stretch } from '../generator/assemble.ts';
import { median } from '../generator/median.ts';
import type { IngestCommand, IngestParams, IngestSummary } from '../generator/workloads/ingest.ts';
import type { Check, Figure } from '../report/result.ts';
import { checkThat, whole } from '../verdict/check.ts';
import { atLeast, commonLevels } from '../verdict/levels.ts';
import { figuresOver } from './figures.ts';
import { count, FlagError } from './flags.ts';
import { connectionChecks } from './full-room.ts';
import { openRoom } from './room.ts';
import { joinRateFlag, warmUpFlag } from './room-flags.ts';
import { defineLoad } from './scenario.ts';
import { AHEAD_MS, type Run, secondsOf } from './scenario-run.ts';
import { cpuSecondsBetween } from './target.ts';

const SHOWN = 'display cap of each show, so that delivery is not what is measured; 0: no cap';
const FLAGS = {
  sockets: count(1_000, 'connections that write', { max: 100_000 }),
  shows: count(4, 'shows they are spread over', { max: 10_000 }),
  shown: count(20, SHOWN, { min: 0, max: LIMITS.chatShownPerSecondMax }),
  bunch: count(8, 'messages that each sends in one write', { max: LIMITS.inFlightPerConnectionMax }),
  rate: count(10_000, 'messages per second in the scheduled phase; 0 omits it', { min: 0, max: 1_000_000 }),
  chars: count(48, 'length of a message', { max: LIMITS.chatTextCharsMax }),
  joinRate: joinRateFlag(2_000),
  warmUp: warmUpFlag(2),
  accepted: count(50_000, 'fail if fewer are accepted per second, flat out; 0: not judged', { min: 0 }),
};

const JOIN_MS_MAX = 60_000;
const DRAIN_MS = 1_000;
/** No writer is refused for its rate: the rate is what is measured. */
const RATES = { CHAT_PER_SECOND: '100000', REQUESTS_PER_SECOND: '100000' };

type IngestRun = Run<typeof FLAGS>;
type Reading = Awaited<ReturnType<typeof read>>;
type Phase = { readonly stretch: Stretch; readonly before: Reading; after: Reading | null };
type Command = { readonly do: 'flood' } | { readonly do: 'write'; readonly perSecond: number };

export const ingest = defineLoad({
  name: 'ingest',
  about: 'chat messages per second that one gateway accepts: flat out, then scheduled; CPU and Redis commands',
  flags: FLAGS,
  defaults: { seconds: 5, processes: 2 },
  check({ sockets, shows }, { url }) {
    if (shows > sockets) throw new FlagError(`--shows ${shows} are more than --sockets ${sockets}`);
    if (url !== null) throw new FlagError('--url: this scenario starts an engine without limits per user');
  },
  start: () => ({ env: RATES }),
  collect: () => ({ floods: [] as Phase[], schedules: [] as Phase[], ends: [] as IngestSummary[] }),
  async load(run, collected) {
    const { flags, common, fleet, target } = run;
    run.phase('preparing');
    const shows = await Promise.all(
      Array.from({ length: flags.shows }, async () => {
        const show = await openRoom(target, 'ingest', { chatShownPerSecond: flags.shown });
        return { show, access: await target.access(show, Math.ceil(flags.sockets / flags.shows)) };
      }),
    );
    const writers = await fleet.load<IngestParams, IngestCommand>('ingest', {
      gateway: target.gateway,
      shows,
      variant: common.variant,
      users: flags.sockets,
      joinPerSecond: flags.joinRate,
      bunch: flags.bunch,
      chars: flags.chars,
    });
    const joinMs = fleet.secondAfter(AHEAD_MS);
    run.phase('joining', { fromMs: joinMs });
    writers.start(joinMs);
    const areJoined = (): boolean => run.gauge('writers') === flags.sockets;
    await fleet.when(`${flags.sockets} writers to join`, areJoined, JOIN_MS_MAX);
    /** A warm-up directly before the measured phase, and time to drain after it. */
    const measure = async (name: string, measured: boolean, phases: Phase[], command: Command): Promise<void> => {
      const atMs = fleet.secondAfter(AHEAD_MS);
      const fromMs = atMs + flags.warmUp * 1000;
      run.phase(`${name}: warm-up`, { fromMs: atMs });
      writers.command({ ...command, atMs, forMs: (flags.warmUp + common.seconds) * 1000 });
      await fleet.until(fromMs);
      const stretch = run.phase(name, { fromMs, forMs: common.seconds * 1000, measured });
      const phase: Phase = { stretch, before: await read(run), after: null };
      phases.push(phase);
      await fleet.until(stretch.toMs);
      phase.after = await read(run);
      run.phase('draining');
      await run.wait(DRAIN_MS);
    };
    const { rate: perSecond } = flags;
    for (let round = 1; round <= common.rounds; round++) {
      await measure('flat out', perSecond === 0, collected.floods, { do: 'flood' });
      if (perSecond > 0) await measure('on a schedule', true, collected.schedules, { do: 'write', perSecond });
    }
    collected.ends = (await writers.stop()) as IngestSummary[];
  },
  report(run, { floods, schedules, ends }) {
    const { accepted, rate, sockets } = run.flags;
    const stretches = floods.map(({ stretch }) => stretch);
    const flatOut = run.latency('reply, flat out', ...stretches);
    const reply = run.latency('reply', ...schedules.map(({ stretch }) => stretch));
    const flood = figuresOf(run, floods, ', flat out', 'reply, flat out', 'from the write to its ok');
    const level = (value: number): string => `${whole(value)}/s`;
    return {
      figures: [...flood, ...figuresOf(run, schedules, `, at ${rate}/s`, 'reply', 'from due to its ok')],
      checks: ends.length === 0 ? [] : checksOf(run, ends, sockets),
      levels: [
        ...(accepted === 0 ? [] : [atLeast('--accepted', accepted, median(flood[0]?.runs ?? []), level)]),
        ...commonLevels(run.common, reply ?? flatOut),
      ],
      headline: reply ?? flatOut,
      // Flat out the generator works as hard as the gateway, so it is judged in that phase as well.
      alsoJudged: { stretches, headline: flatOut },
    };
  },
});

async function read(run: IngestRun) {
  const redisCommands = (await run.target.engine?.redis.commandsRun()) ?? Number.NaN;
  return { server: await run.readServer(), redisCommands };
}

function figuresOf(run: IngestRun, phases: readonly Phase[], how: string, latency: string, since: string): Figure[] {
  if (phases.length === 0) return [];
  const { higher, lower, neither } = figuresOver(phases);
  const accepted = ({ stretch }: Phase): number => run.count('chat accepted', stretch);
  const cpu = (name: string, { before, after }: Phase): number =>
    cpuSecondsBetween(name, before.server, after?.server ?? null);
  const micros = (name: string) => (phase: Phase) => (cpu(name, phase) * 1e6) / accepted(phase);
  const cores = (phase: Phase): number => cpu('gateway', phase) / secondsOf(phase.stretch);
  const busiest = ({ stretch }: Phase): number => busiestOf(run.samples(stretch)).share;
  const commands = (phase: Phase): number =>
    ((phase.after?.redisCommands ?? Number.NaN) - phase.before.redisCommands) / accepted(phase);
  return [
    higher(`accepted${how}`, '/s', run.rateOf('chat accepted'), 'messages with an ok'),
    lower(`reply p50${how}`, 'ms', run.p50Of(latency), since),
    lower(`reply p99${how}`, 'ms', run.p99Of(latency), since),
    lower(`refused${how}`, '/s', ({ stretch }) => run.refused(stretch) / secondsOf(stretch), 'errors or no reply'),
    lower(`gateway CPU${how}`, 'us', micros('gateway'), 'per accepted message'),
    neither(`gateway${how}`, 'cores', cores, 'of the one core that its JavaScript can use'),
    lower(`Redis CPU${how}`, 'us', micros('redis'), 'per accepted message'),
    lower(`Redis commands${how}`, '', commands, 'per accepted message, including those that scripts call'),
    neither(`busiest generator${how}`, 'cores', busiest, `above ${CPU_SHARE_MAX} the generator is what was measured`),
  ];
}

function checksOf(run: IngestRun, ends: readonly IngestSummary[], sockets: number): Check[] {
  const accepted = run.count('chat accepted');
  const lastIds = new Map<string, number>();
  for (const { lastIds: own } of ends)
    for (const [show, id] of Object.entries(own)) lastIds.set(show, Math.max(id, lastIds.get(show) ?? 0));
  const numbered = [...lastIds.values()].reduce((total, id) => total + id, 0);
  const sums = `${accepted} accepted; the last numbers of the shows add up to ${numbered}`;
  const unique = checkThat('each accepted message has a unique number', accepted === numbered, sums);
  return [...connectionChecks(run, ends, sockets), unique];
}
