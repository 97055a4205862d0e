/** The current sale with its countdown, and the products with a button for every SKU. */
import { type CountdownReading, type ShowModel, type StampedeClient, waitKey } from '../client/index.ts';
import type { Product, ReservationView, SaleSku, SaleView } from '../protocol/messages.ts';
import { byId, element, paintArt, setAttribute, setHidden, setText } from './dom.ts';
import { clockText, money, refusalText } from './format.ts';

interface SalePanelDeps {
  /** Shows a message for some seconds. */
  readonly notify: (text: string) => void;
  /** For screen readers only. */
  readonly speak: (text: string) => void;
}

interface SkuRow {
  readonly price: HTMLElement;
  readonly left: HTMLElement;
  readonly button: HTMLButtonElement;
}

type Action = 'buy' | 'join' | 'leave';

interface Button {
  readonly text: string;
  /** null: disabled. */
  readonly action: Action | null;
  readonly spoken?: string;
}

const STATE_TEXTS: Readonly<Record<SaleView['state'], string>> = {
  draft: 'In preparation',
  scheduled: 'Opens in',
  open: 'Open now, closes in',
  paused: 'Paused',
  ended: 'The sale has ended',
  cancelled: 'The sale was cancelled',
};
const CLOSED_TEXTS: Readonly<Partial<Record<SaleView['state'], string>>> = {
  ended: 'Sale ended',
  cancelled: 'Cancelled',
  paused: 'Paused',
  draft: 'Not open yet',
};
const SPOKEN_SECONDS: readonly number[] = [60, 30, 10, 5];
const SOLD_OUT = 'All units are held or sold. Units of expired holds become free again.';
const SOON_MS = 10_000;
const FEW = 5;

export class SalePanel {
  readonly #deps: SalePanelDeps;
  readonly #client: StampedeClient;
  readonly #rows = new Map<string, SkuRow>();
  readonly #pressed = new Set<string>();
  readonly #spoken = new Set<string>();
  #drawn = '';

  constructor(client: StampedeClient, deps: SalePanelDeps) {
    this.#client = client;
    this.#deps = deps;
    client.on('event', (event) => {
      if (event.type === 'sale.opened') deps.speak('The sale is open.');
      if (event.type === 'sale.sold_out') deps.speak(SOLD_OUT);
      if (event.type === 'sale.ended') deps.speak('The sale has ended.');
    });
  }

  /** Runs several times a second, and writes only what differs. */
  render(): void {
    const { model } = this.#client;
    const sale = currentSale(model, this.#client.serverNow());
    this.#renderPinned(model);
    this.#renderSale(sale);
    this.#renderProducts(model, sale);
    for (const sku of sale?.skus ?? []) this.#renderSku(sale as SaleView, sku);
  }

  #renderPinned(model: ShowModel): void {
    const product = model.show?.pinned == null ? undefined : model.products.get(model.show.pinned);
    setHidden(byId('pinned'), product === undefined);
    if (product === undefined) return;
    setText(byId('pinned-title'), product.title);
    setText(byId('pinned-brand'), brandName(model, product.brand));
    paintArt(byId('pinned-art'), product.id, product.title, product.imageUrl);
  }

