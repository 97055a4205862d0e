/** Latency of host events while the room writes more chat than can be delivered. */
import { stamped } from '../generator/stamp.ts';
import type { ViewersCommand, ViewersParams, ViewersSummary } from '../generator/workloads/viewers.ts';
import { checkThat } from '../verdict/check.ts';
import { commonLevels } from '../verdict/levels.ts';
import { figuresOver } from './figures.ts';
import { count, duration, FlagError } from './flags.ts';
import {
  audienceBase,
  type ChatRound,
  type ChatRun,
  checkWriters,
  connectionChecks,
  joinAll,
  measureRounds,
  type Room,
  ratesFor,
  sumOf,
} from './full-room.ts';
import { openRoom } from './room.ts';
import { charsFlag, joinRateFlag, viewersFlag, warmUpFlag } from './room-flags.ts';
import { defineLoad } from './scenario.ts';
import { AHEAD_MS, type Run, secondsOf } from './scenario-run.ts';

const FLAGS = {
  viewers: viewersFlag(1_000, 2),
  rate: count(12_000, 'chat messages per second offered: more than the gateway can deliver', { max: 1_000_000 }),
  writers: count(60, 'viewers who alternate in writing them', { max: 2_000_000 }),
  every: duration(100, 'interval of announcements through the control API'),
  chars: charsFlag(48),
  joinRate: joinRateFlag(1_000),
  warmUp: warmUpFlag(3),
};

/** The API accepts 100 requests per second and key. */
const EVERY_MS_MIN = 20;
const TRAIL_MS = 2_000;
/** Viewers that measure, spread evenly over the order of joining. */
const PROBES_MAX = 50;
/** No viewer has this remainder, so no viewer measures. */
const NO_VIEWER = -1;

type Announcements = { requested: number; made: number; failure: string | null };
type EventsRun = ChatRun & { announcements: Announcements };

export const events = defineLoad({
  name: 'events',
  about: 'events from a host while chat is saturated: from the commit of each to its arrival at every viewer',
  flags: FLAGS,
  // The promise: an event reaches all viewers within 100 ms under any chat load.
  defaults: { p99: 100 },
  check(flags, { url }) {
    checkWriters({ ...flags, viewers: flags.viewers - probesOf(flags.viewers) }, url === null);
    if (flags.every < EVERY_MS_MIN)
      throw new FlagError(`--every ${flags.every} ms: the control API takes 100 per second, so at least 20 ms`);
  },
  // Probes get a dedicated process: the others read all the chat and would measure their own queue.
  start: ({ rate, writers }, { processes }) => ({ env: ratesFor(rate / writers), fleet: { processes: processes + 1 } }),
  collect: (): EventsRun => ({ rounds: [], ends: [], announcements: { requested: 0, made: 0, failure: null } }),
  async load(run, collected) {
    const { flags, common, fleet } = run;
    const { show, room, probes } = await joinViewers(run);
    const forMs = (flags.warmUp + common.rounds * common.seconds) * 1000;
    const chatMs = fleet.secondAfter(AHEAD_MS);
    run.phase('warm-up', { fromMs: chatMs });
    const { rate: perSecond, chars, writers } = flags;
    room.command({ do: 'chat', atMs: chatMs, plan: { perSecond, arrivals: 'poisson', forMs, chars, writers } });
    const announcing = announce(run, show, chatMs, forMs, collected.announcements);
    await measureRounds(run, collected.rounds, 'events', chatMs + flags.warmUp * 1000);
    run.phase('trailing');
    await announcing;
    await run.wait(TRAIL_MS);
    collected.ends = (await Promise.all([room.stop(), probes.stop()])).flat() as ViewersSummary[];
  },
  report(run, { rounds, ends, announcements: { requested, made, failure } }) {
    const { viewers, rate } = run.flags;
    const { own } = run.target;
    // With another machine's clock, only the time from the request can be measured.
    const delivery = run.latency(own ? 'event' : 'event from its request', ...rounds.map(({ stretch }) => stretch));
    const { higher, lower, neither } = figuresOver(rounds);
    const since = 'from its commit (time of Redis) to a viewer, as measured by 50 viewers';
    const event = (name: string, field: 'p50Ms' | 'p99Ms' | 'maxMs') =>
      own ? [lower(name, 'ms', ({ stretch }) => run.latency('event', stretch)?.[field], since)] : [];
    const received = run.count('events');
    const why = failure === null ? '' : `: ${failure}`;
    const gaps = sumOf(ends, ({ eventGaps }) => eventGaps);
    const isComplete = received === made * viewers && gaps === 0;
    const counts = `${made} made x ${viewers} viewers = ${made * viewers}; ${received} received, ${gaps} missing`;
    const checks = [
      ...connectionChecks(run, ends, viewers),
      checkThat('each event was made', made === requested, `${requested} requested, ${made} made${why}`),
      checkThat('each event reached each viewer once', isComplete, counts, 'I7'),
    ];
    const accepted = ({ stretch }: ChatRound): number => (run.perSecond('chat accepted', stretch) * 100) / rate;
    const cores = ({ stretch, cpuSeconds }: ChatRound): number => cpuSeconds / secondsOf(stretch);
    const sinceRequest = 'from the moment the request was due, including HTTP API and commit';
    return {
      figures: [
        ...event('event p50', 'p50Ms'),
        ...event('event p99', 'p99Ms'),
        ...event('event max', 'maxMs'),
        lower('event p99 from its request', 'ms', run.p99Of('event from its request'), sinceRequest),
        higher('events delivered', '/s', run.rateOf('events'), 'events x viewers'),
        higher('messages delivered', '/s', run.rateOf('delivered'), 'messages x viewers'),
        neither('chat accepted', '%', accepted, `of ${rate}/s offered`),
        neither('chat p99', 'ms', run.p99Of('delivery'), 'from due to a viewer: saturation'),
        neither('gateway', 'cores', cores, 'of the one core that its JavaScript can use'),
      ],
      checks: ends.length === 0 ? [] : checks,
      levels: commonLevels(run.common, delivery),
      headline: delivery,
      measuring: [probeWorker(run)],
    };
  },
});

