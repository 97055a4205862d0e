/**
 * The workload `night`: one worker's share of the people of a show. They come, listen, talk, tap
 * hearts, buy at zero, lose their line, come back.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bye, ErrorMessage, Ok, Welcome, You } from '../../src/protocol/messages.ts';
import { tokenMaker, VARIANTS } from '../generator/access.ts';
import type { Workload, WorkloadContext, WorkloadRun } from '../generator/contract.ts';
import { FrameCache, type FrameFacts } from '../generator/frame-cache.ts';
import { createPrng, type Prng } from '../generator/prng.ts';
import { Pacer, type Schedule, steady } from '../generator/schedule.ts';
import { stamped } from '../generator/stamp.ts';
import { Alarms } from '../generator/timers.ts';
import { type Line, type Question, Viewer, type ViewerListener } from '../generator/viewer.ts';
import { arrivalTimes } from './arrival-rate.ts';
import type { EveningCommand, EveningParams, EveningSummary, Granted } from './commands.ts';
import { Probe } from './probe.ts';
import { Shopping } from './shopping.ts';
import { EXCHANGES } from './viewer-clock.ts';
import { Guest } from './virtual-user.ts';

/** Tokens are signed in slices, so that the worker is heard meanwhile. */
const TOKENS_A_TURN = 500;
const ANSWER_WAIT_MS = 5_000;
const CATCH_UP_MS = 3_000;
const PROBE_WAIT_MS = 5_000;
/** X-2 of the protocol: full jitter between 0 and the smaller of these. */
const BACKOFF_FIRST_MS = 500;
const BACKOFF_MAX_MS = 30_000;
/** Close codes from here on say that coming back is useless. */
const CLOSE_STOP = 4_200;
const CLOSE_STOP_END = 4_300;
const STREAM = 13;

export const evening: Workload<EveningParams, EveningCommand, Granted> = {
  name: 'evening',
  async prepare(context) {
    const run = new Evening(context);
    await run.makeTokens();
    return run;
  },
};

const notebook = ({ recorder }: Pick<WorkloadContext<unknown>, 'recorder'>) => ({
  joined: recorder.counter('joined'),
  resumed: recorder.counter('resumed'),
  snapshots: recorder.counter('snapshots'),
  delivered: recorder.counter('delivered'),
  events: recorder.counter('events'),
  frames: recorder.counter('frames'),
  bytes: recorder.counter('bytes'),
  missed: recorder.counter('missed'),
  sent: recorder.counter('chat sent'),
  said: recorder.counter('chat accepted'),
  unsaid: recorder.counter('chat with nobody there to say it'),
  hearts: recorder.counter('hearts'),
  viewers: recorder.gauge('viewers'),
  join: recorder.latency('join'),
  resume: recorder.latency('resume'),
  delivery: recorder.latency('delivery'),
  slowDelivery: recorder.latency('delivery to slow phones'),
});

class Evening implements WorkloadRun<EveningCommand>, ViewerListener {
  readonly #context: WorkloadContext<EveningParams, Granted>;
  readonly #note: ReturnType<typeof notebook>;
  readonly #line: Line;
  readonly #guests: Guest[] = [];
  readonly #byViewer = new Map<Viewer, Guest>();
  readonly #probe = new Probe();
  readonly #shopping: Shopping;
  readonly #pacers: Pacer[] = [];
  readonly #alarms: Alarms;
  #speakers = 0;
  #orders = 0;
  #lastResumeMs = 0;
  #over = false;

