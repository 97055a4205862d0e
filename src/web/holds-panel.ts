/** The viewer's reservations: time left, a button to release them, and how they ended. */
import type { StampedeClient } from '../client/index.ts';
import type { ReservationView } from '../protocol/messages.ts';
import { byId, element, setHidden, setText } from './dom.ts';
import { clockText, money, refusalText } from './format.ts';

const ENDED_SHOWN_MS = 30_000;
const URGENT_MS = 30_000;
const HEADS: Readonly<Record<ReservationView['state'], string>> = {
  held: 'Held for you',
  confirmed: '✓ Order confirmed',
  released: 'Released',
  expired: 'The hold has expired',
};

interface HoldCard {
  readonly node: HTMLElement;
  readonly head: HTMLElement;
  readonly time: HTMLElement;
  readonly bar: HTMLProgressElement;
  readonly release: HTMLButtonElement;
}

export class HoldsPanel {
  readonly #client: StampedeClient;
  readonly #notify: (text: string) => void;
  readonly #cards = new Map<string, HoldCard>();
  readonly #endedAt = new Map<string, number>();

  constructor(client: StampedeClient, notify: (text: string) => void) {
    this.#client = client;
    this.#notify = notify;
    byId('holds').replaceChildren();
    client.on('you', (reservation) => this.#notifyChange(reservation));
    client.on('lost', (lost) => this.#notifyLoss(lost));
  }

  render(): void {
    const now = this.#client.serverNow();
    const shown = [...this.#client.model.reservations.values()]
      .filter((reservation) => this.#isShown(reservation, now))
      .sort((a, b) => b.createdAt - a.createdAt);
    setHidden(byId('holds'), shown.length === 0);
    const ids = new Set(shown.map((reservation) => reservation.id));
    for (const [id, card] of this.#cards) {
      if (ids.has(id)) continue;
      card.node.remove();
      this.#cards.delete(id);
    }
    for (const reservation of shown) this.#renderCard(reservation, now);
  }

  #isShown(reservation: ReservationView, now: number): boolean {
    if (reservation.state === 'held' || reservation.state === 'confirmed') return true;
    const endedAt = this.#endedAt.get(reservation.id) ?? reservation.endedAt ?? reservation.heldUntil;
    this.#endedAt.set(reservation.id, endedAt);
    return now - endedAt < ENDED_SHOWN_MS;
  }

  #renderCard(reservation: ReservationView, now: number): void {
    const card = this.#cards.get(reservation.id) ?? this.#make(reservation);
    const isHeld = reservation.state === 'held';
    const leftMs = Math.max(0, reservation.heldUntil - now);
    card.node.dataset.state = reservation.state;
    card.node.classList.toggle('urgent', isHeld && leftMs < URGENT_MS);
    setHidden(card.bar, !isHeld);
    setHidden(card.release, !isHeld);
    setText(card.head, isHeld && reservation.offer ? 'Your turn: held for you' : HEADS[reservation.state]);
    const timeText = leftMs > 0 ? clockText(leftMs) : 'time is up';
    setText(card.time, isHeld ? timeText : (reservation.orderRef ?? ''));
    if (isHeld) card.bar.value = leftMs / Math.max(1, reservation.heldUntil - reservation.createdAt);
  }

  #make(reservation: ReservationView): HoldCard {
    const card: HoldCard = {
      node: element('article', 'hold'),
      head: element('h3', 'hold-head'),
      time: element('p', 'hold-time'),
      bar: element('progress', 'hold-bar'),
      release: element('button', 'button quiet', 'Release'),
    };
    card.node.dataset.reservation = reservation.id;
    card.bar.max = 1;
    card.bar.setAttribute('aria-label', 'Time left');
    card.release.type = 'button';
    card.release.addEventListener('click', () => void this.#release(reservation.id, card.release));
    const items = element(
      'p',
      'hold-items',
      `${this.#itemsText(reservation)} · ${money(reservation.amount, reservation.currency)}`,
    );
    const text = element('div', 'hold-text');
    text.append(card.head, items);
    card.node.append(text, card.time, card.release, card.bar);
    this.#cards.set(reservation.id, card);
    byId('holds').prepend(card.node);
    return card;
  }

  async #release(id: string, button: HTMLButtonElement): Promise<void> {
    button.disabled = true;
    const outcome = await this.#client.release(id);
    button.disabled = false;
    if (!outcome.ok) this.#notify(refusalText(outcome.error));
  }

  #notifyChange(reservation: ReservationView): void {
    const items = this.#itemsText(reservation);
    if (reservation.state === 'held' && reservation.offer) this.#notify(`Your turn: ${items} is held for you.`);
    if (reservation.state === 'confirmed') this.#notify(`Order confirmed: ${items}.`);
    if (reservation.state === 'expired') this.#notify(`Your hold has expired: ${items}.`);
    if (reservation.state === 'released') this.#notify(`Released: ${items}.`);
  }

  #notifyLoss(lost: readonly ReservationView[]): void {
    const items = lost.map((reservation) => this.#itemsText(reservation)).join(', ');
    this.#notify(`The shop lost your reservation after a failure: ${items}. Please try again.`);
  }

  #itemsText(reservation: ReservationView): string {
    const products = [...this.#client.model.products.values()];
    return reservation.lines
      .map(({ sku, qty }) => {
        const product = products.find((candidate) => candidate.skus.some((one) => one.sku === sku));
        const variant = product?.skus.find((one) => one.sku === sku)?.title;
        const name = `${product?.title ?? sku}${variant === undefined ? '' : ` (${variant})`}`;
        return qty > 1 ? `${qty} × ${name}` : name;
      })
      .join(', ');
  }
}
