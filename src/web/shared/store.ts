/** Signals over the SDK: each changes only if what it holds changed, so pages repaint no more. */
import { batch, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import type { Announcement, ChatMessage, ConnectionState, StampedeClient } from '../../client/index.ts';
import type { Product, ReservationView, Role, SaleView, ShowView, WaitView } from '../../protocol/messages.ts';

/** Messages in the document. */
export const CHAT_SHOWN = 120;
/** The page's clock ticks this often: a countdown shows a new second soon after it begins. */
const TICK_MS = 100;
/** So many expired holds that the server does not list are shown. */
const EXPIRED_KEPT = 20;
/** Without a countdown. */
const IDLE_TICK_MS = 1_000;

export interface Viewer {
  readonly user: string | null;
  readonly name: string | null;
  readonly role: Role;
  /** A host has muted the viewer until then, on the server's clock. */
  readonly mutedUntil?: number;
}

export interface ShowStore {
  readonly client: StampedeClient;
  readonly status: ReadonlySignal<ConnectionState>;
  /** null until the first welcome. */
  readonly viewer: ReadonlySignal<Viewer | null>;
  readonly show: ReadonlySignal<ShowView | null>;
  readonly products: ReadonlySignal<readonly Product[]>;
  readonly sales: ReadonlySignal<readonly SaleView[]>;
  readonly reservations: ReadonlySignal<readonly ReservationView[]>;
  readonly waits: ReadonlySignal<readonly WaitView[]>;
  readonly chat: ReadonlySignal<readonly ChatMessage[]>;
  readonly announcement: ReadonlySignal<Announcement | null>;
  readonly viewers: ReadonlySignal<number>;
  readonly hearts: ReadonlySignal<number>;
  /** Milliseconds since the Unix epoch on the server's clock. All countdowns follow it. */
  readonly now: ReadonlySignal<number>;
  /** Counts down to this moment, which is of no sale or hold. */
  tickUntil(at: number): void;
  close(): void;
}

export function createShowStore(client: StampedeClient): ShowStore {
  const { model } = client;
  const status = signal<ConnectionState>(client.status);
  const viewer = signal<Viewer | null>(null);
  const show = signal<ShowView | null>(null);
  const products = signal<readonly Product[]>([]);
  const sales = signal<readonly SaleView[]>([]);
  const reservations = signal<readonly ReservationView[]>([]);
  const waits = signal<readonly WaitView[]>([]);
  const chat = signal<readonly ChatMessage[]>([]);
  const announcement = signal<Announcement | null>(null);
  const viewers = signal(0);
  const hearts = signal(0);
  const now = signal(client.serverNow());
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ticksUntil = 0;
  let frame = 0;
  let isClosed = false;
  /** Holds whose end the server did not report, because the page was not connected. */
  const expired = new Map<string, ReservationView>();

  /** What is listed, and the holds that expired before a welcome that no longer lists them. */
  const withExpired = (listed: ReadonlyMap<string, ReservationView>): ReservationView[] => {
    for (const known of reservations.peek())
      if (known.state === 'held' && !listed.has(known.id) && known.heldUntil <= client.serverNow())
        expired.set(known.id, { ...known, state: 'expired', endedAt: known.heldUntil });
    for (const id of expired.keys()) if (listed.has(id) || expired.size > EXPIRED_KEPT) expired.delete(id);
    return [...listed.values(), ...expired.values()];
  };

  const read = (): void => {
    // The end of a client that the page has closed is no state to show.
    if (!isClosed) readModel();
  };
  const readModel = (): void =>
    batch(() => {
      status.value = client.status;
      show.value = model.show;
      replace(products, model.products.values());
      replace(sales, model.sales.values());
      // Countdowns of a hold or a mute begin with its time, not with that of the last tick.
      const isNew = viewer.value !== client.you;
      viewer.value = client.you;
      if (replace(reservations, withExpired(model.reservations)) || isNew) now.value = client.serverNow();
      replace(waits, model.waits.values());
      announcement.value = model.announcement;
      viewers.value = model.viewers;
      hearts.value = model.hearts;
    });
  // Once per repaint, and not at all while the page is hidden.
  const readChat = (): void => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      replace(chat, model.chat.slice(-CHAT_SHOWN));
    });
  };

  /** Ticks at the same moments of the server's clock on all pages. */
  const tick = (): void => {
    const time = client.serverNow();
    now.value = time;
    const isCounting = time < ticksUntil || hasCountdown(model.sales.values(), model.reservations.values());
    const step = isCounting ? TICK_MS : IDLE_TICK_MS;
    timer = setTimeout(tick, step - (time % step));
  };

  client.on('change', () => {
    read();
    readChat();
  });
  tick();

  return {
    ...{ client, status, viewer, show, products, sales, reservations, waits, chat, announcement, viewers, hearts, now },
    tickUntil(at) {
      ticksUntil = Math.max(ticksUntil, at);
      clearTimeout(timer);
      tick();
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
      cancelAnimationFrame(frame);
      client.close();
    },
  };
}

function hasCountdown(sales: Iterable<SaleView>, reservations: Iterable<ReservationView>): boolean {
  for (const { state, opensAt, closesAt } of sales) {
    if (state === 'scheduled' && opensAt !== null) return true;
    if ((state === 'open' || state === 'paused') && closesAt !== null) return true;
  }
  for (const { state } of reservations) if (state === 'held') return true;
  return false;
}

/** Returns whether any changed. Values of the model are replaced when they change. */
function replace<T>(target: Signal<readonly T[]>, source: Iterable<T>): boolean {
  const known = target.peek();
  const next = [...source];
  if (known.length === next.length && known.every((value, i) => value === next[i])) return false;
  target.value = next;
  return true;
}
