/**
 * What hosts do must reach everybody at once, also while the room writes more than it can be sent:
 * events beside saturated chat.
 */
import { LIMITS } from '../../src/limits.ts';
import type { Stretch } from '../generator/assemble.ts';
import type { Fleet } from '../generator/contract.ts';
import { stamped } from '../generator/stamp.ts';
import type { AudienceCommand, AudienceParams, AudienceSummary } from '../generator/workloads/viewers.ts';
import type { BenchResult, Check, Figure } from '../report/result.ts';
import type { BackOffice } from '../users/back-office.ts';
import { commonLevels } from '../verdict/levels.ts';
import { AHEAD_MS, type Chronicle, openRun, type Run } from './chronicle.ts';
import type { WireVariant } from './common-flags.ts';
import { figure } from './figures.ts';
import { count, duration, FlagError, type FlagValues } from './flags.ts';
import {
  checkWriters,
  letIn,
  measureRounds,
  type Room,
  ratesFor,
  standingChecks,
  sumOf,
  type TalkRound,
} from './full-room.ts';
import { openRoom } from './room.ts';
import { defineScenario } from './scenario.ts';

const FLAGS = {
  viewers: count(1_000, 'people in the room; all of them hear everything', { min: 2, max: 2_000_000 }),
  rate: count(12_000, 'chat messages a second offered: more than the gateway can deliver, unless it is told less', {
    max: 1_000_000,
  }),
  writers: count(60, 'how many write them, in turns', { max: 2_000_000 }),
  every: duration(100, 'an announcement through the control API this often'),
  chars: count(48, 'length of a chat message', { min: 16, max: LIMITS.chatTextCharsMax }),
  joinRate: count(1_000, 'how many come in a second', { max: 200_000 }),
  warmUp: count(3, 'seconds of chat before what is measured', { min: 1, max: 600 }),
};

/** The API answers 100 requests a second of one key. */
const EVERY_MS_MIN = 20;
const TRAIL_MS = 2_000;
/** Of the viewers, spread evenly over those who come. */
const WITNESSES = 50;
/** Nobody's remainder. */
const NOBODY = -1;

export const events = defineScenario({
  name: 'events',
  about: 'events from a host while chat is saturated: from the commit of each to every viewer having it',
  flags: FLAGS,
  // The promise: an event is with everybody within 100 ms, however loud the room is.
  defaults: { p99: 100 },
  check(flags, { url }) {
    checkWriters({ ...flags, viewers: flags.viewers - witnessesOf(flags) }, url === null);
    if (flags.every < EVERY_MS_MIN)
      throw new FlagError(
        `--every ${flags.every} ms: the control API takes 100 requests a second, so ${EVERY_MS_MIN} ms at least`,
      );
  },
  async run(context): Promise<BenchResult> {
    const { flags, common } = context;
    // One process more, for those who measure: the others have a room's worth of chat to read, and
    // would measure that.
    const run = await openRun(
      context,
      { env: ratesFor(flags.rate / flags.writers) },
      { processes: common.processes + 1 },
    );
    const { target, fleet, chronicle } = run;
    const rounds: TalkRound[] = [];
    const witness = (fleet.workers.find(({ local }) => local) ?? fleet.workers[0])?.index ?? 0;
    let ends: AudienceSummary[] = [];
    let host: Host | null = null;
    await chronicle.unlessStopped(async () => {
      const seats = await takeSeats(run, flags, common.variant, witness);
      const { show, crowd } = seats;
      if (target.office === null)
        throw new FlagError('--control and --api-key are needed: events come through the control API');
      const forMs = (flags.warmUp + common.rounds * common.seconds) * 1000;
      const chatMs = fleet.secondAfter(AHEAD_MS);
      const measuredMs = chatMs + flags.warmUp * 1000;
      chronicle.phase('warm-up', { fromMs: chatMs });
      const { rate: perSecond, chars, writers } = flags;
      crowd.command({ do: 'chat', atMs: chatMs, plan: { perSecond, arrivals: 'poisson', forMs, chars, writers } });
      host = new Host(target.office, fleet, show);
      const announcing = host.announce(chatMs, forMs, flags.every);
      await measureRounds(run, rounds, 'events', measuredMs, common);
      chronicle.phase('trailing');
      await announcing;
      await fleet.until(fleet.nowMs() + TRAIL_MS);
      ends = (await Promise.all([crowd.stop(), seats.witnesses.stop()])).flat() as AudienceSummary[];
    });
    // On another machine's clock only the way from the order can be measured, the API's part
    // included.
    const name = target.own ? 'event' : 'event from its order';
    const delivery = chronicle.latency(name, ...rounds.map(({ stretch }) => stretch));
    return chronicle.finish({
      figures: figuresOf(chronicle, rounds, flags.rate, target.own),
      checks: ends.length === 0 || host === null ? [] : checksOf(chronicle, ends, host, flags.viewers),
      levels: commonLevels(common, delivery),
      headline: delivery,
      measuring: [witness],
    });
  },
});

type Flags = FlagValues<typeof FLAGS>;

const witnessesOf = ({ viewers }: Pick<Flags, 'viewers'>): number => Math.min(WITNESSES, Math.ceil(viewers / 4));

/**
 * The crowd sits in all generators but one; the witnesses, who alone measure, have that to
 * themselves. All come in the same time, so they stand everywhere in the engine's lists.
 */
