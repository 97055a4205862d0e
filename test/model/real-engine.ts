/** Runs the steps of the model on the real scripts, and reads the books afterwards. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { BuyerHoldings, Decision } from '../../src/domain/reservation.ts';
import type { SaleBooks, SaleSpec } from '../../src/domain/sale.ts';
import type { WaitlistResult } from '../../src/domain/waitlist.ts';
import type { Result } from '../../src/protocol/codes.ts';
import type { Item, ReservationView } from '../../src/protocol/messages.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import type { TimeControl } from '../support/time-control.ts';
import type { EngineModel } from './engine-model.ts';
import { type Books, type Handle, HOLD_MS, type Plan, type Step, type StepResult } from './steps.ts';

const HOST = 'host:model';
const FAR_MS = 600_000;

export interface Observed {
  sales: SaleBooks[];
  holdings: Array<BuyerHoldings & { user: string }>;
}

export class RealEngine {
  readonly show: string;
  readonly ids = new Map<Handle, string>();
  readonly #time: TimeControl;
  readonly #users: readonly string[];

  constructor(show: string, time: TimeControl, users: readonly string[]) {
    this.show = show;
    this.#time = time;
    this.#users = users;
  }

  async apply(step: Step, store: ConnectedStore): Promise<StepResult[]> {
    const { show } = this;
    switch (step.do) {
      case 'create':
        return [saleResult(await store.createSale(show, specOf(step.plan), { key: step.key, actor: HOST }))];
      case 'move':
        return [saleResult(await store.moveSale(show, step.sale, step.move, { key: step.key, actor: HOST }))];
      case 'reserve': {
        const decisions = await store.reserve(show, step.asks);
        return decisions.map((decision, i) => this.#reserved(`r:${step.asks[i]?.user}:${step.asks[i]?.key}`, decision));
      }
      case 'confirm':
        return [
          this.#finished(
            step.of,
            await store.confirm(
              show,
              { reservation: this.#id(step.of), orderRef: step.orderRef, amount: step.amount },
              { key: step.key, actor: HOST },
            ),
          ),
        ];
      case 'release': {
        const who = step.by === null ? { actor: HOST } : { actor: `user:${step.by}`, user: step.by };
        return [this.#finished(step.of, await store.release(show, this.#id(step.of), { key: step.key, ...who }))];
      }
      case 'extend':
        return [
          this.#finished(
            step.of,
            await store.extendHold(
              show,
              { reservation: this.#id(step.of), byMs: step.byMs },
              { key: step.key, actor: HOST },
            ),
          ),
        ];
      case 'join':
      case 'leave':
        return [
          waitlistResult(
            await store.waitlist(show, {
              op: step.do,
              user: step.user,
              key: step.key,
              sale: step.sale,
              sku: step.sku,
              qty: step.qty,
            }),
          ),
        ];
      case 'tick': {
        const ticked = await store.tick(show);
        return [{ code: ticked.ok ? 'ok' : ticked.error.code }];
      }
      case 'failover':
        await this.#time.changeServer(show);
        return [await this.#recovered(store)];
      case 'expire':
        await this.#time.passDeadline(show, this.#id(step.of));
        return [];
      case 'arrive':
        await this.#time.passMoment(show, step.sale, step.moment);
        return [];
    }
  }

  async observe(store: ConnectedStore): Promise<Observed> {
    const [sales, holdings] = await Promise.all([store.listSales(this.show), store.holdingsOf(this.show, this.#users)]);
    if (!sales.ok || !holdings.ok) throw new Error('the books cannot be read');
    return {
      sales: sales.value,
      holdings: holdings.value.map((holding, i) => ({ user: this.#users[i] ?? '', ...holding })),
    };
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
    if (!decision.ok) return { code: decision.error.code };
    const { reservation, replayed } = decision.value;
    const known = this.ids.get(of);
    if (known !== undefined && known !== reservation.id)
      return { code: `${of} was ${known} and is now ${reservation.id}` };
    this.ids.set(of, reservation.id);
    return { code: 'ok', replayed, reservation: shown(of, reservation) };
  }

  #finished(of: Handle, decision: Result<Decision>): StepResult {
    if (!decision.ok) return { code: decision.error.code };
    const { reservation, replayed } = decision.value;
    if (reservation.id !== this.#id(of)) return { code: `the result names ${reservation.id}` };
    return { code: 'ok', replayed, reservation: shown(of, reservation) };
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
    compare(`books of ${sale.id}`, sortedByKey(model.books(sale.id)), sortedByKey(booksOf(sale)));
    problems.push(...conservation(sale));
  }
  for (const { user, reservations, waits } of holdings) {
    learnOffers(model, user, reservations, ids);
    const known = new Map([...ids].map(([handle, id]) => [id, handle]));
    const expected = Object.entries(model.reservations).filter(
      ([, r]) => r?.user === user && (r.state === 'held' || r.state === 'confirmed'),
    );
    compare(
      `what ${user} holds and owns`,
      expected
        .map(([of, r]) => [
          of,
          r?.sale,
          r?.state,
          r?.lines,
          r?.amount,
          r?.state === 'confirmed' ? r.orderRef : undefined,
          of.startsWith('w'),
        ])
        .sort(byText),
      reservations
        .map(({ id, sale, state, lines, amount, orderRef, offer }) => [
          known.get(id) ?? id,
          sale,
          state,
          lines,
          amount,
          orderRef,
          offer === true,
        ])
        .sort(byText),
    );
    const positions = Object.entries(model.sales).flatMap(([sale, { state, waitlist }]) =>
      waitlist
        .filter((wait) => wait.user === user && state !== 'ended' && state !== 'cancelled')
        .map((wait) => {
          const bySku = waitlist.filter(({ sku }) => sku === wait.sku);
          return [sale, wait.sku, wait.qty, bySku.indexOf(wait) + 1];
        }),
    );
    compare(
      `the positions of ${user}`,
      positions.sort(byText),
      waits.map(({ sale, sku, qty, place }) => [sale, sku, qty, place]).sort(byText),
    );
    problems.push(...limits(user, reservations, sales));
  }
  return problems;
}

/** Finds the ids of new offers: by buyer, sale and items. */
function learnOffers(
  model: EngineModel,
  user: string,
  reservations: readonly ReservationView[],
  ids: Map<Handle, string>,
): void {
  const known = new Set(ids.values());
  for (const view of reservations) {
    if (!view.offer || known.has(view.id)) continue;
    const found = (Object.keys(model.reservations) as Handle[]).find((handle) => {
      const r = model.reservations[handle];
      return (
        handle.startsWith('w') &&
        !ids.has(handle) &&
        r?.user === user &&
        r.sale === view.sale &&
        JSON.stringify(r.lines) === JSON.stringify(view.lines)
      );
    });
    if (found) ids.set(found, view.id);
  }
}

