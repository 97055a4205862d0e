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
import { Timers } from '../timers.ts';
import { Viewer, type ViewerListener } from '../viewer.ts';
import { type GroupParams, ViewerGroup } from '../viewer-group.ts';

/** The id of user i is `p<i>`. */
export interface ViewersParams extends GroupParams {
  readonly role: Role;
  readonly joinPerSecond: number;
  /** Which user is the first that measures; 0 unless given. */
  readonly measureFrom?: number;
  /** Times stamped events: from the stamp, or also from the commit (same clock as Redis). */
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
  /** Every `every`-th user stops reading for so long. */
  | { readonly do: 'stall'; readonly every: number; readonly forMs: number }
  /** All users without a connection resume now. */
  | { readonly do: 'return' };

export type ViewersSummary = Awaited<ReturnType<Viewers['stop']>>;

const REPLY_WAIT_MS = 5_000;

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
  readonly #timers: Timers;
  #chats = 0;
  #lastJoinMs = 0;

  constructor(context: WorkloadContext<ViewersParams>) {
    const { shard, firstUser = 0 } = context.params;
    this.#context = context;
    this.#meters = metersOf(context);
    this.#timers = new Timers(context.nowMs);
    this.group = new ViewerGroup(context, (userIndex, room) => new Viewer(firstUser + userIndex, room, this), shard);
  }

  start(atMs: number): void {
    const { params, recorder } = this.#context;
    const { users, joinPerSecond } = params;
    this.group.pace(steady(joinPerSecond, (users * 1000) / joinPerSecond), atMs, (dueMs, i) => {
      const viewer = this.group.own(i);
      if (viewer === undefined) return;
      recorder.sent(dueMs);
      viewer.join(dueMs);
    });
  }

  command(command: ViewersCommand): void {
    switch (command.do) {
      case 'chat':
        return this.#chat(command.plan, command.atMs);
      case 'return': {
        const nowMs = this.#context.nowMs();
        for (const viewer of this.group.members) if (!viewer.connected) viewer.join(nowMs);
        return;
      }
      case 'stall': {
        const stalled = this.group.members.filter(({ userIndex }) => userIndex % command.every === 0);
        for (const viewer of stalled) viewer.stall();
        this.#timers.at(this.#context.nowMs() + command.forMs, () => {
          for (const viewer of stalled) viewer.unstall();
        });
      }
    }
  }

  async stop() {
    const { group } = this;
    group.stopSchedules();
    this.#timers.clear();
    const open = (): number => group.sum((viewer) => viewer.open.size);
    await group.until(this.#context.params.replyWaitMs ?? REPLY_WAIT_MS, () => open() === 0);
    group.isOver = true;
    const unanswered = open();
    if (unanswered > 0) this.#context.recorder.refused('unanswered', unanswered);
    const summary = {
      /** When the last welcome came, fleet clock; 0 when none did. */
      lastJoinMs: this.#lastJoinMs,
      connected: group.sum(({ welcomed }) => Number(welcomed)),
      eventGaps: group.sum(({ eventGaps }) => eventGaps),
      chatGaps: group.sum(({ chatGaps }) => chatGaps),
      unanswered,
    };
    for (const viewer of group.members) {
      if (viewer.welcomed) this.#meters.viewers.add(-1);
      viewer.leave();
    }
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
    for (const { at, data } of frame.events ?? []) {
      this.#meters.events.add();
      const dueMs = timesEvents !== undefined && typeof data.text === 'string' ? dueOf(data.text) : Number.NaN;
      if (!Number.isNaN(dueMs)) {
        this.#meters.eventFromRequest.record(nowMs - dueMs);
        if (timesEvents === 'commit') this.#meters.event.record(Date.now() - at);
      }
    }
  }
}
