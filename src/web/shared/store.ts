/** Signals over the SDK: each changes only if what it holds changed, so pages repaint no more. */
import { batch, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import type { Announcement, ChatMessage, ConnectionState, StampedeClient } from '../../client/index.ts';
import type { Product, ReservationView, Role, SaleView, ShowView, WaitView } from '../../protocol/messages.ts';

/** Messages in the document. */
export const CHAT_SHOWN = 120;
/** The page's clock ticks this often while a countdown shows tenths, else four times slower. */
const TICK_MS = 100;
const TENTHS_MS = 11_000;

export interface Viewer {
  readonly user: string | null;
  readonly name: string | null;
  readonly role: Role;
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
  let frame = 0;

  const read = (): void =>
    batch(() => {
      show.value = model.show;
      replace(products, model.products);
      replace(sales, model.sales);
      replace(reservations, model.reservations);
      replace(waits, model.waits);
      announcement.value = model.announcement;
      viewers.value = model.viewers;
      hearts.value = model.hearts;
    });
  // Once per repaint, and not at all while the page is hidden.
  const readChat = (): void => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      chat.value = model.chat.slice(-CHAT_SHOWN);
    });
  };
  const readViewer = (): void => {
    const { you } = client;
    viewer.value = you === null ? null : { user: you.user, name: you.name, role: you.role };
  };
  const readAll = (): void => {
    read();
    readChat();
  };

  /** Ticks at the same moments of the server's clock on all pages. */
  const tick = (): void => {
    const time = client.serverNow();
    batch(() => {
      now.value = time;
      read();
    });
    const nearest = Math.min(...deadlines(model.sales.values(), model.reservations.values()).map((at) => at - time));
    const step = nearest > TENTHS_MS ? TICK_MS * 4 : TICK_MS;
    timer = setTimeout(tick, step - (time % step));
  };

  client.on('status', (next) => {
    status.value = next;
  });
  client.on('welcome', () => {
    readViewer();
    readAll();
  });
  client.on('snapshot', readAll);
  client.on('event', readAll);
  for (const type of ['state', 'you', 'lost', 'page'] as const) client.on(type, read);
  client.on('chat', readChat);
  tick();

  return {
    ...{ client, status, viewer, show, products, sales, reservations, waits, chat, announcement, viewers, hearts, now },
    close() {
      clearTimeout(timer);
      cancelAnimationFrame(frame);
      client.close();
    },
  };
}

/** Moments that a page counts down to and that are not over by more than a second. */
function deadlines(sales: Iterable<SaleView>, reservations: Iterable<ReservationView>): number[] {
  const found: number[] = [];
  for (const { state, opensAt, closesAt } of sales) {
    const at = state === 'scheduled' ? opensAt : state === 'open' || state === 'paused' ? closesAt : null;
    if (at !== null) found.push(at);
  }
  for (const { state, heldUntil } of reservations) if (state === 'held') found.push(heldUntil);
  return found;
}

/** The values of a map are replaced when they change, never changed in place. */
function replace<T>(target: Signal<readonly T[]>, source: ReadonlyMap<string, T>): void {
  const known = target.peek();
  if (known.length === source.size) {
    let index = 0;
    let isSame = true;
    for (const value of source.values()) isSame &&= known[index++] === value;
    if (isSame) return;
  }
  target.value = [...source.values()];
}
