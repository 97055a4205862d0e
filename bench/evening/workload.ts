/** The workload `evening`: one worker's share of the virtual users of a show. */
import type { Bye, ErrorMessage, Ok, Welcome, You } from '../../src/protocol/messages.ts';
import type { Workload, WorkloadContext, WorkloadRun } from '../generator/contract.ts';
import type { FrameFacts } from '../generator/frame-cache.ts';
import { createPrng, type Prng } from '../generator/prng.ts';
import { steady } from '../generator/schedule.ts';
import { stamped } from '../generator/stamp.ts';
import { Timers } from '../generator/timers.ts';
import { Viewer, type ViewerListener } from '../generator/viewer.ts';
import { ViewerGroup } from '../generator/viewer-group.ts';
import { Probe } from '../users/probe.ts';
import { arrivalTimes } from './arrival-times.ts';
import { EveningBuyers } from './buyers.ts';
import type { EveningCommand, EveningContext, EveningParams, EveningSummary, GrantReport } from './commands.ts';
import { EveningUser } from './user.ts';

const REPLY_WAIT_MS = 5_000;
const CATCH_UP_MS = 3_000;
const WELCOME_WAIT_MS = 5_000;
const CLOCK_EXCHANGES = 4;
/** X-2 of the protocol: full jitter between 0 and the smaller of these. */
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 30_000;
/** With close codes of this range a reconnect is useless. */
const CLOSE_STOP = 4_200;
const CLOSE_STOP_END = 4_300;
const STREAM = 13;
const WRITERS_TRIED_MAX = 32;

export const evening: Workload<EveningParams, EveningCommand, GrantReport> = {
  name: 'evening',
  async prepare(context) {
    const run = new Evening(context);
    await run.group.makeTokens('buyer', ({ viewer }) => viewer);
    return run;
  },
};

const metersOf = ({ recorder }: Pick<WorkloadContext<unknown>, 'recorder'>) => ({
  joined: recorder.counter('joined'),
  resumed: recorder.counter('resumed'),
  snapshots: recorder.counter('snapshots'),
  delivered: recorder.counter('delivered'),
  events: recorder.counter('events'),
  frames: recorder.counter('frames'),
  bytes: recorder.counter('bytes'),
  missed: recorder.counter('missed'),
  sent: recorder.counter('chat sent'),
  accepted: recorder.counter('chat accepted'),
  unsent: recorder.counter('chat without a connected writer'),
  hearts: recorder.counter('hearts'),
  viewers: recorder.gauge('viewers'),
  join: recorder.latency('join'),
  resume: recorder.latency('resume'),
  delivery: recorder.latency('delivery'),
  slowDelivery: recorder.latency('delivery to slow phones'),
});

class Evening implements WorkloadRun<EveningCommand>, ViewerListener {
  readonly group: ViewerGroup<EveningUser>;
  readonly #context: EveningContext;
  readonly #meters: ReturnType<typeof metersOf>;
  readonly #byViewer = new Map<Viewer, EveningUser>();
  readonly #probe = new Probe();
  readonly #buyers: EveningBuyers;
  readonly #timers: Timers;
  readonly #buyerTimers: Timers;
  #writers = 0;
  #commands = 0;
  #lastResumeMs = 0;

