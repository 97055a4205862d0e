/** The buyers of one worker press by their own clocks. Some press early or twice, some release. */
import type { ReservationView } from '../../src/protocol/messages.ts';
import { userOf } from '../generator/access.ts';
import { createPrng } from '../generator/prng.ts';
import type { Timers } from '../generator/timers.ts';
import { type Action, Buyer, isReplayed, type Reply, reservationOf } from '../users/buyer.ts';
import type { Granted } from '../users/checkout.ts';
import type { Probe, SentReserve } from '../users/probe.ts';
import type { EveningContext, PressCommand, Rush } from './commands.ts';
import type { EveningUser } from './user.ts';

/** Clocks and observed openings are recorded this long after zero. */
const ZERO_CHECK_MS = 2_000;
const EARLY_MS = [200, 2_000] as const;
const REPEAT_AFTER_MS = [5, 500] as const;
const RELEASE_AFTER_MS = [500, 3_000] as const;
const GRANT_REPORT_MS = 100;
const STREAM = 11;
const DONE: Reply = { t: 'ok' };

type Send = () => Promise<Reply>;

export class EveningBuyers {
  readonly #context: EveningContext;
  readonly #probe: Probe;
  readonly #users: readonly EveningUser[];
  readonly #timers: Timers;
  readonly #presses: PressCommand[] = [];
  readonly #firstSent = new Map<string, number>();
  readonly #rushes = new Map<string, { -readonly [K in keyof Rush]: Rush[K] }>();
  readonly #meters;
  #granted: Granted[] = [];
  #isOver = false;

