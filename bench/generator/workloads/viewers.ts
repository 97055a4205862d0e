/**
 * The workload `viewers`: users of a room join on a schedule, receive everything, and some write.
 * All deliveries are counted. The latency of each message is measured by some viewers, spread
 * evenly: a hundred thousand measurements show what ten million would.
 */
import type { ErrorMessage, Ok, Role } from '../../../src/protocol/messages.ts';
import { type ChatSchedule, chatPlan } from '../chat-plan.ts';
import type { Shard, Workload, WorkloadContext, WorkloadRun } from '../contract.ts';
import type { FrameFacts } from '../frame-cache.ts';
import { steady } from '../schedule.ts';
import { dueOf } from '../stamp.ts';
import { Viewer, type ViewerListener } from '../viewer.ts';
import { type GroupParams, ViewerGroup } from '../viewer-group.ts';

/** The id of user i is `p<i>`. */
export interface ViewersParams extends GroupParams {
  readonly role: Role;
  readonly joinPerSecond: number;
  /** Which user is the first that measures; 0 unless given. */
  readonly measureFrom?: number;
  /**
   * Events with a stamp are timed: from their stamp, or from their commit too, where the engine's
   * Redis has the clock of this machine.
   */
  readonly timesEvents?: 'stamp' | 'commit';
  /** Number of the first user; 0 unless given. For a second workload on the same show. */
  readonly firstUser?: number;
  /** Replaces the shard that the fleet assigns. */
  readonly shard?: Shard;
  /** How long `stop` waits for open requests; 5 s unless given. */
  readonly replyWaitMs?: number;
}

export interface ChatPlan extends ChatSchedule {
  /** The first so many users write, one after the other. */
  readonly writers: number;
  /** Every `skipEvery`-th user stalls at times, and does not write. */
  readonly skipEvery?: number;
}

export type ViewersCommand =
  | { readonly do: 'chat'; readonly atMs: number; readonly plan: ChatPlan }
  /** Every `every`-th user loses the connection now, and resumes from `atMs` on. */
  | { readonly do: 'reconnect'; readonly every: number; readonly atMs: number; readonly joinPerSecond: number }
  /** Every `every`-th user stops reading for so long. */
  | { readonly do: 'stall'; readonly every: number; readonly forMs: number }
  /** All users without a connection resume now. */
  | { readonly do: 'return' };

/** When an event reached this shard: the first and the last viewer, and how many. */
export interface EventArrival {
  readonly offset: number;
  readonly type: string;
  /** The server's time of the event, ms since 1970. */
  readonly at: number;
  firstMs: number;
  lastMs: number;
  viewers: number;
}

/** What `stop` returns. */
export interface ViewersSummary {
  readonly connected: number;
  /** When the last welcome came, fleet clock; 0 when none did. */
  readonly lastJoinMs: number;
  readonly eventGaps: number;
  readonly chatGaps: number;
  readonly unanswered: number;
  readonly framesDecoded: number;
  readonly arrivals: readonly EventArrival[];
}

const REPLY_WAIT_MS = 5_000;
const ARRIVALS_MAX = 5_000;

export const viewers: Workload<ViewersParams, ViewersCommand> = {
  name: 'viewers',
  async prepare(context) {
    const run = new Viewers(context);
    await run.group.makeTokens(context.params.role, (viewer) => viewer);
    return run;
  },
};

/** The names that a reader of the result sees. */
const metersOf = ({ recorder }: Pick<WorkloadContext<unknown>, 'recorder'>) => ({
  joined: recorder.counter('joined'),
  delivered: recorder.counter('delivered'),
  frames: recorder.counter('frames'),
  bytes: recorder.counter('bytes'),
  missed: recorder.counter('missed'),
  sent: recorder.counter('chat sent'),
  accepted: recorder.counter('chat accepted'),
  viewers: recorder.gauge('viewers'),
  join: recorder.latency('join'),
  delivery: recorder.latency('delivery'),
  reply: recorder.latency('chat reply'),
  events: recorder.counter('events'),
  event: recorder.latency('event'),
  eventFromRequest: recorder.latency('event from its request'),
});

class Viewers implements WorkloadRun<ViewersCommand>, ViewerListener {
  readonly group: ViewerGroup<Viewer>;
  readonly #context: WorkloadContext<ViewersParams>;
  readonly #meters: ReturnType<typeof metersOf>;
  readonly #arrivals = new Map<number, EventArrival>();
  readonly #stalls = new Set<NodeJS.Timeout>();
  #chats = 0;
  #lastJoinMs = 0;

  constructor(context: WorkloadContext<ViewersParams>) {
    const { shard, firstUser = 0 } = context.params;
    this.#context = context;
    this.#meters = metersOf(context);
    this.group = new ViewerGroup(context, (userIndex, room) => new Viewer(firstUser + userIndex, room, this), shard);
  }

  start(atMs: number): void {
    const { users, joinPerSecond } = this.#context.params;
    this.#join(users, joinPerSecond, atMs, (i) => this.group.own(i));
  }

  command(command: ViewersCommand): void {
    switch (command.do) {
      case 'chat':
        return this.#chat(command.plan, command.atMs);
      case 'reconnect':
        return this.#reconnect(command);
      case 'return': {
        const nowMs = this.#context.nowMs();
        for (const viewer of this.group.members) if (!viewer.connected) viewer.join(nowMs);
        return;
      }
      case 'stall': {
        const stalled = this.#everyNth(command.every);
        for (const viewer of stalled) viewer.stall();
        const timer = setTimeout(() => {
          this.#stalls.delete(timer);
          for (const viewer of stalled) viewer.unstall();
        }, command.forMs);
        this.#stalls.add(timer);
      }
    }
  }