  #renderSale(sale: SaleView | undefined): void {
    const countdown = sale === undefined ? null : this.#client.countdown(sale.id);
    const node = byId('countdown');
    byId('sale').dataset.state = sale?.state ?? 'none';
    setText(byId('sale-title'), sale?.title ?? '');
    if (sale === undefined) {
      setText(byId('sale-state'), 'No sale planned yet');
      setText(node, '');
      setText(byId('sale-note'), '');
      return;
    }
    const opening = countdown?.to === 'open' && countdown.remainingMs === 0;
    setText(
      byId('sale-state'),
      opening ? 'Opening …' : sale.state === 'open' && countdown === null ? 'Open now' : STATE_TEXTS[sale.state],
    );
    setText(node, countdown === null ? '' : clockText(countdown.remainingMs));
    node.classList.toggle('soon', countdown !== null && countdown.remainingMs <= SOON_MS);
    const left = sale.skus.reduce((sum, sku) => sum + sku.left, 0);
    const terms = `at most ${sale.perBuyer} per buyer · held ${Math.round(sale.holdMs / 1000)} s for you`;
    const isSoldOut = sale.state === 'open' && left === 0;
    setText(
      byId('sale-note'),
      isSoldOut ? SOLD_OUT : `${left.toLocaleString()} ${left === 1 ? 'unit' : 'units'} free · ${terms}`,
    );
    this.#speakCountdown(sale, countdown);
  }

  #speakCountdown(sale: SaleView, countdown: CountdownReading | null): void {
    if (countdown === null || countdown.to !== 'open') return;
    const seconds = Math.ceil(countdown.remainingMs / 1000);
    const mark = SPOKEN_SECONDS.find((spoken) => spoken === seconds);
    if (mark === undefined || this.#spoken.has(`${sale.id}/${mark}`)) return;
    this.#spoken.add(`${sale.id}/${mark}`);
    this.#deps.speak(`Opens in ${mark} seconds.`);
  }

  /** Builds the cards only if products or SKUs changed. Updates in place keep the focus. */
  #renderProducts(model: ShowModel, sale: SaleView | undefined): void {
    const skus = sale?.skus.map((sku) => sku.sku) ?? [];
    const shape = JSON.stringify([[...model.products.values()], model.show?.brands, sale?.id, skus]);
    if (shape === this.#drawn) return;
    this.#drawn = shape;
    this.#rows.clear();
    const onSale = new Map(sale?.skus.map((sku) => [sku.sku, sku]));
    const brands = [
      ...new Set([
        ...(model.show?.brands.map((brand) => brand.id) ?? []),
        ...[...model.products.values()].map((product) => product.brand),
      ]),
    ];
    const sections = brands.map((brand) => {
      const products = [...model.products.values()].filter((product) => product.brand === brand);
      if (products.length === 0) return null;
      const section = element('section', 'brand');
      const grid = element('div', 'cards');
      grid.append(...products.map((product) => this.#card(product, sale, onSale)));
      section.append(element('h2', 'brand-name', brandName(model, brand)), grid);
      return section;
    });
    byId('products').replaceChildren(...sections.filter((section) => section !== null));
  }

  #card(product: Product, sale: SaleView | undefined, onSale: ReadonlyMap<string, SaleSku>): HTMLElement {
    const card = element('article', 'card');
    const art = element('div', 'art');
    art.setAttribute('aria-hidden', 'true');
    paintArt(art, product.id, product.title, product.imageUrl);
    const list = element('ul', 'skus');
    for (const { sku, title } of product.skus) {
      const item = element('li', 'sku');
      item.append(element('span', 'size', title ?? sku));
      if (sale !== undefined && onSale.has(sku)) this.#addRow(item, sale, product, sku, title ?? sku);
      else item.append(element('span', 'left muted', 'not in this sale'));
      list.append(item);
    }
    const head = element('div', 'card-head');
    head.append(art, element('h3', '', product.title));
    card.append(head, list);
    return card;
  }

  #addRow(item: HTMLElement, sale: SaleView, product: Product, sku: string, size: string): void {
    const row: SkuRow = {
      price: element('span', 'price'),
      left: element('span', 'left'),
      button: element('button', 'button buy'),
    };
    row.button.type = 'button';
    row.button.dataset.sku = sku;
    row.button.dataset.label = `${product.title}, ${size}`;
    row.button.addEventListener('click', () => void this.#press(sale.id, sku, `${product.title} (${size})`));
    item.append(row.price, row.left, row.button);
    this.#rows.set(sku, row);
  }

  #renderSku(sale: SaleView, sku: SaleSku): void {
    const row = this.#rows.get(sku.sku);
    if (row === undefined) return;
    setText(row.price, money(sku.price, sale.currency));
    setText(row.left, sku.left > 0 ? `${sku.left.toLocaleString()} left` : 'none left');
    row.left.classList.toggle('few', sale.state === 'open' && sku.left > 0 && sku.left <= FEW);
    const button = this.#button(sale, sku);
    setText(row.button, button.text);
    row.button.dataset.action = button.action ?? 'none';
    // Unlike `disabled`, aria-disabled keeps the keyboard focus on the button.
    setAttribute(row.button, 'aria-disabled', String(button.action === null));
    // Screen readers would read a countdown in the label again and again.
    const spoken = sale.state === 'scheduled' ? 'Not open yet' : (button.spoken ?? button.text);
    setAttribute(row.button, 'aria-label', `${spoken}: ${row.button.dataset.label ?? ''}`);
  }

  #button(sale: SaleView, sku: SaleSku): Button {
    const disabled = (text: string): Button => ({ text, action: null });
    const role = this.#client.you?.role;
    if (role === 'guest' || role === 'viewer') return disabled('Buyers only');
    if (this.#pressed.has(sku.sku)) return disabled('Sending …');
    const mine = unitsOf(this.#client.model, sale.id, sku.sku);
    const isAtLimit = reachesLimit(mine, sale, sku);
    if (mine.owned > 0 && isAtLimit) return disabled('You have it');
    if (mine.held > 0 && isAtLimit) return disabled('Held for you');
    const closed = CLOSED_TEXTS[sale.state];
    if (closed !== undefined) return disabled(closed);
    if (sale.state === 'scheduled') {
      const countdown = this.#client.countdown(sale.id);
      if (countdown === null) return disabled('Not open yet');
      if (countdown.remainingMs > 0) return disabled(`Opens in ${clockText(countdown.remainingMs)}`);
    }
    if (isAtLimit) return disabled('Limit reached');
    const wait = this.#client.model.waits.get(waitKey(sale.id, sku.sku));
    if (wait !== undefined) {
      const spoken = `Position ${wait.place} on the waitlist, leave it`;
      return { text: `Waitlist: ${wait.place}  ✕`, spoken, action: 'leave' };
    }
    if (sku.left <= 0) return { text: 'Join waitlist', spoken: 'Sold out, join the waitlist', action: 'join' };
    return { text: mine.held + mine.owned > 0 ? 'Buy one more' : 'Buy', action: 'buy' };
  }

  async #press(saleId: string, skuId: string, label: string): Promise<void> {
    const sale = this.#client.model.sales.get(saleId);
    const sku = sale?.skus.find((candidate) => candidate.sku === skuId);
    if (sale === undefined || sku === undefined) return;
    const { action, text } = this.#button(sale, sku);
    if (action === null) {
      this.#deps.notify(`${label}: ${text}.`);
      return;
    }
    this.#pressed.add(skuId);
    this.render();
    this.#deps.notify(await this.#act(action, saleId, skuId, label));
    this.#pressed.delete(skuId);
    this.render();
  }

  /** Sends the request of a button and returns the text to show. */
  async #act(action: Action, sale: string, sku: string, label: string): Promise<string> {
    if (action === 'buy') {
      const held = await this.#client.reserve({ sale, lines: [{ sku, qty: 1 }] });
      return held.ok ? holdText(held.value.reservation.state, label) : refusalText(held.error);
    }
    if (action === 'leave') {
      const left = await this.#client.leaveWaitlist({ sale, sku });
      return left.ok ? `You left the waitlist for ${label}.` : refusalText(left.error);
    }
    const joined = await this.#client.joinWaitlist({ sale, sku });
    if (!joined.ok) return refusalText(joined.error);
    const { place } = joined.value;
    return `You are number ${place} on the waitlist for ${label}. It is held for you when it is your turn.`;
  }
}