  constructor(context: EveningContext) {
    this.#context = context;
    this.#timers = new Timers(context.nowMs);
    this.#buyerTimers = new Timers(context.nowMs);
    this.#meters = metersOf(context);
    this.group = new ViewerGroup(context, (userIndex, room) => {
      const user = new EveningUser(new Viewer(userIndex, room, this), this.#buyerTimers);
      this.#byViewer.set(user.viewer, user);
      return user;
    });
    this.#buyers = new EveningBuyers(context, this.#probe, this.group.members, this.#buyerTimers);
  }

  /** Nothing happens before a command. */
  start(): void {}

  command(command: EveningCommand): void {
    const { group } = this;
    const prng = createPrng(this.#context.seed)
      .fork(STREAM)
      .fork(this.#commands++);
    switch (command.do) {
      case 'join': {
        const { from, to, shape, overMs, atMs } = command;
        const times = arrivalTimes(shape, to - from, overMs);
        return group.pace(times, atMs, (dueMs, i) => this.#join(group.own(from + i), dueMs));
      }
      case 'chat': {
        const { messages, atMs } = command;
        const times = messages.map(([offsetMs]) => offsetMs);
        return group.pace(times, atMs, (dueMs, i) => this.#chat(messages[i]?.[1] ?? '', dueMs));
      }
      case 'hearts':
        return group.pace(steady(command.perSecond, command.forMs), command.atMs, (dueMs, i) => this.#heart(i, dueMs));
      case 'move':
        group.room.gateway = command.gateway;
        return;
      case 'press':
        return this.#buyers.press(command);
      case 'leave':
        for (const user of group.members)
          if (user.viewer.userIndex >= command.from && user.viewer.userIndex < command.to) this.#leave(user);
        return;
      case 'stall':
        for (const user of this.#some(command.share, prng)) this.#stall(user, command.atMs, command.forMs);
        return;
      case 'drop':
        for (const user of this.#some(command.share, prng)) {
          const draw = prng.fork(user.viewer.userIndex);
          const atMs = command.atMs + draw.next() * command.overMs;
          this.#drop(user, atMs, command.awayMs + draw.next() * command.backMs);
        }
    }
  }

  /** The same users for any number of workers: each draws separately. */
  #some(share: number, prng: Prng): EveningUser[] {
    return this.group.members.filter(({ viewer }) => prng.fork(viewer.userIndex).fork(1).chance(share));
  }

  #join(user: EveningUser | undefined, dueMs: number): void {
    if (user === undefined || user.viewer.connected || this.group.isOver) return;
    this.#context.recorder.sent(dueMs);
    user.viewer.join(dueMs);
  }

  /** The next connected user of this worker writes. */
  #chat(text: string, dueMs: number): void {
    const message = { t: 'chat', text: stamped(dueMs, text) };
    const { members } = this.group;
    for (let tries = 0; tries < WRITERS_TRIED_MAX; tries++) {
      const user = members[this.#writers++ % members.length];
      if (user === undefined || user.isStalled || !user.send(message, dueMs)) continue;
      this.#context.recorder.sent(dueMs);
      this.#meters.sent.add();
      return;
    }
    this.#meters.unsent.add();
  }

  #heart(i: number, dueMs: number): void {
    const user = this.group.own(i % this.#context.params.users);
    if (user === undefined || user.isStalled || !user.viewer.welcomed) return;
    this.#context.recorder.sent(dueMs);
    this.#meters.hearts.add();
    user.viewer.notify({ t: 'react', n: 1 });
  }

  #leave({ viewer }: EveningUser): void {
    if (viewer.welcomed) this.#meters.viewers.add(-1);
    viewer.leave();
    this.#probe.requests.unknown += viewer.loseRequests();
  }

  #stall(user: EveningUser, atMs: number, forMs: number): void {
    this.#timers.at(atMs, () => {
      user.isStalled = true;
      user.slowUntilMs = atMs + forMs;
      user.viewer.stall();
    });
    this.#timers.at(atMs + forMs, () => {
      user.isStalled = false;
      user.viewer.unstall();
    });
  }

  #drop(user: EveningUser, atMs: number, awayMs: number): void {
    this.#timers.at(atMs, () => {
      if (!user.viewer.welcomed) return;
      this.#leave(user);
      this.#timers.at(atMs + awayMs, (dueMs) => this.#join(user, dueMs));
    });
  }

  onWelcome(viewer: Viewer, { resumed }: Welcome): void {
    const user = this.#user(viewer);
    const meters = this.#meters;
    const nowMs = this.#context.nowMs();
    meters.viewers.add(1);
    user.failures = 0;
    if (user.hasJoined) {
      const kind = resumed === true ? 'resumed' : 'snapshots';
      this.#probe.connections.reconnects++;
      this.#probe.connections[kind]++;
      this.#lastResumeMs = nowMs;
      meters.resume.record(nowMs - viewer.dueMs);
      meters[kind].add();
    } else {
      meters.joined.add();
      meters.join.record(nowMs - viewer.dueMs);
    }
    user.hasJoined = true;
    if (this.#context.params.clocks && !user.clock.isSet) void this.#syncClock(user);
    user.welcomed();
  }

  async #syncClock(user: EveningUser): Promise<void> {
    const { nowMs, recorder } = this.#context;
    while (user.clock.exchanges < CLOCK_EXCHANGES) {
      const sentMs = nowMs();
      const reply = await user.request({ t: 'sync', at: sentMs }, sentMs);
      if (reply.t === 'error') recorder.refused(reply.code);
      if (reply.t !== 'ok') return;
      const { received, sent } = reply.data as { received: number; sent: number };
      user.clock.add(sentMs, received, sent, nowMs());
    }
    this.#buyers.clockSet(user);
  }

  onFrame(viewer: Viewer, facts: FrameFacts, bytes: number): void {
    const meters = this.#meters;
    meters.frames.add();
    meters.bytes.add(bytes);
    if (facts.chat > 0) meters.delivered.add(facts.chat);
    const { missed, snapshot } = facts.frame;
    if (missed !== undefined) {
      meters.missed.add(missed);
      this.#probe.connections.missed += missed;
    }
    if (snapshot !== undefined) {
      meters.snapshots.add();
      this.#probe.connections.snapshots++;
    }
    if (facts.lastEvent > 0) this.#onEvents(facts);
    if (facts.dueTimesMs.length > 0 && viewer.userIndex % this.#context.params.measureEvery === 0) {
      const nowMs = this.#context.nowMs();
      const { slowUntilMs } = this.#user(viewer);
      for (const dueMs of facts.dueTimesMs) {
        // Messages from before the join come from the room's history, not from a broadcast.
        if (dueMs < viewer.dueMs) continue;
        // What waited for a viewer that did not read says nothing about the engine.
        (dueMs < slowUntilMs ? meters.slowDelivery : meters.delivery).record(nowMs - dueMs);
      }
    }
  }

  #onEvents({ frame }: FrameFacts): void {
    const events = frame.events ?? [];
    this.#meters.events.add(events.length);
    this.#probe.connections.events += events.length;
    for (const { type, data } of events)
      if (type === 'sale.opened') this.#probe.opened((data as { sale: { id: string } }).sale.id, this.#context.nowMs());
  }

  /** The reply to a chat message. */
  onReply(viewer: Viewer, reply: Ok | ErrorMessage): void {
    this.#user(viewer).replies++;
    if (reply.t === 'ok') this.#meters.accepted.add();
    else this.#context.recorder.refused(reply.code);
  }

  onYou(_viewer: Viewer, { reservation }: You): void {
    this.#probe.changed(reservation);
  }

  onBye(viewer: Viewer, { reconnectAfterMs }: Bye): void {
    if (reconnectAfterMs !== undefined) this.#user(viewer).reconnectAfterMs = reconnectAfterMs;
  }

  onClose(viewer: Viewer, code: number): void {
    const user = this.#user(viewer);
    if (viewer.welcomed) this.#meters.viewers.add(-1);
    viewer.welcomed = false;
    this.group.countClose(code);
    this.#probe.requests.unknown += viewer.loseRequests();
    if (this.group.isOver || (code >= CLOSE_STOP && code < CLOSE_STOP_END)) return;
    const backoffMs = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** user.failures++);
    const waitMs = user.reconnectAfterMs ?? this.#context.prng.next() * backoffMs;
    user.reconnectAfterMs = null;
    this.#timers.at(this.#context.nowMs() + waitMs, (dueMs) => this.#join(user, dueMs));
  }

  async stop(): Promise<EveningSummary> {
    const { group } = this;
    group.stopSchedules();
    this.#buyerTimers.clear();
    this.#buyers.stop();
    for (const user of group.members) if (user.isStalled) user.viewer.unstall();
    await group.until(REPLY_WAIT_MS, () => group.members.every(({ viewer }) => viewer.open.size === 0));
    await this.#checkPositions();
    group.isOver = true;
    this.#timers.clear();
    this.#sumUp();
    for (const { viewer } of group.members) viewer.leave();
    return { evidence: this.#probe.evidence(), rushes: this.#buyers.rushes, lastResumeMs: this.#lastResumeMs };
  }

  /** A new viewer receives the position of the log. All other viewers must reach it. */
  async #checkPositions(): Promise<void> {
    const { group } = this;
    const { params, shard, nowMs, fail } = this.#context;
    const newest = new Viewer(params.users + shard.index, group.room, SILENT);
    newest.join(nowMs());
    await group.until(WELCOME_WAIT_MS, () => newest.welcomed);
    const { epoch, offset, welcomed } = newest;
    newest.leave();
    if (!welcomed) fail('a new viewer got no welcome at the end, so the position of the log is unknown');
    const connected = group.members.map(({ viewer }) => viewer).filter((viewer) => viewer.welcomed);
    this.#probe.connections.connected = connected.length;
    const behind = (): number =>
      connected.filter((viewer) => viewer.welcomed && (viewer.epoch !== epoch || viewer.offset < offset)).length;
    await group.until(CATCH_UP_MS, () => behind() === 0);
    this.#probe.connections.behind = behind();
  }

  #sumUp(): void {
    const { connections, requests } = this.#probe;
    for (const { viewer, unknownKeys, sent, replies } of this.group.members) {
      connections.gaps += viewer.eventGaps;
      connections.chatGaps += viewer.chatGaps;
      requests.sent += sent;
      requests.replied += replies;
      requests.ignored += viewer.open.size;
      for (const { request } of viewer.open.values()) if (request.t === 'reserve') requests.openReserves++;
      requests.openReserves += unknownKeys.size;
    }
    if (requests.ignored > 0) this.#context.recorder.refused('unanswered', requests.ignored);
  }

  #user(viewer: Viewer): EveningUser {
    const user = this.#byViewer.get(viewer);
    if (user === undefined) throw new Error(`viewer ${viewer.userIndex} has no virtual user`);
    return user;
  }
}

const SILENT: ViewerListener = { onWelcome() {}, onFrame() {}, onReply() {}, onClose() {} };