async function takeSeats(
  run: Run,
  { viewers, joinRate }: Flags,
  variant: WireVariant,
  witness: number,
): Promise<{ show: string; crowd: Room; witnesses: Room }> {
  const { target, fleet, chronicle } = run;
  chronicle.phase('preparing');
  const show = await openRoom(target, 'events');
  const few = witnessesOf({ viewers });
  const many = viewers - few;
  const base = {
    gate: target.gate,
    show,
    access: await target.access(show, viewers),
    role: 'viewer',
    variant,
  } as const;
  const crowd = await fleet.load<AudienceParams, AudienceCommand>('audience', ({ index, of }) => ({
    ...base,
    people: index === witness ? 0 : many,
    shard: { index: index < witness ? index : index - 1, of: of - 1 },
    joinPerSecond: (joinRate * many) / viewers,
    measureEvery: 1,
    measureFrom: NOBODY,
  }));
  const witnesses = await fleet.load<AudienceParams, AudienceCommand>('audience', ({ index }) => ({
    ...base,
    people: index === witness ? few : 0,
    firstPerson: many,
    shard: { index: 0, of: 1 },
    joinPerSecond: (joinRate * few) / viewers,
    measureEvery: 1,
    timesEvents: target.own ? 'commit' : 'stamp',
  }));
  await letIn(run, viewers, joinRate, [crowd, witnesses]);
  return { show, crowd, witnesses };
}

/** Orders events on a schedule, whatever became of the ones before. */
class Host {
  readonly #office: BackOffice;
  readonly #fleet: Fleet;
  readonly #show: string;
  ordered = 0;
  made = 0;
  failure: string | null = null;

  constructor(office: BackOffice, fleet: Fleet, show: string) {
    this.#office = office;
    this.#fleet = fleet;
    this.#show = show;
  }

  /** Resolves when all are answered. */
  async announce(fromMs: number, forMs: number, everyMs: number): Promise<void> {
    const answers: Promise<void>[] = [];
    for (let dueMs = fromMs; dueMs < fromMs + forMs; dueMs += everyMs) {
      await this.#fleet.until(dueMs);
      this.ordered++;
      answers.push(
        this.#office.announce(this.#show, stamped(dueMs, `announcement ${this.ordered}`)).then(
          () => {
            this.made++;
          },
          (error: unknown) => {
            this.failure ??= error instanceof Error ? error.message : String(error);
          },
        ),
      );
    }
    await Promise.all(answers);
  }
}

function figuresOf(chronicle: Chronicle, rounds: readonly TalkRound[], offered: number, own: boolean): Figure[] {
  const each = (value: (stretch: Stretch, cpuSeconds: number) => number): number[] =>
    rounds.map(({ stretch, cpuSeconds }) => value(stretch, cpuSeconds));
  const perSecond = (name: string) => each((stretch) => chronicle.count(name, stretch) / secondsOf(stretch));
  const latency = (name: string, field: 'p50Ms' | 'p99Ms' | 'maxMs') =>
    each((stretch) => chronicle.latency(name, stretch)?.[field] ?? Number.NaN);
  const since =
    'from its commit (the time Redis gave it) to a viewer having it, as 50 of them spread over the room saw it';
  return [
    ...(own
      ? [
          figure('event p50', 'ms', 'lower', latency('event', 'p50Ms'), since),
          figure('event p99', 'ms', 'lower', latency('event', 'p99Ms'), since),
          figure('event max', 'ms', 'lower', latency('event', 'maxMs'), since),
        ]
      : []),
    figure(
      'event p99 from its order',
      'ms',
      'lower',
      latency('event from its order', 'p99Ms'),
      'from the moment the host was due to send it, HTTP API and commit included',
    ),
    figure('events delivered', '/s', 'higher', perSecond('events'), 'events times the viewers who got them'),
    figure(
      'messages delivered',
      '/s',
      'higher',
      perSecond('delivered'),
      'chat messages times the viewers who got them',
    ),
    figure(
      'chat accepted',
      '%',
      'neither',
      each((stretch) => (chronicle.count('chat accepted', stretch) * 100) / (offered * secondsOf(stretch))),
      `of ${offered}/s offered`,
    ),
    figure(
      'chat p99',
      'ms',
      'neither',
      latency('delivery', 'p99Ms'),
      'from the moment a message was due: how full the room is',
    ),
    figure(
      'gateway',
      'cores',
      'neither',
      each((stretch, cpuSeconds) => cpuSeconds / secondsOf(stretch)),
      'of the one its JavaScript can use: near 1 it is saturated',
    ),
  ];
}

const secondsOf = ({ fromMs, toMs }: Stretch): number => (toMs - fromMs) / 1000;

function checksOf(
  chronicle: Chronicle,
  ends: readonly AudienceSummary[],
  { ordered, made, failure }: Host,
  viewers: number,
): Check[] {
  const connected = sumOf(ends, (end) => end.connected);
  const gaps = sumOf(ends, ({ eventGaps }) => eventGaps);
  const heard = chronicle.count('events');
  const unanswered = sumOf(ends, (end) => end.unanswered);
  return [
    ...standingChecks(chronicle, connected, unanswered, viewers),
    {
      name: 'each event was made',
      ok: made === ordered,
      detail: `${ordered} ordered, ${made} made${failure === null ? '' : `: ${failure}`}`,
    },
    {
      name: 'each event reached each viewer once',
      promise: 'I7',
      ok: heard === made * viewers && gaps === 0,
      detail: `${made} made x ${viewers} viewers = ${made * viewers}; ${heard} heard, ${gaps} missing`,
    },
  ];
}