  constructor(context: WorkloadContext<EveningParams, Granted>) {
    this.#context = context;
    this.#alarms = new Alarms(context.nowMs);
    this.#note = notebook(context);
    const { params, shard } = context;
    this.#line = { gate: params.gate, show: params.show, variant: VARIANTS[params.variant], frames: new FrameCache() };
    for (let person = shard.index; person < params.people; person += shard.of) {
      const guest = new Guest(new Viewer(person, this.#line, this));
      this.#guests.push(guest);
      this.#byViewer.set(guest.viewer, guest);
    }
    this.#shopping = new Shopping(context, this.#probe, this.#guests);
  }

  async makeTokens(): Promise<void> {
    const { access, show } = this.#context.params;
    const token = tokenMaker(access, show, 'buyer');
    for (const [i, { viewer }] of this.#guests.entries()) {
      viewer.token = token(viewer.person);
      if (i % TOKENS_A_TURN === 0) await sleep(0);
    }
  }

  /** Nobody does anything before an order. */
  start(): void {}

  command(order: EveningCommand): void {
    const prng = createPrng(this.#context.seed)
      .fork(STREAM)
      .fork(this.#orders++);
    switch (order.do) {
      case 'join':
        return this.#pace(arrivalTimes(order.shape, order.to - order.from, order.overMs), order.atMs, (dueMs, i) =>
          this.#join(this.#own(order.from + i), dueMs),
        );
      case 'talk':
        return this.#pace(
          order.messages.map(([offsetMs]) => offsetMs),
          order.atMs,
          (dueMs, i) => this.#say(order.messages[i]?.[1] ?? '', dueMs),
        );
      case 'hearts':
        return this.#pace(steady(order.perSecond, order.forMs), order.atMs, (dueMs, i) => this.#heart(i, dueMs));
      case 'press':
        return this.#shopping.press(order);
      case 'leave':
        for (const guest of this.#guests)
          if (guest.viewer.person >= order.from && guest.viewer.person < order.to) this.#goHome(guest);
        return;
      case 'stall':
        for (const guest of this.#some(order.share, prng)) this.#stall(guest, order.atMs, order.forMs);
        return;
      case 'drop':
        for (const guest of this.#some(order.share, prng)) {
          const draw = prng.fork(guest.viewer.person);
          this.#drop(guest, order.atMs + draw.next() * order.overMs, order.awayMs + draw.next() * order.backMs);
        }
    }
  }

  /** The same people whatever the number of workers: each draws for themselves. */
  #some(share: number, prng: Prng): Guest[] {
    return this.#guests.filter(({ viewer }) => prng.fork(viewer.person).fork(1).chance(share));
  }

  #own(person: number): Guest | undefined {
    const { index, of } = this.#context.shard;
    return person % of === index ? this.#guests[(person - index) / of] : undefined;
  }

  #join(guest: Guest | undefined, dueMs: number): void {
    if (guest === undefined || guest.viewer.connected || this.#over) return;
    this.#context.recorder.sent(dueMs);
    guest.viewer.join(dueMs);
  }

  /** The next of this worker's people who is there speaks. */
  #say(text: string, dueMs: number): void {
    const { recorder } = this.#context;
    const question = { t: 'chat', text: stamped(dueMs, text) };
    for (let tries = 0; tries < 32; tries++) {
      const guest = this.#guests[this.#speakers++ % this.#guests.length];
      if (guest === undefined || guest.stalled || !guest.ask(question, dueMs)) continue;
      recorder.sent(dueMs);
      this.#note.sent.add();
      return;
    }
    this.#note.unsaid.add();
  }

  #heart(i: number, dueMs: number): void {
    const guest = this.#own(i % this.#context.params.people);
    if (guest === undefined || guest.stalled || !guest.viewer.welcomed) return;
    this.#context.recorder.sent(dueMs);
    this.#note.hearts.add();
    guest.viewer.tell({ t: 'react', n: 1 });
  }

