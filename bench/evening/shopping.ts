/**
 * Buying at zero: everybody presses by their own clock, some too early, some twice, some think
 * better of it. One instance serves a worker's people.
 */
import type { ErrorMessage, Item, Ok, ReservationView } from '../../src/protocol/messages.ts';
import { userOf } from '../generator/access.ts';
import type { WorkloadContext } from '../generator/contract.ts';
import { createPrng } from '../generator/prng.ts';
import { Alarms } from '../generator/timers.ts';
import type { Question } from '../generator/viewer.ts';
import type { EveningParams, Granted, Press, Rush } from './commands.ts';
import type { Probe, Reserve } from './probe.ts';
import type { Guest } from './virtual-user.ts';

/** Clocks are looked at, and the openings people saw, this long after zero. */
const ZERO_LOOK_MS = 2_000;
const EARLY_MS = [200, 2_000] as const;
const TWICE_AFTER_MS = [5, 500] as const;
const REGRET_AFTER_MS = [500, 3_000] as const;
const GRANTS_TOLD_EVERY_MS = 100;
/** Label of the generator that shopping draws from, so that it does not shift with the rest. */
const STREAM = 11;

/**
 * `zero` is the press everybody waits for; `late` that of somebody who came after it; `again` after
 * a line that broke.
 */
type Kind = 'zero' | 'late' | 'early' | 'twice' | 'again';

interface Asked extends Reserve {
  readonly kind: Kind;
  /** When this request left; the key may have left before. */
  readonly leftMs: number;
}

export class Shopping {
  readonly #context: WorkloadContext<EveningParams, Granted>;
  readonly #probe: Probe;
  readonly #guests: readonly Guest[];
  readonly #presses: Press[] = [];
  readonly #asked = new WeakMap<Question, Asked>();
  readonly #firstSent = new Map<string, number>();
  readonly #regret = new Map<string, number>();
  readonly #rushes = new Map<string, { -readonly [K in keyof Rush]: Rush[K] }>();
  #granted: Array<readonly [string, string, number]> = [];
  readonly #alarms: Alarms;
  readonly #note;

