/** Reservations and orders as a back office reads them: in pages, filtered, with what they cost. */
import type { Result } from '../protocol/codes.ts';
import type { Item, ReservationState, ReservationView } from '../protocol/messages.ts';
import type { CommandMeta } from './command.ts';
import type { Decision } from './reservation.ts';

/** An item with its unit price and what it is. Unknown: the record is gone or cannot be read. */
export interface BookedItem extends Item {
  price?: number;
  product?: string;
  brand?: string;
}

/** What the host noted of an order, or that it was refunded. */
export interface OrderNotes {
  note?: string;
  /** A number or address of the carrier. */
  tracking?: string;
  /** Missing: not yet. */
  fulfillment?: 'fulfilled';
  refundedAt?: number;
  /** Whether its units became available again; otherwise they were withdrawn. */
  restocked?: boolean;
  refundReason?: string;
}

export interface BookedReservation extends Omit<ReservationView, 'lines'>, OrderNotes {
  lines: BookedItem[];
}

export type Fulfillment = 'unfulfilled' | 'fulfilled';

/** A field that is missing stays as it is. */
export interface OrderChange {
  /** Null removes it. */
  readonly note?: string | null;
  readonly tracking?: string | null;
  readonly fulfillment?: Fulfillment;
}

export interface RefundRequest {
  /** That of the reservation. */
  readonly order: string;
  /** Its units become available again; otherwise they are withdrawn. */
  readonly restock: boolean;
  readonly reason?: string;
}

/** An order that was refunded; see `Decision`. */
export interface Refund extends Omit<Decision, 'reservation'> {
  readonly order: BookedReservation;
}

export type OrderState = 'confirmed' | 'refunded';

/** A confirmed reservation. */
export interface Order {
  /** That of the reservation. */
  id: string;
  state: OrderState;
  orderRef: string;
  sale: string;
  user: string;
  lines: BookedItem[];
  amount: number;
  currency: string;
  /** When the hold was made. */
  createdAt: number;
  confirmedAt: number;
  offer?: true;
  fulfillment: Fulfillment;
  tracking?: string;
  note?: string;
  refundedAt?: number;
  restocked?: boolean;
  refundReason?: string;
}

export interface BookedFilter {
  /** Only orders. Times are those of the confirmation, otherwise those of the hold. */
  readonly isOrder?: boolean;
  readonly state?: ReservationState;
  readonly sale?: string;
  /** At least one item is of this brand. */
  readonly brand?: string;
  readonly user?: string;
  readonly orderRef?: string;
  readonly fulfillment?: Fulfillment;
  /** Milliseconds: not before, and before. */
  readonly from?: number;
  readonly to?: number;
}

export interface BookedQuery extends BookedFilter {
  readonly limit: number;
  /** `next` of the page before. */
  readonly after?: string;
  readonly isNewestFirst?: boolean;
}

/** A page may have fewer than `limit`, or none, and others may follow. */
export interface BookedPage {
  readonly items: readonly BookedReservation[];
  /** Null on the last page. */
  readonly next: string | null;
}

export interface OrderStore {
  /** Lists in the order of the ledger. One call reads a bounded part of it. */
  listBooked(showId: string, query: BookedQuery, onUnreadable?: (id: string) => void): Promise<Result<BookedPage>>;
  /** Other reservations than orders are `reservation_not_found`. */
  getOrder(showId: string, id: string): Promise<Result<BookedReservation>>;
  /** Other reservations than orders are `illegal_move`. */
  changeOrder(showId: string, id: string, change: OrderChange): Promise<Result<BookedReservation>>;
  /**
   * Refunds a whole order, once: a second time it is `reservation_refunded`. Other reservations are
   * `illegal_move`. Refused (`overloaded`) while a process of release 0.1.0 runs.
   */
  refundOrder(showId: string, request: RefundRequest, command: CommandMeta): Promise<Result<Refund>>;
}

/** Returns whether the reservation was confirmed, also if it was refunded since. */
export const isOrder = ({ state }: Pick<ReservationView, 'state'>): boolean =>
  state === 'confirmed' || state === 'refunded';

export const orderOf = (booked: BookedReservation): Order => ({
  ...{ id: booked.id, state: booked.state as OrderState },
  ...{ orderRef: booked.orderRef ?? '', sale: booked.sale, user: booked.user, lines: booked.lines },
  ...{ amount: booked.amount, currency: booked.currency, createdAt: booked.createdAt },
  confirmedAt: booked.endedAt ?? booked.createdAt,
  ...(booked.offer ? { offer: true as const } : {}),
  fulfillment: booked.fulfillment ?? 'unfulfilled',
  ...(booked.tracking === undefined ? {} : { tracking: booked.tracking }),
  ...(booked.note === undefined ? {} : { note: booked.note }),
  ...(booked.refundedAt === undefined ? {} : { refundedAt: booked.refundedAt }),
  ...(booked.restocked === undefined ? {} : { restocked: booked.restocked }),
  ...(booked.refundReason === undefined ? {} : { refundReason: booked.refundReason }),
});

/** The moment that lists are in the order of, and filters compare. */
export const bookedAt = ({ createdAt, endedAt }: BookedReservation, isOrder = false): number =>
  isOrder ? (endedAt ?? createdAt) : createdAt;

export function matchesFilter(booked: BookedReservation, filter: BookedFilter): boolean {
  const {
    isOrder: isOnlyOrders = false,
    state,
    sale,
    brand,
    user,
    orderRef,
    from = 0,
    to = Number.POSITIVE_INFINITY,
  } = filter;
  const at = bookedAt(booked, isOnlyOrders);
  const { fulfillment = booked.fulfillment ?? 'unfulfilled' } = filter;
  return (
    (!isOnlyOrders || isOrder(booked)) &&
    (state === undefined || booked.state === state) &&
    (sale === undefined || booked.sale === sale) &&
    (user === undefined || booked.user === user) &&
    (orderRef === undefined || booked.orderRef === orderRef) &&
    fulfillment === (booked.fulfillment ?? 'unfulfilled') &&
    (brand === undefined || booked.lines.some((item) => item.brand === brand)) &&
    from <= at &&
    at < to
  );
}