  #goHome(guest: Guest): void {
    if (guest.viewer.welcomed) this.#note.viewers.add(-1);
    guest.viewer.leave();
    this.#cut(guest);
  }

  #stall(guest: Guest, atMs: number, forMs: number): void {
    this.#alarms.at(atMs, () => {
      guest.stalled = true;
      guest.slowUntilMs = atMs + forMs;
      guest.viewer.stall();
    });
    this.#alarms.at(atMs + forMs, () => {
      guest.stalled = false;
      guest.viewer.unstall();
    });
  }

  #drop(guest: Guest, atMs: number, backMs: number): void {
    this.#alarms.at(atMs, () => {
      if (!guest.viewer.welcomed) return;
      this.#goHome(guest);
      guest.returning = true;
      this.#alarms.at(atMs + backMs, (dueMs) => this.#join(guest, dueMs));
    });
  }

  onWelcome(viewer: Viewer, { resumed, at }: Welcome): void {
    const guest = this.#guest(viewer);
    const { nowMs } = this.#context;
    this.#note.viewers.add(1);
    guest.attempts = 0;
    if (guest.returning) {
      this.#probe.line.reconnects++;
      this.#lastResumeMs = nowMs();
      this.#note.resume.record(nowMs() - viewer.dueMs);
      this.#note[resumed === true ? 'resumed' : 'snapshots'].add();
      this.#probe.line[resumed === true ? 'resumed' : 'snapshots']++;
    } else {
      this.#note.joined.add();
      this.#note.join.record(nowMs() - viewer.dueMs);
    }
    guest.returning = true;
    if (this.#context.params.clocks && !guest.clock.set) guest.ask({ t: 'sync', at: at }, nowMs());
    this.#shopping.returned(guest);
  }

  onFrame(viewer: Viewer, facts: FrameFacts, bytes: number): void {
    const note = this.#note;
    note.frames.add();
    note.bytes.add(bytes);
    if (facts.chat > 0) note.delivered.add(facts.chat);
    const { frame } = facts;
    if (frame.missed !== undefined) note.missed.add(frame.missed);
    if (frame.snapshot !== undefined) note.snapshots.add();
    if (facts.lastEvent > 0) this.#onEvents(facts);
    if (facts.dues.length > 0 && viewer.person % this.#context.params.measureEvery === 0) {
      const nowMs = this.#context.nowMs();
      // Messages said before this person was here come from the memory of the room, not over the
      // line.
      const { slowUntilMs } = this.#guest(viewer);
      for (const dueMs of facts.dues) {
        if (dueMs < viewer.dueMs) continue;
        // What waited for a phone that did not read says nothing about the engine.
        (dueMs < slowUntilMs ? note.slowDelivery : note.delivery).record(nowMs - dueMs);
      }
    }
    if (frame.missed !== undefined) this.#probe.line.missed += frame.missed;
    if (frame.snapshot !== undefined) this.#probe.line.snapshots++;
  }

  #onEvents({ frame }: FrameFacts): void {
    const events = frame.events ?? [];
    this.#note.events.add(events.length);
    this.#probe.line.events += events.length;
    for (const { type, data } of events)
      if (type === 'sale.opened') this.#probe.opened((data as { sale: { id: string } }).sale.id, this.#context.nowMs());
  }

  onAnswer(viewer: Viewer, answer: Ok | ErrorMessage, dueMs: number, question: Question): void {
    const guest = this.#guest(viewer);
    guest.answered++;
    switch (question.t) {
      case 'reserve':
        return this.#shopping.onReserve(guest, answer, dueMs, question);
      case 'release':
        return this.#shopping.onRelease(answer, dueMs, question);
      case 'sync':
        return this.#onSync(guest, answer, dueMs);
      default:
        if (answer.t === 'ok') this.#note.said.add();
        else this.#context.recorder.refused(answer.code);
    }
  }

  #onSync(guest: Guest, answer: Ok | ErrorMessage, sentMs: number): void {
    const nowMs = this.#context.nowMs();
    if (answer.t === 'error') return this.#context.recorder.refused(answer.code);
    const { received, sent } = answer.data as { received: number; sent: number };
    guest.clock.note(sentMs, received, sent, nowMs);
    if (guest.clock.samples < EXCHANGES) guest.ask({ t: 'sync', at: nowMs }, this.#context.nowMs());
    else this.#shopping.clockSet(guest);
  }

  onYou(_viewer: Viewer, { reservation }: You): void {
    this.#probe.changed(reservation);
  }

  onBye(viewer: Viewer, { reconnectAfterMs }: Bye): void {
    if (reconnectAfterMs !== undefined) this.#guest(viewer).comeBackMs = reconnectAfterMs;
  }

  onClose(viewer: Viewer, code: number): void {
    const guest = this.#guest(viewer);
    if (viewer.welcomed) this.#note.viewers.add(-1);
    viewer.welcomed = false;
    this.#context.recorder.refused(code >= 400 && code < 600 ? `http_${code}` : `closed_${code}`);
    this.#cut(guest);
    if (this.#over || (code >= CLOSE_STOP && code < CLOSE_STOP_END)) return;
    const most = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** guest.attempts++);
    const waitMs = guest.comeBackMs ?? this.#context.prng.next() * most;
    guest.comeBackMs = null;
    this.#alarms.at(this.#context.nowMs() + waitMs, (dueMs) => this.#join(guest, dueMs));
  }

  /** What was asked and not answered is unknown now. */
  #cut(guest: Guest): void {
    const { open } = guest.viewer;
    for (const { question } of open.values()) this.#shopping.cut(guest, question);
    this.#probe.requests.unknown += open.size;
    open.clear();
  }

  async stop(): Promise<EveningSummary> {
    for (const pacer of this.#pacers) pacer.stop();
    this.#shopping.stop();
    for (const guest of this.#guests) if (guest.stalled) guest.viewer.unstall();
    await this.#until(ANSWER_WAIT_MS, () => this.#guests.every(({ viewer }) => viewer.open.size === 0));
    await this.#lookAtPositions();
    this.#over = true;
    this.#alarms.clear();
    this.#addUp();
    for (const { viewer } of this.#guests) viewer.leave();
    return { evidence: this.#probe.evidence(), rushes: this.#shopping.rushes, lastResumeMs: this.#lastResumeMs };
  }

  /** A fresh viewer is told where the log stands: everybody else must stand there too, soon. */
  async #lookAtPositions(): Promise<void> {
    const probe = new Viewer(this.#context.params.people + this.#context.shard.index, this.#line, SILENT);
    probe.join(this.#context.nowMs());
    await this.#until(PROBE_WAIT_MS, () => probe.welcomed);
    const { epoch, offset, welcomed } = probe;
    probe.leave();
    const standing = this.#guests.filter(({ viewer }) => viewer.welcomed);
    this.#probe.line.standing = standing.length;
    if (!welcomed) this.#context.fail('a fresh viewer was not let in at the end, so nobody knows where the log stands');
    const behind = (): number =>
      standing.filter(({ viewer }) => viewer.welcomed && (viewer.epoch !== epoch || viewer.offset < offset)).length;
    await this.#until(CATCH_UP_MS, () => behind() === 0);
    this.#probe.line.behind = behind();
  }

  #addUp(): void {
    const { line, requests } = this.#probe;
    for (const guest of this.#guests) {
      const { viewer, unknown } = guest;
      line.gaps += viewer.eventGaps;
      line.chatGaps += viewer.chatGaps;
      requests.sent += guest.sent;
      requests.answered += guest.answered;
      requests.ignored += viewer.open.size;
      for (const { question } of viewer.open.values()) if (question.t === 'reserve') requests.openReserves++;
      requests.openReserves += unknown.size;
    }
    if (requests.ignored > 0) this.#context.recorder.refused('unanswered', requests.ignored);
  }

  async #until(withinMs: number, holds: () => boolean): Promise<void> {
    const untilMs = this.#context.nowMs() + withinMs;
    while (!holds() && this.#context.nowMs() < untilMs) await sleep(10);
  }

  #guest(viewer: Viewer): Guest {
    const guest = this.#byViewer.get(viewer);
    if (guest === undefined) throw new Error('a viewer nobody knows');
    return guest;
  }

  #pace(schedule: Schedule | readonly number[], atMs: number, emit: (dueMs: number, index: number) => void): void {
    if (!this.#over)
      this.#pacers.push(new Pacer('next' in schedule ? schedule : schedule.values(), atMs, this.#context.nowMs, emit));
  }
}

const SILENT: ViewerListener = { onWelcome() {}, onFrame() {}, onAnswer() {}, onClose() {} };
