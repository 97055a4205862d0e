/**
 * Plans a show with its products and sales. The header has the field `filling` until the last one
 * is there ("A show is planned in steps" in src/README.md).
 */
import type { SaleStore } from '../domain/sale.ts';
import type { ShowSpec } from '../domain/show.ts';
import {
  checkShowPlan,
  copyOf,
  type LeftOut,
  type PlannedShow,
  type ShowContents,
  type ShowPlanStore,
} from '../domain/show-plan.ts';
import { fail, failure, ok, type Result } from '../protocol/codes.ts';
import { bodyHash } from './body-hash.ts';
import { booksOf, readSale } from './records.ts';
import { mapped, type ScriptRunner } from './script-runner.ts';
import type { Shows } from './shows.ts';

/** A step that was made before. `idempotency_conflict`: from a source that has changed since. */
const MADE_BEFORE: readonly string[] = ['already_exists', 'idempotency_conflict'];
const ARCHIVED =
  'The show is archived: Redis has its summary only, so its products and sales cannot be cloned. Clone a show before ' +
  'it is archived, or keep a planned show as the template.';

export function createShowPlans(
  runner: ScriptRunner,
  shows: Shows,
  saleStore: Pick<SaleStore, 'createSale'>,
  holdMaxMs: number,
): ShowPlanStore {
  const now = (): number => runner.connection.clock.now();

  async function fill(
    spec: ShowSpec & { id: string },
    { products = [], sales = [] }: ShowContents,
    body: unknown,
    actor: string,
  ): Promise<Result<PlannedShow>> {
    const created = await shows.createFilling(spec, body);
    if (!created.ok) return created;
    const { show, isFilling } = created.value;
    const planned: PlannedShow = { show, sales: [] };
    if (!isFilling) return ok(planned);
    for (const product of products) {
      const saved = await shows.putProduct(show.id, product, actor);
      if (!saved.ok) return saved;
    }
    for (const [i, sale] of sales.entries()) {
      const id = sale.id ?? `sale-${bodyHash([show.id, i]).slice(0, 12)}`;
      const made = await saleStore.createSale(show.id, { ...sale, id }, { key: `fill:${id}`, actor });
      if (made.ok) planned.sales.push(made.value);
      else if (!MADE_BEFORE.includes(made.error.code)) return made;
    }
    const done = await runner.guard((client) => client.hdel(runner.keysOf(show.id).show, 'filling'));
    return mapped(done, () => planned);
  }

  return {
    async planShow(spec, contents, actor) {
      const wrong = checkShowPlan(spec, contents, now(), holdMaxMs);
      return wrong ? { ok: false, error: wrong } : fill(spec, contents, [spec, contents], actor);
    },

    async cloneShow(showId, clone, actor) {
      const source = await shows.getShow(showId);
      if (!source.ok) return source.error.code === 'show_archived' ? fail('show_archived', ARCHIVED) : source;
      const { scheduleSales, startsAt = null } = clone;
      if (scheduleSales && (startsAt === null || source.value.startsAt === null)) {
        const path = '/startsAt';
        const message =
          startsAt === null ? 'Give it: the sales are planned relative to it.' : `The show ${showId} has no startsAt.`;
        const details = { errors: [{ path, message }] };
        return { ok: false, error: failure('invalid_request', `${path}: ${message}`, { details }) };
      }
      const unreadable: LeftOut[] = [];
      const leaveOut = (what: Omit<LeftOut, 'reason'>) => unreadable.push({ reason: 'unreadable', ...what });
      const products = await shows.listProducts(showId, (product) => leaveOut({ product }));
      if (!products.ok) return products;
      const audit = await runner.run('audit', showId, []);
      if (!audit.ok) return audit;
      const [, stock, records] = audit.value as [unknown, Buffer[], Buffer[]];
      const books = booksOf(stock, records, 0, (_what, sale) => leaveOut(sale === undefined ? {} : { sale }), true);
      const kept = new Set(books.map(({ id }) => id));
      const durations = new Map(
        records.flatMap((bytes) => {
          const read = runner.decoded(runner.keysOf(showId).sales, ok(bytes), readSale);
          return read.ok && kept.has(read.value.id) ? [[read.value.id, read.value.durationMs] as const] : [];
        }),
      );
      const sales = books.map((sale) => ({ ...sale, durationMs: durations.get(sale.id) }));
      const limits = { nowMs: now(), holdMaxMs };
      const copy = copyOf(source.value, { products: products.value, sales }, clone, limits);
      const wrong = checkShowPlan(copy.spec, copy.contents, now(), holdMaxMs);
      if (wrong) return { ok: false, error: wrong };
      // Not of the copy: the source may change between a request and its repeat.
      const filled = await fill(copy.spec, copy.contents, ['clone', showId, clone], actor);
      const { contents } = copy;
      return mapped(filled, (planned) => ({ ...planned, contents, leftOut: [...unreadable, ...copy.leftOut] }));
    },
  };
}
