/** The state of the page beside the show itself: what is chosen, open and being sent. */
import { computed, effect, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import { type ClientFailure, checkoutAddress, type Outcome, type ReserveResult } from '../../client/index.ts';
import type { Product, ReservationView, SaleView, ShowView } from '../../protocol/messages.ts';
import { tabStorage } from '../shared/api.ts';
import { notify, say } from '../shared/components/toast.tsx';
import { t, textOrNull } from '../shared/i18n.ts';
import { stable } from '../shared/stable.ts';
import type { ShowStore } from '../shared/store.ts';
import { keepHolds } from './kept-holds.ts';
import {
  activeSales,
  type BuyState,
  buyStateOf,
  featuredOffer,
  firstChoice,
  itemsText,
  type Offer,
  offerKey,
  type Section,
  sectionsOf,
  variantsOf,
} from './offers.ts';
import { createReleases, type Releases } from './releases.ts';

export interface ViewerModel {
  readonly store: ShowStore;
  readonly show: ReadonlySignal<ShowView | null>;
  readonly productById: ReadonlySignal<ReadonlyMap<string, Product>>;
  readonly saleById: ReadonlySignal<ReadonlyMap<string, SaleView>>;
  /** Ids of open and planned sales. */
  readonly active: ReadonlySignal<readonly string[]>;
  readonly sections: ReadonlySignal<readonly Section[]>;
  readonly featured: ReadonlySignal<Offer | null>;
  /** Holds that are not over, the first to expire first. Those whose time is up come last. */
  readonly holds: ReadonlySignal<readonly ReservationView[]>;
  /** Id of the sale that the viewer chose to see alone. */
  readonly filter: ReadonlySignal<string | null>;
  readonly chooseSale: (sale: string | null) => void;
  readonly sheet: Signal<'shop' | 'holds' | 'join' | null>;
  /** The SKU that a card shows. It stays while the viewer looks, also when it sells out. */
  readonly chosenSku: (offer: Offer) => string | null;
  readonly choose: (offer: Offer, sku: string) => void;
  /** Is the most urgent hold the one that the large card shows? Then it has the button to pay. */
  readonly isHoldFeatured: ReadonlySignal<boolean>;
  readonly brandName: (id: string) => string;
  readonly itemsText: (reservation: ReservationView) => string;
  /** Where a hold is paid, or null if the show does not say. */
  readonly checkout: (reservation: ReservationView) => string | null;
  readonly buyState: (sale: string, sku: string) => BuyState | null;
  readonly act: (action: Action, sale: string, sku: string, label: string) => Promise<void>;
  readonly releases: Releases;
  /** Ends the connection. Holds whose release could still be undone stay. */
  readonly close: () => void;
  /** Keys of offers, and ids of holds, with a request on its way. */
  readonly sending: ReadonlySignal<ReadonlySet<string>>;
  /** Has the time of a hold run out? Nothing can be done until its end is reported. */
  readonly isTimeUp: (reservation: ReservationView) => boolean;
  /** Ids of messages that this tab has sent in this show. */
  readonly ownMessages: ReadonlySignal<ReadonlySet<number>>;
  readonly rememberOwn: (message: number) => void;
  /** When the announcement was made that the viewer dismissed last. */
  readonly dismissedAt: ReadonlySignal<number>;
  readonly dismiss: (announcedAt: number) => void;
}

export type Action = 'buy' | 'join' | 'leave';

export const refusalText = ({ code, message }: ClientFailure): string => textOrNull(`error.${code}`) ?? message;

/** Of the messages of this tab. */
const OWN_KEPT = 200;

/** `showId`: what the tab remembers belongs to one show. */
export function createViewerModel(store: ShowStore, showId: string): ViewerModel {
  const { client, show } = store;
  const [ownKey, dismissedKey] = [`own.${showId}`, `dismissed.${showId}`];
  const ownMessages = signal<ReadonlySet<number>>(new Set((tabStorage.get(ownKey) ?? '').split(',').map(Number)));
  const dismissedAt = signal(Number(tabStorage.get(dismissedKey) ?? 0));
  const sending = signal<ReadonlySet<string>>(new Set());
  const chosenSale = signal<string | null>(null);
  const productById = computed(() => new Map(store.products.value.map((product) => [product.id, product])));
  const saleById = computed(() => new Map(store.sales.value.map((sale) => [sale.id, sale])));
  const catalogue = computed(() => ({
    show: show.value,
    products: store.products.value,
    sales: store.sales.value,
  }));
  const active = stable(() => activeSales(store.sales.value).map(({ id }) => id));
  const filter = computed(() => (active.value.includes(chosenSale.value ?? '') ? chosenSale.value : null));
  const sections = stable(() => sectionsOf(catalogue.value, filter.value));
  const featured = stable(() => featuredOffer(catalogue.value, sections.value));
  const isTimeUp = ({ heldUntil }: ReservationView): boolean => store.now.value >= heldUntil;
  const holds = stable(() =>
    store.reservations.value
      .filter(({ state }) => state === 'held')
      .sort((a, b) => Number(isTimeUp(a)) - Number(isTimeUp(b)) || a.heldUntil - b.heldUntil),
  );

  const chosen = signal<ReadonlyMap<string, string>>(new Map());
  const firstChoices = new Map<string, string>();
  const chosenSku = (offer: Offer): string | null => {
    const product = productById.value.get(offer.product);
    if (product === undefined) return null;
    const variants = variantsOf(product, saleById.value.get(offer.sale ?? '') ?? null);
    const known = chosen.value.get(offer.key) ?? firstChoices.get(offer.key);
    if (variants.some(({ sku }) => sku === known)) return known ?? null;
    const first = firstChoice(variants, offer.sale, store.reservations.value);
    if (first !== null) firstChoices.set(offer.key, first);
    return first;
  };
  const isHoldFeatured = computed(() => {
    const [hold] = holds.value;
    const offer = featured.value;
    if (hold === undefined || offer === null || hold.sale !== offer.sale) return false;
    const sku = chosenSku(offer);
    return hold.lines.some((item) => item.sku === sku);
  });

  const setSending = (key: string, isSending: boolean): void => {
    const next = new Set(sending.value);
    if (isSending) next.add(key);
    else next.delete(key);
    sending.value = next;
  };

  const itemsOf = (reservation: ReservationView): string => itemsText(reservation, catalogue.peek());

  /** Sends the request of a button. Returns a text, or null if the page shows the result. */
  async function send(action: Action, sale: string, sku: string, label: string): Promise<string | null> {
    if (action === 'buy') {
      const outcome = await client.reserve({ sale, lines: [{ sku, qty: 1 }] });
      if (!outcome.ok || outcome.value.reservation.state !== 'held') return heldText(outcome, label);
      say(t('said.held', { item: label }));
      return null;
    }
    if (action === 'leave') {
      const left = await client.leaveWaitlist({ sale, sku });
      return left.ok ? t('said.left', { item: label }) : refusalText(left.error);
    }
    const joined = await client.joinWaitlist({ sale, sku });
    if (!joined.ok) return refusalText(joined.error);
    return t('said.waiting', { item: label, n: joined.value.place });
  }

  async function release(reservation: string): Promise<void> {
    // It may have been paid, or have expired, while the release could be undone.
    if (!holds.peek().some(({ id }) => id === reservation)) return;
    setSending(reservation, true);
    const outcome = await client.release(reservation);
    setSending(reservation, false);
    if (!outcome.ok) notify(refusalText(outcome.error));
  }

  const releases = createReleases(client.serverNow.bind(client), (reservation) => void release(reservation));
  addEventListener('pagehide', releases.sendAll);
  /** Without a connection no release can be sent. */
  const keepReleasing = (): void => {
    const kept = holds.peek().filter(({ id }) => releases.at.peek().has(id));
    for (const { id } of kept) releases.undo(id);
    if (kept.length > 0) notify(t('said.kept', { item: kept.map(itemsOf).join(', ') }));
  };
  effect(() => {
    if (store.status.value.at === 'closed') keepReleasing();
  });

  const checkout = (reservation: ReservationView): string | null => {
    const { id = '', checkoutUrl } = show.value ?? {};
    return checkoutUrl === undefined ? null : checkoutAddress(checkoutUrl, id, reservation);
  };
  effect(() => {
    const { value: viewer } = store.viewer;
    if (viewer === null || viewer.role === 'guest') return;
    keepHolds(showId, {
      offsetMs: client.serverNow() - Date.now(),
      holds: holds.value.map((hold) => {
        const { id, amount, currency, createdAt, heldUntil } = hold;
        const items = itemsText(hold, catalogue.value);
        return { id, items, amount, currency, createdAt, heldUntil, payUrl: checkout(hold) };
      }),
    });
  });

  // Not by events of the SDK: holds also end while the page is not connected.
  let known: ReadonlyMap<string, ReservationView['state']> | null = null;
  effect(() => {
    const { value } = store.reservations;
    if (show.value === null) return;
    const before = known;
    known = new Map(value.map(({ id, state }) => [id, state]));
    if (before === null) return;
    const changed = value.filter(({ id, state, offer }) => before.get(id) !== state && (state !== 'held' || offer));
    const texts = changed.map((reservation) => {
      const { state } = reservation;
      return t(`said.${state === 'held' ? 'offer' : state}`, { item: itemsOf(reservation) });
    });
    if (texts.length > 0) notify(texts.join(' '));
  });
  client.on('lost', (lost) => notify(t('said.lost', { item: lost.map(itemsOf).join(', ') })));

  return {
    ...{ store, show, productById, saleById, active, sections, featured, holds },
    filter,
    chooseSale(sale) {
      chosenSale.value = sale;
    },
    sheet: signal<'shop' | 'holds' | 'join' | null>(null),
    chosenSku,
    choose(offer, sku) {
      chosen.value = new Map(chosen.value).set(offer.key, sku);
    },
    isHoldFeatured,
    brandName: (id) => show.value?.brands.find((brand) => brand.id === id)?.name ?? id,
    itemsText: (reservation) => itemsText(reservation, catalogue.value),
    checkout,
    buyState(saleId, sku) {
      const sale = saleById.value.get(saleId);
      const item = sale?.skus.find((candidate) => candidate.sku === sku);
      if (sale === undefined || item === undefined) return null;
      const { reservations, waits, viewer } = store;
      return buyStateOf(sale, item, {
        role: viewer.value?.role ?? null,
        reservations: reservations.value,
        waits: waits.value,
        isSending: sending.value.has(offerKey(saleId, sku)),
        // Only a sale that is about to open depends on the time.
        now: sale.state === 'scheduled' ? store.now.value : 0,
      });
    },
    async act(action, sale, sku, label) {
      const key = offerKey(sale, sku);
      if (sending.value.has(key)) return;
      setSending(key, true);
      const text = await send(action, sale, sku, label);
      setSending(key, false);
      if (text !== null) notify(text);
    },
    releases,
    close() {
      removeEventListener('pagehide', releases.sendAll);
      keepReleasing();
      store.close();
    },
    sending,
    isTimeUp,
    ownMessages,
    rememberOwn(message) {
      const ids = [...ownMessages.value, message].slice(-OWN_KEPT);
      ownMessages.value = new Set(ids);
      tabStorage.set(ownKey, ids.join(','));
    },
    dismissedAt,
    dismiss(announcedAt) {
      dismissedAt.value = announcedAt;
      tabStorage.set(dismissedKey, String(announcedAt));
    },
  };
}

/** What a press led to. One that is repeated gets the result of the first, which may be over. */
function heldText(outcome: Outcome<ReserveResult>, item: string): string {
  if (!outcome.ok) return refusalText(outcome.error);
  return t(outcome.value.reservation.state === 'confirmed' ? 'said.already' : 'said.over', { item });
}

export const ViewerContext = createContext<ViewerModel | null>(null);

export function useViewer(): ViewerModel {
  const model = useContext(ViewerContext);
  if (model === null) throw new Error('This component needs a ViewerContext.');
  return model;
}
