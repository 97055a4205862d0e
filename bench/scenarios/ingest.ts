/**
 * Chat taken in: how many messages a second one gateway process accepts when delivering them is not
 * what holds it up.
 */
import { LIMITS } from '../../src/limits.ts';
import { busiestOf, CPU_SHARE_MAX, healthOf, type Stretch } from '../generator/assemble.ts';
import { median } from '../generator/median.ts';
import type { IngestCommand, IngestParams, IngestSummary } from '../generator/workloads/ingest.ts';
import type { BenchResult, Check, Figure } from '../report/result.ts';
import { commonLevels } from '../verdict/levels.ts';
import { AHEAD_MS, type Chronicle, openRun } from './chronicle.ts';
import { figure } from './figures.ts';
import { count, FlagError } from './flags.ts';
import { standingChecks } from './full-room.ts';
import { openRoom } from './room.ts';
import { defineScenario } from './scenario.ts';
import { cpuSecondsBetween, type ServerReading, type Target } from './target.ts';

const FLAGS = {
  sockets: count(1_000, 'people who write', { max: 100_000 }),
  shows: count(4, 'shows they are spread over', { max: 10_000 }),
  shown: count(
    20,
    'display cap of each show: accepted messages that are shown a second, so that delivery is not what is measured; 0: all',
    {
      min: 0,
      max: LIMITS.chatShownPerSecondMax,
    },
  ),
  bunch: count(8, 'messages each sends in one write, before their answers', { max: LIMITS.inFlightPerConnectionMax }),
  rate: count(10_000, 'messages a second offered in the phase on a schedule; 0 leaves it out', {
    min: 0,
    max: 1_000_000,
  }),
  chars: count(48, 'length of a message', { max: LIMITS.chatTextCharsMax }),
  joinRate: count(2_000, 'how many come in a second', { max: 200_000 }),
  warmUp: count(2, 'seconds of it before what is measured', { min: 1, max: 600 }),
  accepted: count(50_000, 'fail when fewer are accepted a second, flat out; 0: not judged', { min: 0 }),
};

const JOIN_MS_MAX = 60_000;
const DRAIN_MS = 1_000;
/** Nobody is refused for writing too much: that is what is measured. */
const RATES = { CHAT_PER_SECOND: '100000', REQUESTS_PER_SECOND: '100000' };

interface Phase {
  readonly stretch: Stretch;
  readonly before: Reading;
  after: Reading | null;
}

interface Reading {
  readonly server: ServerReading | null;
  readonly redisCommands: number;
}

export const ingest = defineScenario({
  name: 'ingest',
  about:
    'chat messages a second one gateway accepts from many sockets: flat out, then on a schedule; CPU and Redis commands a message',
  flags: FLAGS,
  defaults: { seconds: 5, processes: 2 },
  check({ sockets, shows }, { url }) {
    if (shows > sockets)
      throw new FlagError(`--shows ${shows} are more than --sockets ${sockets}: nobody would write in some`);
    if (url !== null)
      throw new FlagError('--url: it needs an engine of its own, whose limits of a single person are lifted');
  },
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    const run = await openRun(context, { env: RATES });
    const { target, fleet, chronicle } = run;
    const [floods, schedules]: [Phase[], Phase[]] = [[], []];
    let ends: IngestSummary[] = [];
    await chronicle.unlessStopped(async () => {
      chronicle.phase('preparing');
      const cap = { chatShownPerSecond: flags.shown };
      const shows = await Promise.all(
        Array.from({ length: flags.shows }, async () => {
          const show = await openRoom(target, 'ingest', cap);
          return { show, access: await target.access(show, Math.ceil(flags.sockets / flags.shows)) };
        }),
      );
      const writers = await fleet.load<IngestParams, IngestCommand>('ingest', {
        gate: target.gate,
        shows,
        variant: common.variant,
        people: flags.sockets,
        joinPerSecond: flags.joinRate,
        bunch: flags.bunch,
        chars: flags.chars,
      });
      const joinMs = fleet.secondAfter(AHEAD_MS);
      chronicle.phase('joining', { fromMs: joinMs });
      writers.start(joinMs);
      await fleet.when(
        `${flags.sockets} people to be let in`,
        () => chronicle.gauge('writers') === flags.sockets,
        JOIN_MS_MAX,
      );
      const read = async (): Promise<Reading> => ({
        server: await chronicle.readServer(),
        redisCommands: (await target.engine?.redis.commandsRun()) ?? Number.NaN,
      });
      /** A warm-up, then what is measured, without a pause between; drained after. */
      const measure = async (
        name: string,
        measured: boolean,
        phases: Phase[],
        order: (atMs: number, forMs: number) => IngestCommand,
      ): Promise<void> => {
        const atMs = fleet.secondAfter(AHEAD_MS);
        const fromMs = atMs + flags.warmUp * 1000;
        chronicle.phase(`${name}: warm-up`, { fromMs: atMs });
        writers.command(order(atMs, (flags.warmUp + common.seconds) * 1000));
        await fleet.until(fromMs);
        const phase: Phase = {
          stretch: chronicle.phase(name, { fromMs, forMs: common.seconds * 1000, measured }),
          before: await read(),
          after: null,
        };
        phases.push(phase);
        await fleet.until(phase.stretch.toMs);
        phase.after = await read();
        chronicle.phase('draining');
        await fleet.until(fleet.nowMs() + DRAIN_MS);
      };
      for (let round = 1; round <= common.rounds; round++) {
        await measure('flat out', flags.rate === 0, floods, (atMs, forMs) => ({ do: 'flood', atMs, forMs }));
        if (flags.rate > 0)
          await measure('on a schedule', true, schedules, (atMs, forMs) => ({
            do: 'write',
            atMs,
            forMs,
            perSecond: flags.rate,
          }));
      }
      ends = (await writers.stop()) as IngestSummary[];
    });
    const flatOut = chronicle.latency('answer, flat out', ...floods.map(({ stretch }) => stretch));
    const answer = chronicle.latency('answer', ...schedules.map(({ stretch }) => stretch));
    const flood = figuresOf(chronicle, floods, ', flat out', 'answer, flat out', target);
    const result = chronicle.finish({
      figures: [...flood, ...figuresOf(chronicle, schedules, `, at ${flags.rate}/s`, 'answer', target)],
      checks: ends.length === 0 ? [] : checksOf(chronicle, ends, flags.sockets),
      levels: [...acceptedLevel(flags.accepted, flood[0]), ...commonLevels(common, answer ?? flatOut)],
      headline: answer ?? flatOut,
    });
    // Flat out the generator works as hard as the gateway: what it did is held against that phase
    // alone, too.
    const judged = chronicle.samples(...floods.map(({ stretch }) => stretch));
    const bottlenecks = [
      ...new Set([...(result.generator?.bottlenecks ?? []), ...healthOf(fleet.workers, judged, flatOut).bottlenecks]),
    ];
    if (result.generator === null || judged.length === 0) return result;
    return {
      ...result,
      generator: { ...result.generator, bottlenecks },
      verdict: { ...result.verdict, ok: result.verdict.ok && bottlenecks.length === 0 },
    };
  },
});

