/**
 * What the audience saw, counted, and the checks a client can make by itself: it knows only what it
 * was told.
 */
import * as hdr from 'hdr-histogram-js';
import type { ReservationView } from '../../src/protocol/messages.ts';

export interface Delivery {
  readonly chat: number;
  readonly events: number;
  readonly state: number;
  readonly personal: number;
  readonly frames: number;
  /** Said by the server to have been left out. */
  readonly missed: number;
}

const LATENCY_MAX_MS = 60_000;
/** A message sent longer ago than this is not matched any more. */
const SENT_KEPT_MS = 60_000;
const VIOLATIONS_NAMED_MAX = 20;

export class Tally {
  readonly delivered = { chat: 0, events: 0, state: 0, personal: 0, frames: 0, missed: 0 };
  readonly refusals = new Map<string, number>();
  readonly sent = { chat: 0, chatRefused: 0, hearts: 0, reserves: 0, repeats: 0, releases: 0 };
  readonly outcomes = { accepted: 0, replayed: 0, unknown: 0, confirmed: 0, confirmFailed: 0 };
  readonly line = { connects: 0, reconnects: 0, resumes: 0, snapshots: 0, gaps: 0, stopped: 0 };
  /** Every reservation any client was told of, by its id, newest state known. */
  readonly reservations = new Map<string, ReservationView>();
  readonly violations: string[] = [];
  #violationCount = 0;
  readonly #latencyMs = hdr.build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LATENCY_MAX_MS * 1000,
    numberOfSignificantValueDigits: 3,
  });
  readonly #sentAt = new Map<string, number>();
  /**
   * Whose each accepted reservation is; the personal lane may tell of one before its answer does.
   */
  readonly #accepted = new Map<string, string>();
  #pruneAt = 0;

  get violationCount(): number {
    return this.#violationCount;
  }

  violation(text: string): void {
    this.#violationCount += 1;
    if (this.violations.length < VIOLATIONS_NAMED_MAX) this.violations.push(text);
  }

  refused(code: string): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }

  chatSent(name: string, text: string): void {
    const now = performance.now();
    this.sent.chat += 1;
    this.#sentAt.set(sentKey(name, text), now);
    if (now < this.#pruneAt) return;
    this.#pruneAt = now + SENT_KEPT_MS / 4;
    for (const [key, at] of this.#sentAt) if (now - at > SENT_KEPT_MS) this.#sentAt.delete(key);
  }

  /**
   * One message reached one viewer, whose connection stands since `connectedAt`
   * (performance.now()). The sender's own copy does not count as delivery time.
   */
  chatReceived(name: string, text: string, receiver: string, connectedAt: number): void {
    this.delivered.chat += 1;
    const sentAt = this.#sentAt.get(sentKey(name, text));
    if (sentAt === undefined || receiver === name || sentAt < connectedAt) return;
    this.#latencyMs.recordValue(
      Math.min(LATENCY_MAX_MS * 1000, Math.max(1, Math.round((performance.now() - sentAt) * 1000))),
    );
  }

  /**
   * Delivery time from the send call of one viewer to the receipt at another, in milliseconds; null
   * before the first.
   */
  latencyMs(percentile: number): number | null {
    return this.#latencyMs.totalCount === 0 ? null : this.#latencyMs.getValueAtPercentile(percentile) / 1000;
  }

  get latencySamples(): number {
    return this.#latencyMs.totalCount;
  }

  /**
   * A reservation was accepted for `user`. Checks what a client may: whose it is, and its per-buyer
   * limit by the server's own times.
   */
  accepted(user: string, reservation: ReservationView, replayed: boolean, perBuyer: number): void {
    if (replayed) this.outcomes.replayed += 1;
    const owner = this.#accepted.get(reservation.id);
    if (reservation.user !== user)
      this.violation(`reservation ${reservation.id} of ${reservation.user} was handed to ${user}`);
    if (owner === undefined) this.outcomes.accepted += 1;
    else if (owner !== user) this.violation(`reservation id ${reservation.id} was given to ${owner} and to ${user}`);
    else if (!replayed) this.violation(`reservation ${reservation.id} was accepted twice as if it were new`);
    this.#accepted.set(reservation.id, user);
    this.changed(reservation);
    let units = 0;
    for (const other of this.reservations.values()) {
      if (other.user !== user || other.sale !== reservation.sale) continue;
      if (other.state === 'confirmed' || (other.state === 'held' && other.heldUntil > reservation.createdAt))
        units += unitsOf(other);
    }
    if (units > perBuyer)
      this.violation(`${user} holds and owns ${units} units of sale ${reservation.sale}, allowed are ${perBuyer}`);
  }

  /**
   * A reservation's newer state. One end only: two different ends for one reservation are a
   * violation.
   */
  changed(reservation: ReservationView): void {
    const known = this.reservations.get(reservation.id);
    if (known !== undefined && known.state !== 'held') {
      if (reservation.state !== 'held' && reservation.state !== known.state)
        this.violation(`reservation ${reservation.id} ended twice: ${known.state}, then ${reservation.state}`);
      return;
    }
    this.reservations.set(reservation.id, reservation);
  }
}

export const unitsOf = (reservation: ReservationView): number =>
  reservation.lines.reduce((sum, line) => sum + line.qty, 0);

const sentKey = (name: string, text: string): string => `${name}\n${text}`;
