/**
 * A room full of people: they join on a schedule, hear everything, some of them write. What every
 * viewer hears is counted; latency of each message is measured by some of them, spread evenly,
 * because a hundred thousand measurements tell what ten million would.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ErrorMessage, Ok, Role } from '../../../src/protocol/messages.ts';
import type { WireVariant } from '../../scenarios/common-flags.ts';
import type { Access, Gate } from '../../scenarios/target.ts';
import { tokenMaker, VARIANTS } from '../access.ts';
import { chatPlan, type Talk } from '../chat-plan.ts';
import type { Shard, Workload, WorkloadContext, WorkloadRun } from '../contract.ts';
import { FrameCache, type FrameFacts } from '../frame-cache.ts';
import { Pacer, type Schedule, steady } from '../schedule.ts';
import { dueOf } from '../stamp.ts';
import { Viewer, type ViewerListener } from '../viewer.ts';

export interface AudienceParams {
  readonly gate: Gate;
  readonly show: string;
  readonly access: Access;
  readonly role: Role;
  readonly variant: WireVariant;
  /** In all shards together. Person i is user `p<i>`, and belongs to shard i mod `of`. */
  readonly people: number;
  readonly joinPerSecond: number;
  /** Every so many-th viewer measures the latency of each message. */
  readonly measureEvery: number;
  /** Which of those: the first is this person; 0 unless given. */
  readonly measureFrom?: number;
  /**
   * Events with a stamp are timed: from their stamp, or from their commit too, where the engine's
   * Redis goes by this machine's clock.
   */
  readonly timesEvents?: 'stamp' | 'commit';
  /**
   * The first is this one; 0 unless given. A second audience of the same show has people of its
   * own.
   */
  readonly firstPerson?: number;
  /** Dealt out to these workers otherwise than the fleet does. */
  readonly shard?: Shard;
  /** How long `stop` waits for answers under way; 5 s unless given. */
  readonly answerWaitMs?: number;
}

export interface ChatPlan extends Talk {
  /** The first so many people write, in turns. */
  readonly writers: number;
  /** But for every `skipEvery`-th person, who stalls at times. */
  readonly skipEvery?: number;
}

export type AudienceCommand =
  /** Chat begins at `atMs` of the fleet's clock. */
  | { readonly do: 'chat'; readonly atMs: number; readonly plan: ChatPlan }
  /**
   * Every `every`-th person's line breaks now; they come back with their position from `atMs` on.
   */
  | { readonly do: 'reconnect'; readonly every: number; readonly atMs: number; readonly joinPerSecond: number }
  /** Every `every`-th person stops reading for so long. */
  | { readonly do: 'stall'; readonly every: number; readonly forMs: number }
  /** Who has lost the line comes back with their position. */
  | { readonly do: 'return' };

/** When an event reached this shard: the first and the last viewer, and how many. */
export interface EventArrival {
  readonly offset: number;
  readonly type: string;
  /** The server's own time of the event, ms since 1970. */
  readonly at: number;
  firstMs: number;
  lastMs: number;
  viewers: number;
}

/** What `stop` returns. */
export interface AudienceSummary {
  readonly connected: number;
  /** When the last welcome came, fleet clock; 0 when none did. */
  readonly lastJoinMs: number;
  readonly eventGaps: number;
  readonly chatGaps: number;
  readonly unanswered: number;
  readonly framesDecoded: number;
  readonly arrivals: readonly EventArrival[];
}

const ANSWER_WAIT_MS = 5_000;
const ARRIVALS_MAX = 5_000;
/** Tokens are signed in slices, so that the worker is heard meanwhile. */
const TOKENS_A_TURN = 500;

export const audience: Workload<AudienceParams, AudienceCommand> = {
  name: 'audience',
  async prepare(context) {
    const crowd = new Audience(context);
    await crowd.makeTokens();
    return crowd;
  },
};

/** Everything the audience writes down, by the names a reader of the result sees. */
const notebook = ({ recorder }: Pick<WorkloadContext<unknown>, 'recorder'>) => ({
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
  answer: recorder.latency('chat answer'),
  events: recorder.counter('events'),
  event: recorder.latency('event'),
  eventFromOrder: recorder.latency('event from its order'),
});