function acceptedLevel(wanted: number, flood: Figure | undefined) {
  const measured = median(flood?.runs ?? []);
  const say = (value: number): string => `${Math.round(value).toLocaleString('en')}/s`;
  return wanted === 0
    ? []
    : [{ flag: '--accepted', wanted: `>= ${say(wanted)}`, measured: say(measured), ok: measured >= wanted }];
}

function figuresOf(
  chronicle: Chronicle,
  phases: readonly Phase[],
  how: string,
  latency: string,
  target: Target,
): Figure[] {
  if (phases.length === 0) return [];
  const each = (value: (phase: Phase, accepted: number, seconds: number) => number): number[] =>
    phases.map((phase) =>
      value(phase, chronicle.count('chat accepted', phase.stretch), (phase.stretch.toMs - phase.stretch.fromMs) / 1000),
    );
  const cpu = (name: string, { before, after }: Phase): number =>
    cpuSecondsBetween(name, before.server, after?.server ?? null);
  const at = (field: 'p50Ms' | 'p99Ms') =>
    each(({ stretch }) => chronicle.latency(latency, stretch)?.[field] ?? Number.NaN);
  const due = how.startsWith(', at') ? 'from the moment a message was due' : 'from the write';
  return [
    figure(
      `accepted${how}`,
      '/s',
      'higher',
      each((_, accepted, seconds) => accepted / seconds),
      'chat messages answered with ok',
    ),
    figure(`answer p50${how}`, 'ms', 'lower', at('p50Ms'), `${due} to its ok`),
    figure(`answer p99${how}`, 'ms', 'lower', at('p99Ms'), `${due} to its ok`),
    figure(
      `refused${how}`,
      '/s',
      'lower',
      each(({ stretch }, _, seconds) => sum(chronicle.refusals(stretch)) / seconds),
      'answered with an error, or not at all',
    ),
    figure(
      `gateway CPU${how}`,
      'us',
      'lower',
      each((phase, accepted) => (cpu('gateway', phase) * 1e6) / accepted),
      'an accepted message',
    ),
    figure(
      `gateway${how}`,
      'cores',
      'neither',
      each((phase, _, seconds) => cpu('gateway', phase) / seconds),
      'of the one its JavaScript can use',
    ),
    ...(target.engine === null
      ? []
      : [
          figure(
            `Redis CPU${how}`,
            'us',
            'lower',
            each((phase, accepted) => (cpu('redis', phase) * 1e6) / accepted),
            'an accepted message',
          ),
          figure(
            `Redis commands${how}`,
            '',
            'lower',
            each(
              ({ before, after }, accepted) => ((after?.redisCommands ?? Number.NaN) - before.redisCommands) / accepted,
            ),
            'an accepted message, those that scripts call included',
          ),
        ]),
    figure(
      `busiest generator${how}`,
      'cores',
      'neither',
      each(({ stretch }) => busiestOf(chronicle.samples(stretch)).share),
      `above ${CPU_SHARE_MAX} it is what was measured`,
    ),
  ];
}

const sum = (refusals: ReadonlyArray<{ readonly count: number }>): number =>
  refusals.reduce((total, { count: times }) => total + times, 0);

function checksOf(chronicle: Chronicle, ends: readonly IngestSummary[], sockets: number): Check[] {
  const connected = ends.reduce((total, end) => total + end.connected, 0);
  const unanswered = ends.reduce((total, end) => total + end.unanswered, 0);
  const accepted = chronicle.count('chat accepted');
  const lastIds = new Map<string, number>();
  for (const end of ends)
    for (const [show, id] of Object.entries(end.lastIds)) lastIds.set(show, Math.max(id, lastIds.get(show) ?? 0));
  const numbered = [...lastIds.values()].reduce((total, id) => total + id, 0);
  return [
    ...standingChecks(chronicle, connected, unanswered, sockets),
    {
      name: 'each accepted message has a number of its own',
      ok: accepted === numbered,
      detail: `${accepted} accepted; the last numbers of the shows add up to ${numbered}`,
    },
  ];
}
