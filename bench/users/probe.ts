/** Records what virtual users saw, as far as the promises go: their part of the evidence. */
import type { Item, ReservationView } from '../../src/protocol/messages.ts';
import type { End, Evidence, Grant, OverLimit, SoldOut, TooEarly, TooLate, Zero } from '../verdict/evidence.ts';
import { NO_EVIDENCE } from '../verdict/evidence.ts';

export interface SentReserve {
  readonly user: string;
  readonly key: string;
  readonly sale: string;
  readonly lines: readonly Item[];
  /** When the key was sent first. */
  readonly sentMs: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** More refusals of one kind are only counted. */
const KEPT_MAX = 10_000;
/** The end that a refused confirm or release reports. */
export const ENDED_AS: Readonly<Record<string, End['state']>> = {
  reservation_confirmed: 'confirmed',
  reservation_released: 'released',
  reservation_expired: 'expired',
};
const [FIRST, LAST] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
const UNSEEN_CLOCK = { viewers: 0, clockFirstMs: FIRST, clockLastMs: LAST };
const UNSEEN = { ...UNSEEN_CLOCK, openedSeen: 0, openedFirstMs: FIRST, openedLastMs: LAST };

export class Probe {
  readonly #grants: Grant[] = [];
  readonly #ends = new Map<string, End>();
  readonly #soldOut = new Map<string, SoldOut>();
  readonly #tooEarly = new Map<string, TooEarly>();
  readonly #tooLate = new Map<string, TooLate>();
  readonly #overLimit: OverLimit[] = [];
  readonly #zeros = new Map<string, Mutable<Zero>>();
  readonly connections: Mutable<Evidence['connections']> = { ...NO_EVIDENCE.connections };
  readonly requests: Mutable<Evidence['requests']> = { ...NO_EVIDENCE.requests };

  granted({ user, key, sale, lines, sentMs }: SentReserve, reservation: ReservationView, replayed: boolean): void {
    const { id, createdAt, heldUntil } = reservation;
    this.#grants.push({ reservation: id, user, key, sale, lines, createdAt, heldUntil, replayed, sentMs });
    this.changed(reservation);
  }

  changed({ id, state, endedAt }: ReservationView): void {
    if (state !== 'held') this.#end({ reservation: id, state, endedAt: endedAt ?? null });
  }

  #end(end: End): void {
    this.#ends.set(`${end.reservation} ${end.state}`, end);
  }

  /** `sentAtLeast`: server time before which the request cannot have left; NaN without a clock. */
  refused(
    { user, sale, lines }: SentReserve,
    { code, at }: { readonly code: string; readonly at: number },
    repliedMs: number,
    sentAtLeast: number,
  ): void {
    if (code === 'sold_out') {
      const name = `${sale} ${lines.map(({ sku, qty }) => `${qty}x${sku}`).join()}`;
      if (!this.#soldOut.has(name)) this.#soldOut.set(name, { sale, lines, repliedMs });
    } else if (code === 'sale_not_open') {
      const latest = this.#tooEarly.get(sale)?.sentAtLeast ?? Number.NEGATIVE_INFINITY;
      if (sentAtLeast > latest) this.#tooEarly.set(sale, { sale, sentAtLeast });
    } else if (code === 'sale_ended') {
      if (!this.#tooLate.has(sale)) this.#tooLate.set(sale, { sale, at });
    } else if (code === 'limit_exceeded' && this.#overLimit.length < KEPT_MAX)
      this.#overLimit.push({ sale, user, lines, repliedMs });
  }

  /** A confirm or release was refused because the reservation had ended. */
  endRefused(reservation: string, code: string): void {
    const state = ENDED_AS[code];
    if (state !== undefined) this.#end({ reservation, state, endedAt: null });
  }

  /** The clock of one viewer shows zero at this moment. */
  zero(sale: string, atMs: number): void {
    const zero = this.#zero(sale);
    zero.viewers++;
    zero.clockFirstMs = Math.min(zero.clockFirstMs, atMs);
    zero.clockLastMs = Math.max(zero.clockLastMs, atMs);
  }

  opened(sale: string, atMs: number): void {
    const zero = this.#zero(sale);
    zero.openedSeen++;
    zero.openedFirstMs = Math.min(zero.openedFirstMs, atMs);
    zero.openedLastMs = Math.max(zero.openedLastMs, atMs);
  }

  #zero(sale: string): Mutable<Zero> {
    const known = this.#zeros.get(sale) ?? { sale, ...UNSEEN };
    this.#zeros.set(sale, known);
    return known;
  }

  evidence(): Evidence {
    return {
      grants: this.#grants,
      ends: [...this.#ends.values()],
      soldOut: [...this.#soldOut.values()],
      tooEarly: [...this.#tooEarly.values()],
      tooLate: [...this.#tooLate.values()],
      overLimit: this.#overLimit,
      zeros: [...this.#zeros.values()],
      connections: { ...this.connections },
      requests: { ...this.requests },
    };
  }
}