class Audience implements WorkloadRun<AudienceCommand>, ViewerListener {
  readonly #context: WorkloadContext<AudienceParams>;
  readonly #shard: Shard;
  readonly #note: ReturnType<typeof notebook>;
  readonly #frames = new FrameCache();
  readonly #people: Viewer[] = [];
  readonly #pacers: Pacer[] = [];
  readonly #arrivals = new Map<number, EventArrival>();
  readonly #stalls = new Set<NodeJS.Timeout>();
  #stopped = false;
  #chats = 0;
  #lastJoinMs = 0;

  constructor(context: WorkloadContext<AudienceParams>) {
    this.#context = context;
    this.#note = notebook(context);
    const { params } = context;
    const { shard = context.shard, firstPerson = 0 } = params;
    this.#shard = shard;
    const line = { gate: params.gate, show: params.show, variant: VARIANTS[params.variant], frames: this.#frames };
    for (let person = shard.index; person < params.people; person += shard.of)
      this.#people.push(new Viewer(firstPerson + person, line, this));
  }

  async makeTokens(): Promise<void> {
    const { access, show, role } = this.#context.params;
    const token = tokenMaker(access, show, role);
    for (const [i, viewer] of this.#people.entries()) {
      viewer.token = token(viewer.person);
      if (i % TOKENS_A_TURN === 0) await sleep(0);
    }
  }

  start(atMs: number): void {
    const { people, joinPerSecond } = this.#context.params;
    this.#join(
      people,
      joinPerSecond,
      atMs,
      (i) => i,
      () => true,
    );
  }

