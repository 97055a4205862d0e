/**
 * The sale on stage: which one it is, what it counts down to, and the products with a button for
 * every SKU that says why it can or cannot be pressed.
 */
import { type CountdownReading, type ShowModel, type StampedeClient, waitKey } from '../client/index.ts';
import type { Product, SaleSku, SaleView } from '../protocol/messages.ts';
import { byId, element, paintArt, setHidden, setText } from './dom.ts';
import { clockText, money, refusalText } from './words.ts';

export interface SalePanelDeps {
  /** A passing message to the eye and to a screen reader. */
  readonly notify: (text: string) => void;
  readonly speak: (text: string) => void;
}

interface SkuRow {
  readonly row: HTMLElement;
  readonly price: HTMLElement;
  readonly left: HTMLElement;
  readonly button: HTMLButtonElement;
}

type Button =
  | { readonly text: string; readonly may: false }
  | { readonly text: string; readonly may: true; readonly does: 'buy' | 'join' | 'leave'; readonly spoken?: string };

const STATE_WORDS: Readonly<Record<SaleView['state'], string>> = {
  draft: 'In preparation',
  scheduled: 'Opens in',
  open: 'Open now, closes in',
  paused: 'Paused',
  ended: 'The sale has ended',
  cancelled: 'The sale was cancelled',
};
const SPOKEN_SECONDS: readonly number[] = [60, 30, 10, 5];
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
      if (event.type === 'sale.sold_out')
        deps.speak('Everything is reserved or sold. Units come back when holds lapse.');
      if (event.type === 'sale.ended') deps.speak('The sale has ended.');
    });
  }

  /** Several times a second: cheap, because only what differs is written. */
  render(): void {
    const { model } = this.#client;
    const sale = currentSale(model, this.#client.serverNow());
    this.#renderStage(model);
    this.#renderSale(sale);
    this.#build(model, sale);
    for (const sku of sale?.skus ?? []) this.#renderSku(sale as SaleView, sku);
  }

  #renderStage(model: ShowModel): void {
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
      opening ? 'Opening …' : sale.state === 'open' && countdown === null ? 'Open now' : STATE_WORDS[sale.state],
    );
    setText(node, countdown === null ? '' : clockText(countdown.remainingMs));
    node.classList.toggle('soon', countdown !== null && countdown.remainingMs <= SOON_MS);
    const left = sale.skus.reduce((sum, sku) => sum + sku.left, 0);
    const terms = `at most ${sale.perBuyer} per buyer · held ${Math.round(sale.holdMs / 1000)} s for you`;
    const gone = sale.state === 'open' && left === 0;
    setText(
      byId('sale-note'),
      gone
        ? 'All held or sold right now. Holds that run out come back.'
        : `${left.toLocaleString()} ${left === 1 ? 'unit' : 'units'} free · ${terms}`,
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

  /**
   * Builds the cards anew only when products or the sale's SKUs changed; numbers and buttons are
   * updated in place, so focus stays.
   */
  #build(model: ShowModel, sale: SaleView | undefined): void {
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
      row: item,
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
    const { text, may } = button;
    setText(row.button, text);
    row.button.dataset.does = button.may ? button.does : 'nothing';
    // aria-disabled keeps the keyboard focus on the button while it waits for zero; `disabled`
    // would throw it away.
    const disabled = String(!may);
    if (row.button.getAttribute('aria-disabled') !== disabled) row.button.setAttribute('aria-disabled', disabled);
    const label = `${button.may ? (button.spoken ?? text) : text}: ${row.button.dataset.label ?? ''}`;
    // A countdown in the label would be read out again and again.
    const spoken = sale.state === 'scheduled' ? `Not open yet: ${row.button.dataset.label ?? ''}` : label;
    if (row.button.getAttribute('aria-label') !== spoken) row.button.setAttribute('aria-label', spoken);
  }

  #button(sale: SaleView, sku: SaleSku): Button {
    const no = (text: string): Button => ({ text, may: false });
    const role = this.#client.you?.role;
    if (role === 'guest' || role === 'viewer') return no('Buyers only');
    if (this.#pressed.has(sku.sku)) return no('Asking …');
    const mine = unitsOf(this.#client.model, sale.id, sku.sku);
    if (mine.owned > 0 && !this.#roomFor(sale, sku)) return no('You have it');
    if (mine.held > 0 && !this.#roomFor(sale, sku)) return no('Held for you');
    if (sale.state === 'ended') return no('Sale ended');
    if (sale.state === 'cancelled') return no('Cancelled');
    if (sale.state === 'paused') return no('Paused');
    if (sale.state === 'draft') return no('Not open yet');
    if (sale.state === 'scheduled') {
      const countdown = this.#client.countdown(sale.id);
      if (countdown === null) return no('Not open yet');
      if (countdown.remainingMs > 0) return no(`Opens in ${clockText(countdown.remainingMs)}`);
    }
    if (!this.#roomFor(sale, sku)) return no('Your limit is reached');
    const wait = this.#client.model.waits.get(waitKey(sale.id, sku.sku));
    if (wait !== undefined)
      return {
        text: `In line: ${wait.place}  ✕`,
        spoken: `Number ${wait.place} in line, leave it`,
        may: true,
        does: 'leave',
      };
    if (sku.left <= 0) return { text: 'Join the line', spoken: 'Sold out, join the line', may: true, does: 'join' };
    return { text: mine.held + mine.owned > 0 ? 'Buy one more' : 'Buy', may: true, does: 'buy' };
  }

  #roomFor(sale: SaleView, sku: SaleSku): boolean {
    const mine = unitsOf(this.#client.model, sale.id, sku.sku);
    return mine.inSale < sale.perBuyer && (sku.perBuyer === undefined || mine.held + mine.owned < sku.perBuyer);
  }

  async #press(saleId: string, skuId: string, label: string): Promise<void> {
    const sale = this.#client.model.sales.get(saleId);
    const sku = sale?.skus.find((candidate) => candidate.sku === skuId);
    if (sale === undefined || sku === undefined) return;
    const button = this.#button(sale, sku);
    if (!button.may) {
      this.#deps.notify(`${label}: ${button.text}.`);
      return;
    }
    this.#pressed.add(skuId);
    this.render();
    this.#deps.notify(await this.#do(button.does, saleId, skuId, label));
    this.#pressed.delete(skuId);
    this.render();
  }

  /** Does it and answers what to tell. */
  async #do(what: 'buy' | 'join' | 'leave', sale: string, sku: string, label: string): Promise<string> {
    if (what === 'buy') {
      const bought = await this.#client.reserve({ sale, lines: [{ sku, qty: 1 }] });
      return bought.ok ? `${label} is held for you until the time runs out.` : refusalText(bought.error);
    }
    const line =
      what === 'join'
        ? await this.#client.joinWaitlist({ sale, sku })
        : await this.#client.leaveWaitlist({ sale, sku });
    if (!line.ok) return refusalText(line.error);
    return what === 'join'
      ? `You are number ${line.value.place} in line for ${label}. It is held for you when your turn comes.`
      : `You left the line for ${label}.`;
  }
}

/** The one to show: what is open, else what opens next, else what ended last. */
function currentSale(model: ShowModel, now: number): SaleView | undefined {
  const rank: Readonly<Record<SaleView['state'], number>> = {
    open: 0,
    paused: 1,
    scheduled: 2,
    draft: 4,
    ended: 3,
    cancelled: 5,
  };
  return [...model.sales.values()].sort(
    (a, b) => rank[a.state] - rank[b.state] || distance(a, now) - distance(b, now),
  )[0];
}

const distance = (sale: SaleView, now: number): number =>
  Math.abs((sale.state === 'ended' ? (sale.closesAt ?? sale.opensAt ?? 0) : (sale.opensAt ?? now)) - now);

const brandName = (model: ShowModel, id: string): string =>
  model.show?.brands.find((brand) => brand.id === id)?.name ?? id;

function unitsOf(model: ShowModel, sale: string, sku: string): { held: number; owned: number; inSale: number } {
  const units = { held: 0, owned: 0, inSale: 0 };
  for (const reservation of model.reservations.values()) {
    if (reservation.sale !== sale || (reservation.state !== 'held' && reservation.state !== 'confirmed')) continue;
    for (const line of reservation.lines) {
      units.inSale += line.qty;
      if (line.sku !== sku) continue;
      if (reservation.state === 'held') units.held += line.qty;
      else units.owned += line.qty;
    }
  }
  return units;
}