  constructor(context: EveningContext, probe: Probe, users: readonly EveningUser[], timers: Timers) {
    this.#context = context;
    this.#timers = timers;
    this.#probe = probe;
    this.#users = users;
    const { recorder } = context;
    this.#meters = {
      pressed: recorder.counter('pressed'),
      accepted: recorder.counter('accepted'),
      replayed: recorder.counter('replayed'),
      released: recorder.counter('released'),
      offline: recorder.counter('not connected to press'),
      waiting: recorder.gauge('presses waiting'),
      decision: recorder.latency('decision'),
      accept: recorder.latency('accept'),
      release: recorder.latency('release'),
    };
  }

  get rushes(): readonly Rush[] {
    return [...this.#rushes.values()];
  }

  /** Users whose clock is set press at their zero, the others as soon as it is set. */
  press(command: PressCommand): void {
    this.#presses.push(command);
    const ready = this.#users.filter(({ clock }) => clock.isSet);
    for (const user of ready) this.#start(user, command, this.#presses.length);
    const zeros = ready.slice(0, 100).map(({ clock }) => clock.localMs(command.opensAt));
    this.#timers.at(Math.max(this.#context.nowMs(), ...zeros) + ZERO_CHECK_MS, () => this.#recordZeros(command));
  }

  clockSet(user: EveningUser): void {
    for (const [at, command] of this.#presses.entries()) this.#start(user, command, at + 1);
  }

  /** All choices are drawn here in one order, so that a seed always gives a user the same plan. */
  #start(user: EveningUser, command: PressCommand, number: number): void {
    const { userIndex } = user.viewer;
    const { sale, perBuyer, withinMs } = command;
    if (userIndex >= command.buyers || user.sales.has(sale)) return;
    user.sales.add(sale);
    const random = createPrng(this.#context.seed).fork(STREAM).fork(number).fork(userIndex);
    const reactionMs = random.next() * withinMs;
    const [isEarly, isTwice] = [random.chance(command.early), random.chance(command.twice)];
    const releases = random.chance(command.regret);
    const items = [{ sku: random.pick(command.skus), qty: perBuyer > 1 && random.chance(0.2) ? 2 : 1 }];
    const earlyMs = random.int(...EARLY_MS);
    const repeatsAfterMs = isTwice ? [random.int(...REPEAT_AFTER_MS)] : [];
    const decision = releases
      ? ({ what: 'release', afterMs: random.int(...RELEASE_AFTER_MS) } as const)
      : ({ what: 'pay', afterMs: 0 } as const);
    const plan = { reactionMs, repeatsAfterMs, ...(isEarly ? { earlyMs } : {}) };
    const buyer = new Buyer({
      user: userOf(userIndex),
      sale,
      opensAtMs: user.clock.localMs(command.opensAt),
      connection: user,
      random,
      plan: { ...plan, rounds: 1, pauseMs: [0, 0], items: () => items, decide: () => decision },
      log: { attempt: (action, dueMs, send) => this.#attempt(user, sale, action, dueMs, send) },
      http: async (_what, reservation) => this.#grant(reservation),
      isOver: () => this.#isOver,
      keyOf: () => `${sale}-${userIndex}`,
    });
    buyer.play().catch((error: unknown) => this.#context.fail(String(error)));
  }

  async #attempt(user: EveningUser, sale: string, action: Action, dueMs: number, send: Send): Promise<Reply> {
    if (action.do === 'release') return this.#release(action.reservation, dueMs, send);
    if (action.do !== 'reserve') return send();
    if (!user.viewer.welcomed) {
      this.#meters.offline.add();
      return send();
    }
    const { recorder, nowMs } = this.#context;
    const { key, items: lines, kind } = action;
    const name = `${user.viewer.userIndex} ${key}`;
    const leftMs = nowMs();
    const sentMs = this.#firstSent.get(name) ?? leftMs;
    this.#firstSent.set(name, sentMs);
    recorder.sent(dueMs);
    this.#meters.pressed.add();
    this.#meters.waiting.add(1);
    const reply = await send();
    this.#meters.waiting.add(-1);
    if (reply.t === 'lost') {
      user.unknownKeys.add(key);
      return reply;
    }
    user.unknownKeys.delete(key);
    if (kind !== 'early') this.#time(sale, kind === 'press', reply.t === 'ok', dueMs, nowMs());
    const reserve: SentReserve = { user: userOf(user.viewer.userIndex), key, sale, lines, sentMs };
    const reservation = reservationOf(reply);
    if (reservation !== null) {
      const replayed = isReplayed(reply);
      this.#probe.granted(reserve, reservation, replayed);
      this.#meters[replayed ? 'replayed' : 'accepted'].add();
    } else if (reply.t === 'error') {
      recorder.refused(reply.code);
      const { offsetMs, errorMs } = user.clock;
      this.#probe.refused(reserve, reply, nowMs(), leftMs + offsetMs - errorMs);
    }
    return reply;
  }

  async #release({ id }: ReservationView, dueMs: number, send: Send): Promise<Reply> {
    this.#context.recorder.sent(dueMs);
    const reply = await send();
    if (reply.t === 'lost') return reply;
    this.#meters.release.record(this.#context.nowMs() - dueMs);
    const reservation = reservationOf(reply);
    if (reservation !== null) {
      this.#meters.released.add();
      this.#probe.changed(reservation);
    } else if (reply.t === 'error') {
      this.#context.recorder.refused(reply.code);
      this.#probe.endRefused(id, reply.code);
    }
    return reply;
  }

  #time(sale: string, isPress: boolean, accepted: boolean, dueMs: number, repliedMs: number): void {
    this.#meters.decision.record(repliedMs - dueMs);
    if (accepted) this.#meters.accept.record(repliedMs - dueMs);
    if (!isPress) return;
    const rush = this.#rushes.get(sale) ?? { sale, replies: 0, accepted: 0, firstDueMs: dueMs, lastReplyMs: repliedMs };
    this.#rushes.set(sale, rush);
    rush.replies++;
    if (accepted) rush.accepted++;
    rush.firstDueMs = Math.min(rush.firstDueMs, dueMs);
    rush.lastReplyMs = Math.max(rush.lastReplyMs, repliedMs);
  }

  /** The coordinator pays: workers have no access to the control API. */
  #grant({ id, user, amount }: ReservationView): Reply {
    if (this.#granted.length === 0) this.#timers.at(this.#context.nowMs() + GRANT_REPORT_MS, () => this.#report());
    this.#granted.push([id, user, amount]);
    return DONE;
  }

  #report(): void {
    if (this.#granted.length > 0) this.#context.report({ granted: this.#granted });
    this.#granted = [];
  }

  /** The caller clears the timers. */
  stop(): void {
    this.#isOver = true;
    this.#report();
  }

  /** Only users that were connected before the opening had a countdown to see. */
  #recordZeros({ sale, opensAt }: PressCommand): void {
    for (const { viewer, clock, isStalled } of this.#users)
      if (viewer.welcomed && clock.isSet && !isStalled && viewer.dueMs < clock.localMs(opensAt))
        this.#probe.zero(sale, clock.localMs(opensAt));
  }
}