  command(command: AudienceCommand): void {
    if (command.do === 'chat') this.#chat(command.plan, command.atMs);
    else if (command.do === 'reconnect') {
      const gone = new Set(this.#everyNth(command.every).filter(({ welcomed }) => welcomed));
      for (const viewer of gone) this.#leave(viewer);
      const { every, joinPerSecond } = command;
      this.#join(
        Math.ceil(this.#context.params.people / every),
        joinPerSecond,
        command.atMs,
        (i) => i * every,
        (viewer) => gone.has(viewer),
      );
    } else if (command.do === 'return') {
      const nowMs = this.#context.nowMs();
      for (const viewer of this.#people) if (!viewer.connected) viewer.join(nowMs);
    } else {
      const stalled = this.#everyNth(command.every);
      for (const viewer of stalled) viewer.stall();
      const timer = setTimeout(() => {
        this.#stalls.delete(timer);
        for (const viewer of stalled) viewer.unstall();
      }, command.forMs);
      this.#stalls.add(timer);
    }
  }

  async stop(): Promise<AudienceSummary> {
    const { nowMs, recorder } = this.#context;
    for (const pacer of this.#pacers) pacer.stop();
    for (const timer of this.#stalls) clearTimeout(timer);
    const untilMs = nowMs() + (this.#context.params.answerWaitMs ?? ANSWER_WAIT_MS);
    while (nowMs() < untilMs && this.#people.some(({ open }) => open.size > 0)) await sleep(10);
    this.#stopped = true;
    const sum = (of: (viewer: Viewer) => number): number =>
      this.#people.reduce((total, viewer) => total + of(viewer), 0);
    const unanswered = sum(({ open }) => open.size);
    if (unanswered > 0) recorder.refused('unanswered', unanswered);
    const summary = {
      lastJoinMs: this.#lastJoinMs,
      connected: sum(({ welcomed }) => Number(welcomed)),
      eventGaps: sum(({ eventGaps }) => eventGaps),
      chatGaps: sum(({ chatGaps }) => chatGaps),
      unanswered,
      framesDecoded: this.#frames.decoded,
      arrivals: [...this.#arrivals.values()],
    };
    for (const viewer of this.#people) this.#leave(viewer);
    return summary;
  }

  onWelcome(viewer: Viewer): void {
    this.#note.joined.add();
    this.#note.viewers.add(1);
    this.#lastJoinMs = this.#context.nowMs();
    this.#note.join.record(this.#lastJoinMs - viewer.dueMs);
  }

  onFrame(viewer: Viewer, facts: FrameFacts, bytes: number): void {
    const note = this.#note;
    note.frames.add();
    note.bytes.add(bytes);
    if (facts.chat > 0) note.delivered.add(facts.chat);
    if (facts.frame.missed !== undefined) note.missed.add(facts.frame.missed);
    if (facts.lastEvent > 0) this.#noteEvents(facts);
    if (facts.dues.length > 0 && this.#measures(viewer)) {
      const nowMs = this.#context.nowMs();
      for (const dueMs of facts.dues) note.delivery.record(nowMs - dueMs);
    }
  }

  onAnswer(_viewer: Viewer, answer: Ok | ErrorMessage, dueMs: number): void {
    if (answer.t === 'error') this.#context.recorder.refused(answer.code);
    else {
      this.#note.accepted.add();
      this.#note.answer.record(this.#context.nowMs() - dueMs);
    }
  }

  onClose(viewer: Viewer, code: number): void {
    if (viewer.welcomed) this.#note.viewers.add(-1);
    viewer.welcomed = false;
    this.#context.recorder.refused(code >= 400 && code < 600 ? `http_${code}` : `closed_${code}`);
    // Their outcome is unknown: the line broke first.
    if (viewer.open.size > 0) this.#context.recorder.refused('unanswered', viewer.open.size);
    viewer.open.clear();
  }

  /**
   * Counted over the whole audience, so that the number that measures does not depend on the number
   * of workers.
   */
  #measures({ person }: Viewer): boolean {
    const { measureEvery, measureFrom = 0 } = this.#context.params;
    return person % measureEvery === measureFrom;
  }

  #everyNth(every: number): Viewer[] {
    return this.#people.filter(({ person }) => person % every === 0);
  }

  #leave(viewer: Viewer): void {
    if (viewer.welcomed) this.#note.viewers.add(-1);
    viewer.leave();
  }

  /** The i-th person who comes is due at i / rate, whichever shard they belong to. */
  #join(
    persons: number,
    perSecond: number,
    atMs: number,
    personOf: (i: number) => number,
    willing: (viewer: Viewer) => boolean,
  ): void {
    const { recorder } = this.#context;
    this.#pace(steady(perSecond, (persons * 1000) / perSecond), atMs, (dueMs, i) => {
      const viewer = this.#own(personOf(i));
      if (viewer === undefined || !willing(viewer)) return;
      recorder.sent(dueMs);
      viewer.join(dueMs);
    });
  }

  /**
   * Message i of the room is written by person i mod writers; every shard walks the whole plan and
   * sends what its own people write.
   */
  #chat({ writers, skipEvery, perSecond, arrivals, forMs, chars }: ChatPlan, atMs: number): void {
    const { seed, recorder } = this.#context;
    const { schedule, textOf } = chatPlan({ perSecond, arrivals, forMs, chars }, seed, this.#chats++);
    this.#pace(schedule, atMs, (dueMs, i) => {
      const nth = i % writers;
      const viewer = this.#own(skipEvery === undefined ? nth : nth + Math.floor(nth / (skipEvery - 1)) + 1);
      if (viewer === undefined) return;
      recorder.sent(dueMs);
      this.#note.sent.add();
      if (!viewer.ask({ t: 'chat', text: textOf(i, dueMs) }, dueMs)) recorder.refused('not_connected');
    });
  }

  #own(person: number): Viewer | undefined {
    const { index, of } = this.#shard;
    return person % of === index ? this.#people[(person - index) / of] : undefined;
  }

  #pace(schedule: Schedule, atMs: number, emit: (dueMs: number, index: number) => void): void {
    if (this.#stopped) return;
    this.#pacers.push(new Pacer(schedule, atMs, this.#context.nowMs, emit));
  }

  #noteEvents({ frame }: FrameFacts): void {
    const nowMs = this.#context.nowMs();
    const { timesEvents } = this.#context.params;
    for (const { offset, type, at, data } of frame.events ?? []) {
      this.#note.events.add();
      const dueMs = timesEvents !== undefined && typeof data.text === 'string' ? dueOf(data.text) : Number.NaN;
      if (!Number.isNaN(dueMs)) {
        this.#note.eventFromOrder.record(nowMs - dueMs);
        if (timesEvents === 'commit') this.#note.event.record(Date.now() - at);
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
