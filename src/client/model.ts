/**
 * What this client knows of a show, kept right: a snapshot, then numbered events in order without a
 * hole, then state where the newest revision wins. Pure: no sockets, no clock.
 */
import { LIMITS } from '../protocol/limits.ts';
import {
  CHAT_TIME_STEP_MS,
  type ChatGroup,
  type Frame,
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

export interface ChatMessage {
  readonly id: number;
  /** Milliseconds since the Unix epoch on the server's clock. */
  readonly at: number;
  readonly name: string;
  readonly text: string;
  /** 0 none, 1 buyer with an order, 2 moderator, 3 host. */
  readonly mark: number;
}

export interface Announcement {
  readonly text: string;
  readonly at: number;
}

/** The read side of the model. The maps are live: they change as frames arrive. */
export interface ShowModel {
  /** null until the first snapshot. */
  readonly show: ShowView | null;
  readonly products: ReadonlyMap<string, Product>;
  readonly sales: ReadonlyMap<string, SaleView>;
  /** Own holds and orders; those that ended during this connection stay, with their end. */
  readonly reservations: ReadonlyMap<string, ReservationView>;
  /** Own places in line for sold-out SKUs, by `sale/sku`. */
  readonly waits: ReadonlyMap<string, WaitView>;
  /** Newest last, bounded. */
  readonly chat: readonly ChatMessage[];
  readonly viewers: number;
  readonly peak: number;
  readonly hearts: number;
  /** Different people with a token so far, estimated. */
  readonly unique: number;
  readonly announcement: Announcement | null;
  readonly epoch: string | null;
  readonly offset: number;
  /** Chat up to this id was seen or told as missed, 0 = none. */
  readonly lastChat: number;
}

/** What one frame changed. `gap`: events are missing, ask to resume from `epoch` and `offset`. */
export interface Applied {
  readonly events: readonly ShowEvent[];
  readonly chat: readonly ChatMessage[];
  readonly snapshot: boolean;
  readonly gap: boolean;
}

const CHAT_KEPT = LIMITS.chatHistoryMessages * 4;
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
  readonly #seenChat = new Set<number>();

  applyWelcome(welcome: Welcome): Applied {
    const snapshot = welcome.snapshot !== undefined && this.#takeSnapshot(welcome.snapshot);
    this.#replaceReservations(welcome.you.reservations);
    this.waits.clear();
    for (const wait of welcome.you.waits ?? []) this.waits.set(waitKey(wait.sale, wait.sku), wait);
    return { events: [], chat: this.#takeChat(welcome.chat), snapshot, gap: !snapshot && this.epoch !== welcome.epoch };
  }

  applyFrame(frame: Frame): Applied {
    const snapshot = frame.snapshot !== undefined && this.#takeSnapshot(frame.snapshot);
    const { events, gap } = this.#takeEvents(frame.epoch ?? this.epoch, frame.events ?? []);
    if (frame.state !== undefined) this.#takeState(frame.state);
    return { events, chat: frame.chat === undefined ? [] : this.#takeChat(frame.chat), snapshot, gap };
  }

  /** An own message that the display cap showed to nobody: its sender sees it all the same. */
  addOwnChat(message: ChatMessage): boolean {
    if (this.#seenChat.has(message.id)) return false;
    this.#seenChat.add(message.id);
    this.#keepChat([message]);
    return true;
  }

  /**
   * A hold that ended never comes back to life, in whatever order answers and personal messages
   * arrive.
   */
  applyReservation(reservation: ReservationView): void {
    const known = this.reservations.get(reservation.id);
    if (known !== undefined && known.state !== 'held' && reservation.state === 'held') return;
    this.reservations.set(reservation.id, reservation);
    // An offer is what the line was for.
    if (reservation.offer) for (const { sku } of reservation.lines) this.waits.delete(waitKey(reservation.sale, sku));
    this.#forgetOldEnds();
  }

  #takeSnapshot(snapshot: Snapshot): boolean {
    // Recent chat comes along; what was on screen may have been taken off since.
    this.chat = [];
    this.lastChat = 0;
    this.#seenChat.clear();
    this.epoch = snapshot.epoch;
    this.offset = snapshot.offset;
    this.show = snapshot.show;
    this.products.clear();
    for (const product of snapshot.products) this.products.set(product.id, product);
    this.sales.clear();
    for (const sale of snapshot.sales) this.sales.set(sale.id, sale);
    this.#takeState(snapshot.state);
    return true;
  }

  #takeEvents(epoch: string | null, events: readonly ShowEvent[]): { events: ShowEvent[]; gap: boolean } {
    if (epoch !== this.epoch) return { events: [], gap: true };
    const applied: ShowEvent[] = [];
    for (const event of events) {
      if (event.offset <= this.offset) continue;
      if (event.offset !== this.offset + 1) return { events: applied, gap: true };
      this.offset = event.offset;
      this.#takeEvent(event);
      applied.push(event);
    }
    return { events: applied, gap: false };
  }

  #takeEvent(event: ShowEvent): void {
    const { show, product, sale, text } = event.data;
    switch (event.type) {
      case 'product.removed':
        this.products.delete(idOf(product));
        break;
      case 'announcement':
        if (typeof text === 'string') this.announcement = { text, at: event.at };
        break;
      case 'product.pinned':
        if (this.show !== null && (typeof product === 'string' || product === null))
          this.show = { ...this.show, pinned: product };
        break;
      case 'chat.removed':
        this.#removeChat(event.data);
        break;
      default:
        if (isObject(product)) this.products.set(idOf(product), product as unknown as Product);
        if (isObject(sale)) this.#takeSale(sale as unknown as SaleView);
    }
    if (isObject(show)) this.show = show as unknown as ShowView;
  }

  #takeSale(sale: SaleView): void {
    const known = this.sales.get(sale.id);
    if (known === undefined || sale.rev >= known.rev) this.sales.set(sale.id, sale);
  }

  #takeState(state: StateView): void {
    if (state.viewers !== undefined) this.viewers = state.viewers;
    if (state.peak !== undefined) this.peak = state.peak;
    if (state.hearts !== undefined) this.hearts = state.hearts;
    if (state.unique !== undefined) this.unique = state.unique;
    for (const patch of state.sales ?? []) this.#takeSaleState(patch);
  }

  #takeSaleState(patch: SaleStateView): void {
    const known = this.sales.get(patch.id);
    if (known === undefined || patch.rev < known.rev) return;
    const skus = known.skus.map((sku) => ({ ...sku, left: patch.left[sku.sku] ?? sku.left }));
    this.sales.set(patch.id, {
      ...known,
      rev: patch.rev,
      state: patch.state,
      opensAt: patch.opensAt,
      closesAt: patch.closesAt,
      skus,
    });
  }

  #takeChat(groups: readonly ChatGroup[]): ChatMessage[] {
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
    // Cut in strides: copying the list for each frame is what costs with many clients in one
    // process.
    this.chat.push(...messages);
    if (this.chat.length > CHAT_KEPT * 2) this.chat = this.chat.slice(-CHAT_KEPT);
    if (this.#seenChat.size <= CHAT_KEPT * 8) return;
    // A Set keeps insertion order: the oldest ids go first.
    for (const id of this.#seenChat) {
      if (this.#seenChat.size <= CHAT_KEPT * 4) break;
      this.#seenChat.delete(id);
    }
  }

  #removeChat(data: Readonly<Record<string, unknown>>): void {
    const removed = new Set<unknown>(Array.isArray(data.ids) ? data.ids : []);
    this.chat = this.chat.filter((message) => !removed.has(message.id));
    // Should one still be on its way, it stays away.
    for (const id of removed) if (typeof id === 'number') this.#seenChat.add(id);
  }

  #replaceReservations(current: readonly ReservationView[]): void {
    const ended = [...this.reservations.values()].filter(
      (reservation) => reservation.state === 'released' || reservation.state === 'expired',
    );
    this.reservations.clear();
    for (const reservation of [...ended, ...current]) this.reservations.set(reservation.id, reservation);
  }

  #forgetOldEnds(): void {
    let ended = 0;
    for (const reservation of this.reservations.values())
      if (reservation.state === 'released' || reservation.state === 'expired') ended += 1;
    for (const [id, reservation] of this.reservations) {
      if (ended <= ENDED_RESERVATIONS_KEPT) return;
      if (reservation.state !== 'released' && reservation.state !== 'expired') continue;
      this.reservations.delete(id);
      ended -= 1;
    }
  }
}

/** How `waits` names a place in line. */
export const waitKey = (sale: string, sku: string): string => `${sale}/${sku}`;

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

function idOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return isObject(value) && typeof value.id === 'string' ? value.id : '';
}
