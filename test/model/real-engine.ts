/** Runs the steps of the model on the real scripts, and reads the books afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BuyerHoldings, Decision } from '../../src/domain/reservation.ts';
import type { SaleBooks, SaleSpec } from '../../src/domain/sale.ts';
import type { Item, ReservationView, Result } from '../../src/protocol/index.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import { mapped } from '../../src/redis/script-runner.ts';
import type { TimeControl } from '../support/time-control.ts';
import { type EngineModel, isLive, type Reservation } from './engine-model.ts';
import { type Books, type Handle, HOLD_MS, type Plan, type Step, type StepResult, USERS, unitsOf } from './steps.ts';

const FAR_MS = 600_000;

export type Observed = { sales: SaleBooks[]; holdings: Array<BuyerHoldings & { user: string }> };

export class RealEngine {
  readonly show: string;
  readonly ids = new Map<Handle, string>();
  readonly #time: TimeControl;

  constructor(show: string, time: TimeControl) {
    this.show = show;
    this.#time = time;
  }

  async apply(step: Step, store: ConnectedStore): Promise<StepResult[]> {
    const { show } = this;
    const command = { key: 'key' in step ? step.key : '', actor: 'host:model' };
    const reservation = 'of' in step ? this.#id(step.of) : '';
    switch (step.do) {
      case 'create':
        return [saleResult(await store.createSale(show, specOf(step.plan), command))];
      case 'move':
        return [saleResult(await store.moveSale(show, step.sale, step.move, command))];
      case 'reserve': {
        const decisions = await store.reserve(show, step.asks);
        return decisions.map((decision, i) => this.#reserved(`r:${step.asks[i]?.user}:${step.asks[i]?.key}`, decision));
      }
      case 'confirm':
        return [this.#finished(step.of, await store.confirm(show, { ...step, reservation }, command))];
      case 'release': {
        const by = step.by === null ? command : { ...command, actor: `user:${step.by}`, user: step.by };
        return [this.#finished(step.of, await store.release(show, reservation, by))];
      }
      case 'extend':
        return [this.#finished(step.of, await store.extendHold(show, { ...step, reservation }, command))];
      case 'refund': {
        const refunded = await store.refundOrder(show, { order: reservation, restock: step.restock }, command);
        return [
          this.#finished(
            step.of,
            mapped(refunded, ({ order, ...rest }) => ({ ...rest, reservation: order })),
          ),
        ];
      }
      case 'join':
      case 'leave':
        return [resultOf(await store.waitlist(show, { ...step, op: step.do }), (value) => value)];
      case 'tick':
        return [resultOf(await store.tick(show), () => ({}))];
      case 'failover':
        await this.#time.changeServer(show);
        return [await this.#recovered(store)];
      case 'expire':
        await this.#time.passDeadline(show, reservation);
        return [];
      case 'arrive':
        await this.#time.passMoment(show, step.sale, step.moment);
        return [];
    }
  }

  async observe(store: ConnectedStore): Promise<Observed> {
    const [sales, holdings] = await Promise.all([store.listSales(this.show), store.holdingsOf(this.show, USERS)]);
    if (!sales.ok || !holdings.ok) throw new Error('the books cannot be read');
    return { sales: sales.value, holdings: holdings.value.map((of, i) => ({ user: USERS[i] ?? '', ...of })) };
  }

  async #recovered(store: ConnectedStore): Promise<StepResult> {
    for (let i = 0; i < 500; i++) {
      const ticked = await store.tick(this.show);
      if (!ticked.ok) return { code: ticked.error.code };
      if (!(await this.#time.isRecovering(this.show))) return { code: 'ok' };
      await sleep(2);
    }
    return { code: 'the recovery does not end' };
  }

  #id(of: Handle): string {
    return this.ids.get(of) ?? 'unknown';
  }

  #reserved(of: Handle, decision: Result<Decision>): StepResult {
    const known = this.ids.get(of);
    if (decision.ok) this.ids.set(of, known ?? decision.value.reservation.id);
    return this.#finished(of, decision);
  }

  #finished(of: Handle, decision: Result<Decision>): StepResult {
    const [expected, found] = [this.#id(of), decision.ok ? decision.value.reservation.id : null];
    if (found !== null && found !== expected) return { code: `${of} is ${expected}, and the result names ${found}` };
    return resultOf(decision, ({ reservation: { state, lines, amount, orderRef }, replayed }) => {
      const order = orderRef === undefined ? {} : { orderRef };
      const items = lines.map(({ sku, qty }) => ({ sku, qty })).sort(bySku);
      return { replayed, reservation: { of, state, lines: items, amount, ...order } };
    });
  }
}

/** Returns how the books differ from the model. Adds the ids of new offers to `ids`. */
export function differences(model: EngineModel, { sales, holdings }: Observed, ids: Map<Handle, string>): string[] {
  const problems: string[] = [];
  const compare = (what: string, expected: unknown, found: unknown): void => {
    if (JSON.stringify(expected) !== JSON.stringify(found))
      problems.push(`${what}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`);
  };
  compare('sales', Object.keys(model.sales).sort(), sales.map(({ id }) => id).sort());
  for (const sale of sales) {
    compare(`state of ${sale.id}`, model.sales[sale.id]?.state, sale.state);
    const [expected, found] = [model.books(sale.id), booksOf(sale)].map((books) => Object.entries(books).sort(byText));
    compare(`books of ${sale.id}`, expected, found);
    problems.push(...conservation(sale));
  }
  for (const { user, reservations, waits } of holdings) {
    learnOffers(model, user, reservations, ids);
    const known = new Map([...ids].map(([handle, id]) => [id, handle]));
    const expected = Object.entries(model.reservations).filter(([, r]) => r.user === user && isListed(r));
    const row = (of: string, r: Shown, offer: boolean) => [of, r.sale, r.state, r.lines, r.amount, r.orderRef, offer];
    compare(
      `what ${user} holds and owns`,
      expected.map(([of, r]) => row(of, r, of.startsWith('w') && isLive(r))).sort(byText),
      reservations.map((view) => row(known.get(view.id) ?? view.id, view, view.offer === true)).sort(byText),
    );
    const positions = Object.entries(model.sales).flatMap(([sale, { state, waitlist }]) =>
      waitlist
        .filter((wait) => wait.user === user && state !== 'ended' && state !== 'cancelled')
        .map((wait) => {
          const bySku = waitlist.filter(({ sku }) => sku === wait.sku);
          return [sale, wait.sku, wait.qty, bySku.indexOf(wait) + 1];
        }),
    );
    const found = waits.map(({ sale, sku, qty, place }) => [sale, sku, qty, place]);
    compare(`the positions of ${user}`, positions.sort(byText), found.sort(byText));
    problems.push(...limits(user, reservations, sales));
  }
  return problems;
}