/** What a press led to. One that is repeated gets the result of the first, which may be over. */
function holdText(state: ReservationView['state'], label: string): string {
  if (state === 'held') return `${label} is held for you until the time runs out.`;
  if (state === 'confirmed') return `${label} is yours already.`;
  return `Your first press held ${label}, and that hold has ended. Press again for a new one.`;
}

const STATES_BY_RANK: ReadonlyArray<SaleView['state']> = ['open', 'paused', 'scheduled', 'ended', 'draft', 'cancelled'];

/** Returns the open sale, else the next one, else the one that ended last. */
function currentSale(model: ShowModel, now: number): SaleView | undefined {
  const rank = ({ state }: SaleView): number => STATES_BY_RANK.indexOf(state);
  return [...model.sales.values()].sort((a, b) => rank(a) - rank(b) || distance(a, now) - distance(b, now))[0];
}

const distance = (sale: SaleView, now: number): number =>
  Math.abs((sale.state === 'ended' ? (sale.closesAt ?? sale.opensAt ?? 0) : (sale.opensAt ?? now)) - now);

const brandName = (model: ShowModel, id: string): string =>
  model.show?.brands.find((brand) => brand.id === id)?.name ?? id;

interface Units {
  held: number;
  owned: number;
  /** Of all SKUs of the sale. */
  inSale: number;
}

const reachesLimit = ({ held, owned, inSale }: Units, sale: SaleView, sku: SaleSku): boolean =>
  inSale >= sale.perBuyer || (sku.perBuyer !== undefined && held + owned >= sku.perBuyer);

/** Returns the viewer's units of a SKU. */
function unitsOf(model: ShowModel, sale: string, sku: string): Units {
  const units = { held: 0, owned: 0, inSale: 0 };
  for (const reservation of model.reservations.values()) {
    if (reservation.sale !== sale || (reservation.state !== 'held' && reservation.state !== 'confirmed')) continue;
    for (const item of reservation.lines) {
      units.inSale += item.qty;
      if (item.sku !== sku) continue;
      if (reservation.state === 'held') units.held += item.qty;
      else units.owned += item.qty;
    }
  }
  return units;
}