/** I1, from the real books alone. */
function conservation({ id, skus }: SaleBooks): string[] {
  return skus.flatMap(({ sku, allocated, available, held, sold, withdrawn }) =>
    Math.min(available, held, sold, withdrawn) < 0 || available + held + sold + withdrawn !== allocated
      ? [`I1 broken: ${id}/${sku}`]
      : [],
  );
}

/** I2, from the real reservations alone. */
function limits(user: string, reservations: readonly ReservationView[], sales: readonly SaleBooks[]): string[] {
  return sales.flatMap(({ id, perBuyer, skus }) => {
    const lines = reservations.filter(({ sale }) => sale === id).flatMap(({ lines }) => lines);
    const units = (sku?: string): number =>
      lines.reduce((sum, line) => sum + (sku === undefined || sku === line.sku ? line.qty : 0), 0);
    const over =
      units() > perBuyer || skus.some((books) => books.perBuyer !== undefined && units(books.sku) > books.perBuyer);
    return over ? [`I2 broken: ${user} has ${units()} units in ${id}`] : [];
  });
}

const byText = (a: unknown, b: unknown): number => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1);
const sortedByKey = <T>(record: Record<string, T>): Array<[string, T]> => Object.entries(record).sort(byText);
const booksOf = ({ skus }: SaleBooks): Record<string, Books> =>
  Object.fromEntries(
    skus.map(({ sku, allocated, available, held, sold, withdrawn }) => [
      sku,
      { allocated, available, held, sold, withdrawn },
    ]),
  );

function specOf({ sale, opens, ends, perBuyer, units }: Plan): SaleSpec {
  const skus = Object.entries(units).map(([sku, numbers]) => ({ sku, product: 'p', ...numbers }));
  const opening = { draft: {}, later: { opensInMs: FAR_MS }, now: { opensInMs: 0 } }[opens];
  return {
    id: sale,
    title: 'Model',
    currency: 'EUR',
    perBuyer,
    holdMs: HOLD_MS,
    ...opening,
    ...(ends ? { durationMs: FAR_MS } : {}),
    skus,
  };
}

function saleResult(result: Result<SaleBooks>): StepResult {
  return result.ok
    ? { code: 'ok', sale: { state: result.value.state, books: booksOf(result.value) } }
    : { code: result.error.code };
}

function waitlistResult(result: Result<WaitlistResult>): StepResult {
  return result.ok
    ? { code: 'ok', replayed: result.value.replayed, place: result.value.place, waiting: result.value.waiting }
    : { code: result.error.code };
}

function shown(
  of: Handle,
  { state, lines, amount, orderRef }: ReservationView,
): NonNullable<StepResult['reservation']> {
  return { of, state, lines: sortedLines(lines), amount, ...(orderRef === undefined ? {} : { orderRef }) };
}
const sortedLines = (lines: readonly Item[]): Item[] => [...lines].sort((a, b) => (a.sku < b.sku ? -1 : 1));