type Shown = Omit<Reservation, 'user' | 'lastsMs' | 'deadline'>;
type Wish = Pick<ReservationView, 'user' | 'sale' | 'lines'>;

const isSame = (a: Wish | undefined, b: Wish): boolean =>
  a?.user === b.user && a.sale === b.sale && JSON.stringify(a.lines) === JSON.stringify(b.lines);

/** Finds the ids of new offers: by buyer, sale and items. */
function learnOffers({ reservations }: EngineModel, user: string, views: ReservationView[], ids: Map<Handle, string>) {
  const known = new Set(ids.values());
  for (const { id, offer, sale, lines } of views) {
    if (!offer || known.has(id)) continue;
    const offers = (Object.keys(reservations) as Handle[]).filter((of) => of.startsWith('w') && !ids.has(of));
    const found = offers.find((of) => isSame(reservations[of], { user, sale, lines }));
    if (found) ids.set(found, id);
  }
}

/** I1, from the real books alone. */
const conservation = ({ id, skus }: SaleBooks): string[] =>
  skus.flatMap(({ sku, allocated, available, held, sold, withdrawn }) =>
    Math.min(available, held, sold, withdrawn) < 0 || available + held + sold + withdrawn !== allocated
      ? [`I1 broken: ${id}/${sku}`]
      : [],
  );

/** I2, from the real reservations alone. */
const limits = (user: string, reservations: readonly ReservationView[], sales: readonly SaleBooks[]): string[] =>
  sales.flatMap(({ id, perBuyer, skus }) => {
    const lines = reservations.filter((each) => each.sale === id && isLive(each)).flatMap(({ lines }) => lines);
    const units = (sku?: string): number =>
      lines.reduce((sum, line) => sum + (sku === undefined || sku === line.sku ? line.qty : 0), 0);
    const over =
      units() > perBuyer || skus.some((books) => books.perBuyer !== undefined && units(books.sku) > books.perBuyer);
    return over ? [`I2 broken: ${user} has ${units()} units in ${id}`] : [];
  });

const isListed = (r: Reservation): boolean => isLive(r) || r.state === 'refunded';
const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
const bySku = (a: Item, b: Item): number => (a.sku < b.sku ? -1 : 1);
const booksOf = ({ skus }: SaleBooks): Record<string, Books> =>
  Object.fromEntries(skus.map((books) => [books.sku, unitsOf(books)]));

function specOf({ sale, opens, ends, perBuyer, units }: Plan): SaleSpec {
  const skus = Object.entries(units).map(([sku, numbers]) => ({ sku, product: 'p', ...numbers }));
  const opening = { draft: {}, later: { opensInMs: FAR_MS }, now: { opensInMs: 0 } }[opens];
  const terms = { title: 'Model', currency: 'EUR', perBuyer, holdMs: HOLD_MS };
  return { id: sale, ...terms, ...opening, ...(ends ? { durationMs: FAR_MS } : {}), skus };
}

/** Returns the code of a refusal, or `ok` with what the model returns too. */
const resultOf = <T>(result: Result<T>, view: (value: T) => Omit<StepResult, 'code'>): StepResult =>
  result.ok ? { code: 'ok', ...view(result.value) } : { code: result.error.code };

const saleResult = (result: Result<SaleBooks>): StepResult =>
  resultOf(result, (sale) => ({ sale: { state: sale.state, books: booksOf(sale) } }));