const probesOf = (viewers: number): number => Math.min(PROBES_MAX, Math.ceil(viewers / 4));

const probeWorker = ({ fleet: { workers } }: Run<typeof FLAGS>): number =>
  (workers.find(({ local }) => local) ?? workers[0])?.index ?? 0;

/** Probes have one worker, the other viewers share the rest. All join over the same time. */
async function joinViewers(run: Run<typeof FLAGS>): Promise<{ show: string; room: Room; probes: Room }> {
  const { viewers, joinRate } = run.flags;
  const { fleet, target } = run;
  run.phase('preparing');
  const show = await openRoom(target, 'events');
  const own = probeWorker(run);
  const few = probesOf(viewers);
  const many = viewers - few;
  const base = { ...(await audienceBase(run, show, viewers)), measureEvery: 1 };
  const room = await fleet.load<ViewersParams, ViewersCommand>('viewers', ({ index, of }) => ({
    ...base,
    users: index === own ? 0 : many,
    shard: { index: index < own ? index : index - 1, of: of - 1 },
    joinPerSecond: (joinRate * many) / viewers,
    measureFrom: NO_VIEWER,
  }));
  const probes = await fleet.load<ViewersParams, ViewersCommand>('viewers', ({ index }) => ({
    ...base,
    users: index === own ? few : 0,
    firstUser: many,
    shard: { index: 0, of: 1 },
    joinPerSecond: (joinRate * few) / viewers,
    timesEvents: target.own ? 'commit' : 'stamp',
  }));
  await joinAll(run, viewers, joinRate, [room, probes]);
  return { show, room, probes };
}

/** Requests announcements on a schedule, independent of earlier ones. Resolves when all ended. */
async function announce(
  { target: { office }, fleet, flags: { every } }: Run<typeof FLAGS>,
  show: string,
  fromMs: number,
  forMs: number,
  counts: Announcements,
): Promise<void> {
  if (office === null) throw new FlagError('--control and --api-key are needed: events use the control API');
  const requests: Promise<void>[] = [];
  for (let dueMs = fromMs; dueMs < fromMs + forMs; dueMs += every) {
    await fleet.until(dueMs);
    counts.requested++;
    const request = office.announce(show, stamped(dueMs, `announcement ${counts.requested}`));
    const onFailure = (error: unknown): void => {
      counts.failure ??= error instanceof Error ? error.message : String(error);
    };
    requests.push(request.then(() => void counts.made++, onFailure));
  }
  await Promise.all(requests);
}
