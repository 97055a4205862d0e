/** Reservations: timed holds, which become orders, are released or expire, exactly once (I3). */
import type { Result } from '../protocol/codes.ts';
import type { Item, ReservationView, WaitView } from '../protocol/messages.ts';
import type { CommandMeta } from './command.ts';
import type { Durability } from './health.ts';
import type { WaitlistRequest, WaitlistResult } from './waitlist.ts';

/** What happens to a hold, or to its order; an offer is made from the waitlist. */
export const HOLD_OUTCOMES = ['made', 'offered', 'confirmed', 'released', 'expired', 'refunded'] as const;
export type HoldOutcome = (typeof HOLD_OUTCOMES)[number];
/** Called where the script call was made, so the sum over all processes counts each hold once. */
export type CountHolds = (outcome: HoldOutcome, holds: number, units: number) => void;

export interface ReserveRequest {
  readonly user: string;
  readonly key: string;
  readonly sale: string;
  readonly lines: readonly Item[];
}

/** An accepted decision. `replayed`: the key was known and this is the recorded result. */
export interface Decision {
  readonly reservation: ReservationView;
  readonly replayed: boolean;
  readonly durability: Durability;
  /** Epoch of the show's log. A later epoch means that another Redis server took over since. */
  readonly epoch: string;
}

export interface ConfirmRequest {
  readonly reservation: string;
  readonly orderRef: string;
  /** What was charged, in minor units; must equal the reservation's amount. */
  readonly amount: number;
}

/** What one buyer holds, owns and waits for in a show. */
export interface BuyerHoldings {
  readonly reservations: ReservationView[];
  readonly waits: WaitView[];
  /** Sales in which the buyer ever held or waited: a repeated key may have a recorded result. */
  readonly sales: string[];
}

/** Most buyers have no record. */
export const NO_HOLDINGS: BuyerHoldings = Object.freeze({ reservations: [], waits: [], sales: [] });

export interface ReservationStore {
  /**
   * Decides at most `reserveBatchMax` requests in order, in one script call, and returns their
   * results. The commit carries `origin` with the new holds, so that the calling room can skip
   * them.
   */
  reserve(showId: string, requests: readonly ReserveRequest[], origin?: string): Promise<Array<Result<Decision>>>;
  confirm(showId: string, request: ConfirmRequest, command: CommandMeta): Promise<Result<Decision>>;
  /** With `user`, reservations of other buyers are `reservation_not_found`. */
  release(showId: string, reservationId: string, command: CommandMeta & { user?: string }): Promise<Result<Decision>>;
  /** Extends a hold to at most HOLD_MAX after it was made (`limit_reached`). */
  extendHold(
    showId: string,
    request: { reservation: string; byMs: number },
    command: CommandMeta,
  ): Promise<Result<Decision>>;
  /** Joins or leaves a waitlist. Freed units become holds marked `offer` for its first entries. */
  waitlist(showId: string, request: WaitlistRequest): Promise<Result<WaitlistResult>>;
  getReservation(showId: string, reservationId: string): Promise<Result<ReservationView>>;
  /**
   * Returns the holdings of several buyers (at most `holdingsUsersPerCallMax`), in the order of
   * `users`, in one Redis round trip. The result is shorter if many of them hold something.
   */
  holdingsOf(showId: string, users: readonly string[]): Promise<Result<BuyerHoldings[]>>;
}
