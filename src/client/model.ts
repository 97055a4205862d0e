/**
 * The client's model of a show: a snapshot, then numbered events in order and without gaps, and
 * state of which the newest revision wins. Pure: no connection, no clock.
 */
import { CHAT_HISTORY_MESSAGES } from '../protocol/limits.ts';
import {
  type Announcement,
  CHAT_TIME_STEP_MS,
  type ChatGroup,
  type Frame,
  type Page,
  type Product,
  type ReservationView,
  type SaleStateView,
  type SaleView,
  type ShowEvent,
  type ShowView,
  type Snapshot,
  type StateView,
  type WaitView,
  type Welcome,
} from '../protocol/messages.ts';

/** A chat message, with its author as viewers see them. */
export interface ChatMessage {
  readonly id: number;
  /** Milliseconds since the Unix epoch on the server's clock. */
  readonly at: number;
  readonly name: string;
  readonly text: string;
  /** 0 none, 1 buyer with an order, 2 moderator, 3 host. */
  readonly mark: number;
}

/** The read side of the model. Its maps change as frames arrive. */
export interface ShowModel {
  /** null until the first snapshot. */
  readonly show: ShowView | null;
  readonly products: ReadonlyMap<string, Product>;
  readonly sales: ReadonlyMap<string, SaleView>;
  /** Your holds and orders, with some that ended. */
  readonly reservations: ReadonlyMap<string, ReservationView>;
  /** Your waitlist entries by `waitKey(sale, sku)`. Their `place` is kept current. */
  readonly waits: ReadonlyMap<string, WaitView>;
  /** Newest last, bounded. */
  readonly chat: readonly ChatMessage[];
  readonly viewers: number;
  readonly peak: number;
  readonly hearts: number;
  /** Estimated number of different users so far. */
  readonly unique: number;
  /** It may have ended: compare `until` with `serverNow()`. */
  readonly announcement: Announcement | null;
  readonly epoch: string | null;
  readonly offset: number;
  /** Chat up to this id was received or reported as missed, 0 = none. */
  readonly lastChat: number;
  /** False while products and sales of a large show arrive in pages. */
  readonly isComplete: boolean;
}

/** Changes by one frame. `gap`: events are missing; resume from `epoch` and `offset`. */
export interface ModelChanges {
  readonly events: readonly ShowEvent[];
  readonly chat: readonly ChatMessage[];
  readonly snapshot: boolean;
  readonly gap: boolean;
}

const CHAT_KEPT = CHAT_HISTORY_MESSAGES * 4;
const ENDED_RESERVATIONS_KEPT = 20;

export class Model implements ShowModel {
  show: ShowView | null = null;
  readonly products = new Map<string, Product>();
  readonly sales = new Map<string, SaleView>();
  readonly reservations = new Map<string, ReservationView>();
  readonly waits = new Map<string, WaitView>();
  chat: ChatMessage[] = [];
  viewers = 0;
  peak = 0;
  hearts = 0;
  unique = 0;
  announcement: Announcement | null = null;
  epoch: string | null = null;
  offset = 0;
  lastChat = 0;
  isComplete = false;
  readonly #seenChat = new Set<number>();

  applyWelcome(welcome: Welcome): ModelChanges {
    const snapshot = welcome.snapshot !== undefined && this.#applySnapshot(welcome.snapshot);
    this.applyHoldings(welcome.you);
    return {
      events: [],
      chat: this.#applyChat(welcome.chat),
      snapshot,
      gap: !snapshot && this.epoch !== welcome.epoch,
    };
  }

  applyFrame(frame: Frame): ModelChanges {
    const snapshot = frame.snapshot !== undefined && this.#applySnapshot(frame.snapshot);
    const { events, gap } = this.#applyEvents(frame.epoch ?? this.epoch, frame.events ?? []);
    if (frame.state !== undefined) this.#applyState(frame.state);
    return { events, chat: frame.chat === undefined ? [] : this.#applyChat(frame.chat), snapshot, gap };
  }

  /** Adds what a page has; it is as new as the events before it. */
  applyPage({ products, sales }: Page): void {
    for (const product of products) this.products.set(product.id, product);
    for (const sale of sales) this.#applySale(sale);
  }

  /** Adds a message of yours that the display cap left out. Returns false if it is known. */
  addOwnChat(message: ChatMessage): boolean {
    if (this.#seenChat.has(message.id)) return false;
    this.#seenChat.add(message.id);
    this.#keepChat([message]);
    return true;
  }

  /** Replaces reservations and waitlist entries. `lost`: live ones that are not listed. */
  applyHoldings({ reservations, waits }: Pick<Welcome['you'], 'reservations' | 'waits'>) {
    const before = new Map(this.reservations);
    this.reservations.clear();
    for (const known of before.values()) if (isEnded(known)) this.reservations.set(known.id, known);
    for (const listed of reservations) this.reservations.set(listed.id, listed);
    this.applyWaits(waits);
    return {
      lost: [...before.values()].filter(({ id }) => !this.reservations.has(id)),
      changed: reservations.filter(({ id, state }) => before.get(id)?.state !== state),
    };
  }

  /** Replaces waitlist entries. */
  applyWaits(waits: readonly WaitView[]): void {
    this.waits.clear();
    for (const wait of waits) this.waits.set(waitKey(wait.sale, wait.sku), wait);
  }

  /** Replies and personal messages may arrive in any order: an ended hold stays ended. */
  applyReservation(reservation: ReservationView): void {
    const known = this.reservations.get(reservation.id);
    if (known !== undefined && known.state !== 'held' && reservation.state === 'held') return;
    this.reservations.set(reservation.id, reservation);
    // An offer ends the waitlist entry.
    if (reservation.offer) for (const { sku } of reservation.lines) this.waits.delete(waitKey(reservation.sale, sku));
    this.#trimEnded();
  }

  #applySnapshot(snapshot: Snapshot): boolean {
    // The snapshot brings recent chat; older messages may have been removed since.
    this.chat = [];
    this.lastChat = 0;
    this.#seenChat.clear();
    this.epoch = snapshot.epoch;
    this.offset = snapshot.offset;
    this.show = snapshot.show;
    this.announcement = snapshot.announcement ?? null;
    this.products.clear();
    this.sales.clear();
    this.applyPage(snapshot);
    this.#applyState(snapshot.state);
    this.isComplete = snapshot.more === undefined;
    return true;
  }

  #applyEvents(epoch: string | null, events: readonly ShowEvent[]): { events: ShowEvent[]; gap: boolean } {
    if (epoch !== this.epoch) return { events: [], gap: true };
    const applied: ShowEvent[] = [];
    for (const event of events) {
      if (event.offset <= this.offset) continue;
      if (event.offset !== this.offset + 1) return { events: applied, gap: true };
      this.offset = event.offset;
      this.#applyEvent(event);
      applied.push(event);
    }
    return { events: applied, gap: false };
  }

