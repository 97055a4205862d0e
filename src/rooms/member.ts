/** One person on this node: their connections, and what they hold as far as this node knows. */
import type { BuyerHoldings } from '../domain/reservation.ts';
import type { ReservationChange } from '../domain/show-log.ts';
import type { ReservationState, ReservationView, Variant, WaitView } from '../protocol/messages.ts';

/** A WebSocket, as far as a room knows it. */
export interface MemberConnection {
  readonly variant: Variant;
  /** Sends a personal message. Never called after the connection left. */
  send(bytes: Uint8Array): void;
}

/** A running lookup of a member's holdings in Redis. Exists only while it runs. */
export interface Lookup {
  /** `outdated`: something may have changed since the call was sent, so its result is discarded. */
  phase: 'queued' | 'sent' | 'outdated';
  /** Reservations the member knows of. Differences are sent. Null: the welcome will carry them. */
  baseline: readonly ReservationView[] | null;
  readonly done: Promise<void>;
  readonly finish: () => void;
}

/**
 * How current the reservations, waits and sales of a member are. `known`: as Redis has them.
 * `unknown`: not looked up, or stale. `failed`: Redis did not reply, a retry is scheduled.
 */
export type HoldingsState = 'unknown' | 'known' | 'failed' | Lookup;

const RESERVATIONS_KEPT_MAX = 32;
const TRIM_EVERY = 16;
const NO_CONNECTIONS: readonly MemberConnection[] = [];

const isLive = ({ state }: ReservationView): boolean => state === 'held' || state === 'confirmed';
/** Refunded orders stay in the list of their buyer. */
const isListed = (reservation: ReservationView): boolean => isLive(reservation) || reservation.state === 'refunded';
/** A state never follows one of a higher rank: what arrives late changes nothing. */
const RANKS: Readonly<Record<ReservationState, number>> = {
  ...{ held: 0, confirmed: 1, released: 1, expired: 1, refunded: 2 },
};

/** There is one for each connected viewer with a token: lists are null until they have an entry. */
export class Member {
  readonly user: string;
  /** Seldom more than one: an array takes a third of the memory of a set. */
  connections = NO_CONNECTIONS;
  holdings: HoldingsState = 'unknown';
  /** Listed ones, and some that ended while this node followed the show. */
  reservations: ReservationView[] | null = null;
  /** Waitlist entries with their positions at the last lookup; `positions.ts` sends changes. */
  waits: WaitView[] | null = null;
  /** Sales in which this user ever held or waited for units: a key may have a recorded result. */
  sales: string[] | null = null;
  /** A new epoch began: what is known may be lost, and what is looked up replaces it. */
  isSuperseded = false;
  /** Reserves without a result yet. */
  reservesInFlight = 0;
  /** Holds announced while a reserve is in flight: one of them may be its result. */
  pendingAnnouncements: ReservationChange[] | null = null;
  /** Reservations released by a request of this node whose announcement has not arrived yet. */
  pendingReleases: string[] | null = null;

  constructor(user: string) {
    this.user = user;
  }

  get isKnown(): boolean {
    return this.holdings === 'known';
  }

  get isConnected(): boolean {
    return this.connections.length > 0;
  }

  get hasOrder(): boolean {
    return this.reservations?.some(({ state }) => state === 'confirmed') ?? false;
  }

  /** Holds and orders, also refunded ones, for the welcome. */
  listedReservations(): ReservationView[] {
    return this.reservations?.filter(isListed) ?? [];
  }

  reservation(id: string): ReservationView | undefined {
    return this.reservations?.find((known) => known.id === id);
  }

  /** Returns true if no key of this user can have a recorded result in the sale. */
  isNewTo(saleId: string): boolean {
    if (!this.isKnown || this.reservesInFlight > 0) return false;
    return this.sales === null || !this.sales.includes(saleId);
  }

  /** From now on this user's requests in the sale go to Redis. */
  addSale(saleId: string): void {
    if (this.sales === null) this.sales = [saleId];
    else if (!this.sales.includes(saleId)) this.sales.push(saleId);
  }

  /** What replaces all is on its way and may be older than this change: it is looked up again. */
  hasChanged(): void {
    if (this.isSuperseded) this.outdateLookup();
  }

  /** A lookup that is on its way may be older than a change, so it is repeated. */
  outdateLookup(): void {
    if (typeof this.holdings === 'object' && this.holdings.phase === 'sent') this.holdings.phase = 'outdated';
  }

  remember(reservation: ReservationView): void {
    this.hasChanged();
    this.addSale(reservation.sale);
    if (reservation.offer) for (const { sku } of reservation.lines) this.dropWait(reservation.sale, sku);
    const known = this.reservations;
    if (known === null) {
      this.reservations = [reservation];
      return;
    }
    const at = known.findIndex(({ id }) => id === reservation.id);
    if (at < 0) {
      known.push(reservation);
      // Not at each one: a buyer with many live orders would be searched every time.
      if (known.length > RESERVATIONS_KEPT_MAX && known.length % TRIM_EVERY === 0)
        this.reservations = withoutOldestEnded(known);
    } else if (RANKS[reservation.state] >= RANKS[(known[at] as ReservationView).state]) {
      // A recorded result may arrive after the end of the reservation.
      known[at] = reservation;
    }
  }

  addWait(wait: WaitView): void {
    this.removeWait(wait.sale, wait.sku);
    this.waits = [...(this.waits ?? []), wait];
  }

  removeWait(sale: string, sku: string): void {
    this.outdateLookup();
    this.dropWait(sale, sku);
  }

  private dropWait(sale: string, sku: string): void {
    const left = this.waits?.filter((wait) => wait.sale !== sale || wait.sku !== sku) ?? [];
    this.waits = left.length > 0 ? left : null;
  }

  /** Forgets what Redis does not have. Returns true if there was or is anything. */
  replaceHoldings(found: BuyerHoldings): boolean {
    const had = this.reservations !== null || this.waits !== null;
    this.isSuperseded = false;
    this.reservations = null;
    this.pendingReleases = null;
    this.pendingAnnouncements = null;
    this.adopt(found);
    return had || this.reservations !== null || this.waits !== null;
  }

  /** Takes over what Redis returned. Returns live reservations that Redis no longer lists. */
  adopt({ reservations, waits, sales }: BuyerHoldings): ReservationView[] {
    const ids = new Set(reservations.map(({ id }) => id));
    const vanished = this.reservations?.filter((known) => isLive(known) && !ids.has(known.id)) ?? [];
    for (const reservation of reservations) this.remember(reservation);
    for (const sale of sales) this.addSale(sale);
    this.waits = waits.length > 0 ? waits : null;
    return vanished;
  }
}

function withoutOldestEnded(reservations: readonly ReservationView[]): ReservationView[] {
  let surplus = reservations.length - RESERVATIONS_KEPT_MAX;
  return reservations.filter((reservation) => isListed(reservation) || surplus-- <= 0);
}