  constructor(context: WorkloadContext<EveningParams, Granted>, probe: Probe, guests: readonly Guest[]) {
    this.#context = context;
    this.#alarms = new Alarms(context.nowMs);
    this.#probe = probe;
    this.#guests = guests;
    const { recorder } = context;
    this.#note = {
      pressed: recorder.counter('pressed'),
      accepted: recorder.counter('accepted'),
      replayed: recorder.counter('answered again'),
      released: recorder.counter('given back'),
      offline: recorder.counter('could not press'),
      waiting: recorder.gauge('presses waiting'),
      decision: recorder.latency('decision'),
      accept: recorder.latency('accept'),
      release: recorder.latency('give back'),
    };
  }

  /** Those whose clock is set press at their zero; the others as soon as it is. */
  press(order: Press): void {
    this.#presses.push(order);
    for (const guest of this.#guests) if (guest.clock.set) this.#plan(guest, order, this.#presses.length);
    const zeros = this.#guests.filter(({ clock }) => clock.set).map(({ clock }) => clock.localMs(order.opensAt));
    this.#alarms.at(Math.max(this.#context.nowMs(), ...zeros.slice(0, 100)) + ZERO_LOOK_MS, () =>
      this.#lookAtClocks(order),
    );
  }

  clockSet(guest: Guest): void {
    for (const [at, order] of this.#presses.entries()) this.#plan(guest, order, at + 1);
  }

  /** All draws are made in one order, so that the same seed makes the same person do the same. */
  #plan(guest: Guest, order: Press, number: number): void {
    const { person } = guest.viewer;
    if (person >= order.buyers || guest.pressed.has(order.sale)) return;
    guest.pressed.add(order.sale);
    const prng = createPrng(this.#context.seed).fork(STREAM).fork(number).fork(person);
    const ownZeroMs = guest.clock.localMs(order.opensAt);
    const zeroMs = Math.max(ownZeroMs, this.#context.nowMs());
    const kind = zeroMs > ownZeroMs ? 'late' : 'zero';
    const dueMs = zeroMs + prng.next() * order.withinMs;
    const [early, twice, regret] = [prng.chance(order.early), prng.chance(order.twice), prng.chance(order.regret)];
    const qty = order.perBuyer > 1 && prng.chance(0.2) ? 2 : 1;
    const lines = [{ sku: prng.pick(order.skus), qty }];
    const key = `${order.sale}-${person}`;
    if (early)
      this.#alarms.at(zeroMs - prng.int(...EARLY_MS), (atMs) =>
        this.#ask(guest, order.sale, key, lines, atMs, 'early'),
      );
    this.#alarms.at(dueMs, (atMs) => this.#ask(guest, order.sale, key, lines, atMs, kind));
    if (twice)
      this.#alarms.at(dueMs + prng.int(...TWICE_AFTER_MS), (atMs) =>
        this.#ask(guest, order.sale, key, lines, atMs, 'twice'),
      );
    if (regret) this.#regret.set(`${userOf(person)} ${key}`, prng.int(...REGRET_AFTER_MS));
  }

  #ask(guest: Guest, sale: string, key: string, lines: readonly Item[], dueMs: number, kind: Kind): void {
    const leftMs = this.#context.nowMs();
    const question = { t: 'reserve', key, sale, lines };
    if (!guest.ask(question, dueMs)) {
      this.#note.offline.add();
      return;
    }
    const name = `${guest.viewer.person} ${key}`;
    const sentMs = this.#firstSent.get(name) ?? leftMs;
    this.#firstSent.set(name, sentMs);
    this.#asked.set(question, { user: userOf(guest.viewer.person), key, sale, lines, sentMs, leftMs, kind });
    this.#context.recorder.sent(dueMs);
    this.#note.pressed.add();
    this.#note.waiting.add(1);
  }

  /** The line broke before the answer. */
  cut(guest: Guest, question: Question): void {
    const asked = this.#asked.get(question);
    if (asked === undefined) return;
    this.#note.waiting.add(-1);
    guest.unknown.set(asked.key, asked);
  }

  /** The line stands again: what may or may not have happened is asked again with the same key. */
  returned(guest: Guest): void {
    const { nowMs } = this.#context;
    for (const { key, sale, lines } of guest.unknown.values()) this.#ask(guest, sale, key, lines, nowMs(), 'again');
  }

  onReserve(guest: Guest, answer: Ok | ErrorMessage, dueMs: number, question: Question): void {
    const { nowMs, recorder } = this.#context;
    const reserve = this.#asked.get(question);
    if (reserve === undefined) return;
    guest.unknown.delete(reserve.key);
    this.#note.waiting.add(-1);
    if (reserve.kind !== 'early') this.#timed(reserve, answer.t === 'ok', dueMs, nowMs());
    if (answer.t === 'error') {
      recorder.refused(answer.code);
      const { offsetMs, errorMs } = guest.clock;
      this.#probe.refused(reserve, answer, nowMs(), reserve.leftMs + offsetMs - errorMs);
      return;
    }
    const { reservation, replayed = false } = answer.data as { reservation: ReservationView; replayed?: boolean };
    this.#probe.granted(reserve, reservation, replayed);
    if (replayed) this.#note.replayed.add();
    else this.#gotIt(guest, reserve, reservation);
  }

  #timed({ sale, kind }: Asked, accepted: boolean, dueMs: number, answeredMs: number): void {
    this.#note.decision.record(answeredMs - dueMs);
    if (accepted) this.#note.accept.record(answeredMs - dueMs);
    if (kind !== 'zero') return;
    const rush = this.#rushes.get(sale) ?? {
      sale,
      answers: 0,
      accepted: 0,
      firstDueMs: dueMs,
      lastAnswerMs: answeredMs,
    };
    this.#rushes.set(sale, rush);
    rush.answers++;
    if (accepted) rush.accepted++;
    rush.firstDueMs = Math.min(rush.firstDueMs, dueMs);
    rush.lastAnswerMs = Math.max(rush.lastAnswerMs, answeredMs);
  }

  get rushes(): readonly Rush[] {
    return [...this.#rushes.values()];
  }

  #gotIt(guest: Guest, { user, key }: Reserve, { id, amount }: ReservationView): void {
    this.#note.accepted.add();
    const regretMs = this.#regret.get(`${user} ${key}`);
    if (regretMs !== undefined) {
      this.#alarms.at(this.#context.nowMs() + regretMs, (atMs) => {
        if (guest.ask({ t: 'release', key: `back-${id}`, reservation: id }, atMs)) this.#context.recorder.sent(atMs);
      });
      return;
    }
    if (this.#granted.length === 0) this.#alarms.at(this.#context.nowMs() + GRANTS_TOLD_EVERY_MS, () => this.#tell());
    this.#granted.push([id, user, amount]);
  }

  onRelease(answer: Ok | ErrorMessage, dueMs: number, { reservation }: Question): void {
    this.#note.release.record(this.#context.nowMs() - dueMs);
    if (answer.t === 'ok') {
      this.#note.released.add();
      this.#probe.changed((answer.data as { reservation: ReservationView }).reservation);
    } else {
      this.#context.recorder.refused(answer.code);
      this.#probe.endRefused(String(reservation), answer.code);
    }
  }

  stop(): void {
    this.#alarms.clear();
    this.#tell();
  }

  #tell(): void {
    if (this.#granted.length > 0) this.#context.report({ granted: this.#granted });
    this.#granted = [];
  }

  /** Only those who were there before it opened had a countdown to see. */
  #lookAtClocks({ sale, opensAt }: Press): void {
    for (const { viewer, clock, stalled } of this.#guests)
      if (viewer.welcomed && clock.set && !stalled && viewer.dueMs < clock.localMs(opensAt))
        this.#probe.zero(sale, clock.localMs(opensAt), clock.errorMs);
  }
}