  async stop(): Promise<ViewersSummary> {
    const { group } = this;
    group.stopSchedules();
    for (const timer of this.#stalls) clearTimeout(timer);
    const open = (): number => group.sum((viewer) => viewer.open.size);
    await group.until(this.#context.params.replyWaitMs ?? REPLY_WAIT_MS, () => open() === 0);
    group.isOver = true;
    const unanswered = open();
    if (unanswered > 0) this.#context.recorder.refused('unanswered', unanswered);
    const summary = {
      lastJoinMs: this.#lastJoinMs,
      connected: group.sum(({ welcomed }) => Number(welcomed)),
      eventGaps: group.sum(({ eventGaps }) => eventGaps),
      chatGaps: group.sum(({ chatGaps }) => chatGaps),
      unanswered,
      framesDecoded: group.room.frames.decoded,
      arrivals: [...this.#arrivals.values()],
    };
    for (const viewer of group.members) this.#leave(viewer);
    return summary;
  }

  onWelcome(viewer: Viewer): void {
    this.#meters.joined.add();
    this.#meters.viewers.add(1);
    this.#lastJoinMs = this.#context.nowMs();
    this.#meters.join.record(this.#lastJoinMs - viewer.dueMs);
  }

  onFrame({ userIndex }: Viewer, facts: FrameFacts, bytes: number): void {
    const meters = this.#meters;
    meters.frames.add();
    meters.bytes.add(bytes);
    if (facts.chat > 0) meters.delivered.add(facts.chat);
    if (facts.frame.missed !== undefined) meters.missed.add(facts.frame.missed);
    if (facts.lastEvent > 0) this.#recordEvents(facts);
    const { measureEvery, measureFrom = 0 } = this.#context.params;
    if (facts.dueTimesMs.length === 0 || userIndex % measureEvery !== measureFrom) return;
    const nowMs = this.#context.nowMs();
    for (const dueMs of facts.dueTimesMs) meters.delivery.record(nowMs - dueMs);
  }

  onReply(_viewer: Viewer, reply: Ok | ErrorMessage, dueMs: number): void {
    if (reply.t === 'error') return this.#context.recorder.refused(reply.code);
    this.#meters.accepted.add();
    this.#meters.reply.record(this.#context.nowMs() - dueMs);
  }

  onClose(viewer: Viewer, code: number): void {
    if (viewer.welcomed) this.#meters.viewers.add(-1);
    viewer.welcomed = false;
    this.group.countClose(code);
    const unknown = viewer.loseRequests();
    if (unknown > 0) this.#context.recorder.refused('unanswered', unknown);
  }

  #everyNth(every: number): Viewer[] {
    return this.group.members.filter(({ userIndex }) => userIndex % every === 0);
  }

  #leave(viewer: Viewer): void {
    if (viewer.welcomed) this.#meters.viewers.add(-1);
    viewer.leave();
  }

  #reconnect({ every, atMs, joinPerSecond }: Extract<ViewersCommand, { do: 'reconnect' }>): void {
    const gone = new Set(this.#everyNth(every).filter(({ welcomed }) => welcomed));
    for (const viewer of gone) this.#leave(viewer);
    this.#join(Math.ceil(this.#context.params.users / every), joinPerSecond, atMs, (i) => {
      const viewer = this.group.own(i * every);
      return viewer !== undefined && gone.has(viewer) ? viewer : undefined;
    });
  }

  /** The i-th join is due at i / rate, in all shards together. */
  #join(persons: number, perSecond: number, atMs: number, viewerOf: (i: number) => Viewer | undefined): void {
    const { recorder } = this.#context;
    this.group.pace(steady(perSecond, (persons * 1000) / perSecond), atMs, (dueMs, i) => {
      const viewer = viewerOf(i);
      if (viewer === undefined) return;
      recorder.sent(dueMs);
      viewer.join(dueMs);
    });
  }

  /** User i mod `writers` writes message i. Each shard walks the whole plan and sends its part. */
  #chat({ writers, skipEvery, ...schedule }: ChatPlan, atMs: number): void {
    const { seed, recorder } = this.#context;
    const plan = chatPlan(schedule, seed, this.#chats++);
    this.group.pace(plan.schedule, atMs, (dueMs, i) => {
      const nth = i % writers;
      const viewer = this.group.own(skipEvery === undefined ? nth : nth + Math.floor(nth / (skipEvery - 1)) + 1);
      if (viewer === undefined) return;
      recorder.sent(dueMs);
      this.#meters.sent.add();
      if (!viewer.send({ t: 'chat', text: plan.textOf(i, dueMs) }, dueMs)) recorder.refused('not_connected');
    });
  }

  #recordEvents({ frame }: FrameFacts): void {
    const nowMs = this.#context.nowMs();
    const { timesEvents } = this.#context.params;
    for (const { offset, type, at, data } of frame.events ?? []) {
      this.#meters.events.add();
      const dueMs = timesEvents !== undefined && typeof data.text === 'string' ? dueOf(data.text) : Number.NaN;
      if (!Number.isNaN(dueMs)) {
        this.#meters.eventFromRequest.record(nowMs - dueMs);
        if (timesEvents === 'commit') this.#meters.event.record(Date.now() - at);
      }
      const arrival = this.#arrivals.get(offset);
      if (arrival !== undefined) {
        arrival.lastMs = nowMs;
        arrival.viewers++;
      } else if (this.#arrivals.size < ARRIVALS_MAX)
        this.#arrivals.set(offset, { offset, type, at, firstMs: nowMs, lastMs: nowMs, viewers: 1 });
    }
  }
}