  #applyEvent(event: ShowEvent): void {
    const { show, product, sale } = event.data;
    switch (event.type) {
      case 'product.removed':
        this.products.delete(product as string);
        break;
      case 'announcement':
        this.announcement = event.data.text ? ({ ...event.data, at: event.at } as Announcement) : null;
        break;
      case 'product.pinned':
        if (this.show !== null && (typeof product === 'string' || product === null))
          this.show = { ...this.show, pinned: product };
        break;
      case 'chat.removed':
        this.#removeChat(event.data);
        break;
      default:
        if (isObject(product)) this.products.set(product.id as string, product as unknown as Product);
        if (isObject(sale)) this.#applySale(sale as unknown as SaleView);
    }
    if (isObject(show)) this.show = show as unknown as ShowView;
  }

  #applySale(sale: SaleView): void {
    const known = this.sales.get(sale.id);
    if (known === undefined || sale.rev >= known.rev) this.sales.set(sale.id, sale);
  }

  #applyState(state: StateView): void {
    for (const name of ['viewers', 'peak', 'hearts', 'unique'] as const) this[name] = state[name] ?? this[name];
    for (const patch of state.sales ?? []) this.#applySaleState(patch);
  }

  #applySaleState({ left, ...newest }: SaleStateView): void {
    const known = this.sales.get(newest.id);
    if (known === undefined || newest.rev < known.rev) return;
    const skus = known.skus.map((sku) => ({ ...sku, left: leftOf(left, sku.sku) ?? sku.left }));
    this.sales.set(newest.id, { ...known, ...newest, skus });
  }

  #applyChat(groups: readonly ChatGroup[]): ChatMessage[] {
    const messages: ChatMessage[] = [];
    for (const [firstId, at, items] of groups) {
      this.lastChat = Math.max(this.lastChat, firstId - 1);
      for (const [i, dt, name, text, mark] of items) {
        const id = firstId + i;
        if (this.#seenChat.has(id)) continue;
        this.#seenChat.add(id);
        if (id > this.lastChat) this.lastChat = id;
        messages.push({ id, at: at + dt * CHAT_TIME_STEP_MS, name, text, mark: mark ?? 0 });
      }
    }
    if (messages.length > 0) this.#keepChat(messages);
    return messages;
  }

  #keepChat(messages: readonly ChatMessage[]): void {
    // Trimmed rarely: copying the list per frame is expensive with many clients in one process.
    this.chat.push(...messages);
    if (this.chat.length > CHAT_KEPT * 2) this.chat = this.chat.slice(-CHAT_KEPT);
    if (this.#seenChat.size <= CHAT_KEPT * 8) return;
    // A Set keeps insertion order, so this deletes the oldest ids.
    for (const id of this.#seenChat) {
      if (this.#seenChat.size <= CHAT_KEPT * 4) break;
      this.#seenChat.delete(id);
    }
  }

  #removeChat(data: Readonly<Record<string, unknown>>): void {
    const removed = new Set<unknown>(Array.isArray(data.ids) ? data.ids : []);
    this.chat = this.chat.filter((message) => !removed.has(message.id));
    // A removed message that still arrives is ignored.
    for (const id of removed) if (typeof id === 'number') this.#seenChat.add(id);
  }

  #trimEnded(): void {
    const ended = [...this.reservations.values()].filter(isEnded);
    for (const { id } of ended.slice(0, -ENDED_RESERVATIONS_KEPT)) this.reservations.delete(id);
  }
}

/** A SKU may be named like a property of every object, such as `constructor`. */
const leftOf = (left: SaleStateView['left'], sku: string): number | undefined =>
  Object.hasOwn(left, sku) ? left[sku] : undefined;

/** Returns the key of a waitlist entry in `waits`. */
export const waitKey = (sale: string, sku: string): string => `${sale}/${sku}`;

const isEnded = ({ state }: ReservationView): boolean => state === 'released' || state === 'expired';
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
