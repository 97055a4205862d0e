/** Sales: create, read, change. The scripts check the rules that depend on the show's state. */
import {
  checkSaleEdit,
  checkSaleMove,
  checkSaleSpec,
  type SaleBooks,
  type SaleSkuSpec,
  type SaleStore,
} from '../domain/sale.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { bodyHash } from './body-hash.ts';
import { commandReply } from './command-reply.ts';
import { booksOf, type OnUnreadable, readSale, type SaleRecord, type StockRecord, saleBooks } from './records.ts';
import { mapped, numberOf, type ScriptRunner } from './script-runner.ts';
import type { ScriptName, ScriptReply } from './scripts.ts';
import { nameLeftOut, otherType } from './unreadable.ts';

const RELEASE_SLICE = LIMITS.sweepSliceMax;
const SCAN_COUNT = 500;

export interface Sales extends SaleStore {
  /**
   * Ends all sales of a show that are not over. Open holds may still be confirmed. Logs those that
   * cannot be ended with their key, and returns `internal` when the others are.
   */
  endAll(showId: string, actor: string): Promise<Result<null>>;
}

/**
 * The recorded books of a cancelled sale are those of the move, while its holds are released after
 * it. Computed, so that a repeat returns the same.
 */
const withoutHolds = (books: SaleBooks): SaleBooks => ({
  ...books,
  skus: books.skus.map((sku) => ({ ...sku, available: sku.available + sku.held, held: 0 })),
});

const packedSku = ({ sku, product, price, quantity, perBuyer = 0 }: SaleSkuSpec) =>
  [sku, product, price, quantity, perBuyer] as const;

export function createSales(runner: ScriptRunner, holdMaxMs: number): Sales {
  /** Adds the show to the index of shows with something due; the jobs remove it again. */
  const markLive = (showId: string): Promise<Result<unknown>> => runner.write('SADD', runner.keys.live, showId);

  async function runCommand(
    name: ScriptName,
    showId: string,
    args: Record<string, unknown>,
    onReplayed: (() => void) | undefined,
  ): Promise<Result<SaleBooks>> {
    const live = await markLive(showId);
    if (!live.ok) return live;
    const reply = await runner.run(name, showId, args);
    if (!reply.ok) return reply;
    // Again: a tick may have removed the show from the index before the script ran.
    await markLive(showId);
    const { idem } = runner.keysOf(showId);
    const done = commandReply<[SaleRecord, StockRecord[], number]>(runner, idem, reply.value.slice(1), onReplayed);
    return runner.decoded(idem, done, ({ value }) => saleBooks(...value));
  }

  const booksIn = ([, stock, records, rev]: ScriptReply, onUnreadable?: OnUnreadable): SaleBooks[] =>
    booksOf(stock as Buffer[], records as Buffer[], numberOf(rev), onUnreadable, true);

  /**
   * Releases the holds of a cancelled sale, which accepts no confirm any more. In slices, so that
   * no script runs long. If this stops half-way, the others expire.
   */
  async function releaseHolds(showId: string, sale: string, actor: string): Promise<Result<null>> {
    let cursor = '0';
    do {
      const scanned = await runner.guard((client) =>
        client.zscan(runner.keysOf(showId).due, cursor, 'COUNT', SCAN_COUNT),
      );
      if (!scanned.ok) return scanned;
      const [next, entries] = scanned.value;
      cursor = next;
      // Members and scores alternate. Members with a colon are no holds (lua/lib/due.lua).
      const due = entries.filter((member, i) => i % 2 === 0 && member[1] !== ':');
      for (let from = 0; from < due.length; from += RELEASE_SLICE) {
        const ids = due.slice(from, from + RELEASE_SLICE);
        const reply = await runner.run('release_slice', showId, { sale, ids, actor });
        if (!reply.ok) return reply;
      }
    } while (cursor !== '0');
    return ok(null);
  }

  const sales: Sales = {
    async createSale(showId, spec, { key, actor, onReplayed }) {
      const wrong = checkSaleSpec(spec, runner.connection.clock.now(), holdMaxMs);
      if (wrong) return { ok: false, error: wrong };
      const args = {
        ...spec,
        // A repeated key must name the same sale.
        id: spec.id ?? `sale-${bodyHash([showId, actor, key]).slice(0, 12)}`,
        perBuyer: spec.perBuyer ?? 1,
        holdMs: spec.holdMs ?? LIMITS.holdDefaultMs,
        skus: spec.skus.map(packedSku),
        ...{ key, actor, body: bodyHash(['create', spec]) },
      };
      return runCommand('sale_create', showId, args, onReplayed);
    },

    async listSales(showId, onUnreadable) {
      const read = await runner.run('audit', showId, []);
      if (!read.ok) return read;
      let isComplete = true;
      const books = booksIn(read.value, () => {
        isComplete = false;
      });
      if (isComplete) return ok(books);
      // Drafts that were deleted can be read.
      const [, stock, records] = read.value;
      const readable = booksOf(stock as Buffer[], records as Buffer[], 0, () => {});
      const named = await nameLeftOut(runner, runner.keysOf(showId).sales, readable, onUnreadable);
      return mapped(named, () => books);
    },

    async getSale(showId, saleId) {
      const read = await runner.run('audit', showId, [saleId]);
      const found = runner.decoded(runner.keysOf(showId).sales, read, (reply) => booksIn(reply));
      if (!found.ok) return found;
      const [sale] = found.value;
      return sale ? ok(sale) : fail('sale_not_found');
    },

    async moveSale(showId, saleId, move, { key, actor, onReplayed }) {
      const wrong = checkSaleMove(move, runner.connection.clock.now());
      if (wrong) return { ok: false, error: wrong };
      const args = { ...move, id: saleId, key, actor, body: bodyHash([saleId, move]) };
      const moved = await runCommand('sale_move', showId, args, onReplayed);
      if (!moved.ok || move.op !== 'cancel') return moved;
      const released = await releaseHolds(showId, saleId, actor);
      return mapped(released, () => withoutHolds(moved.value));
    },

    async editSale(showId, saleId, edit, { key, actor, onReplayed }) {
      const wrong = checkSaleEdit(edit, runner.connection.clock.now(), holdMaxMs);
      if (wrong) return { ok: false, error: wrong };
      const { skus = [], addSkus = [], removeSkus = [] } = edit;
      const terms = skus.map(({ sku, price = false, quantity = false }) => [sku, price, quantity]);
      const lists = { skus: terms, addSkus: addSkus.map(packedSku), removeSkus };
      const args = { ...edit, ...lists, op: 'edit', id: saleId };
      return runCommand('sale_move', showId, { ...args, key, actor, body: bodyHash([saleId, edit]) }, onReplayed);
    },

    async deleteSale(showId, saleId, { key, actor, onReplayed }) {
      const args = { op: 'delete', id: saleId, key, actor, body: bodyHash([saleId, 'delete']) };
      return runCommand('sale_move', showId, args, onReplayed);
    },

    async endAll(showId, actor) {
      const { sales: key } = runner.keysOf(showId);
      const all = await runner.guard((client) => client.hgetallBuffer(key).catch(otherType(async () => null)));
      if (!all.ok) return all;
      if (Buffer.isBuffer(all.value)) return runner.unreadable(key, new Error('it has another type'));
      let result: Result<null> = ok(null);
      for (const [id, bytes] of Object.entries(all.value)) {
        const sale = runner.decoded(`${key} ${id}`, ok(bytes), readSale);
        const isOver = sale.ok && (sale.value.state === 'ended' || sale.value.state === 'cancelled');
        if (isOver) continue;
        const args = { id, op: 'end', key: `end-show:${id}`, actor, body: '', unrecorded: true };
        const ended = sale.ok ? await runCommand('sale_move', showId, args, undefined) : sale;
        if (ended.ok || ended.error.code === 'illegal_move') continue;
        if (ended.error.code !== 'internal') return ended;
        // The others end.
        result = sale.ok
          ? runner.unreadable(`${key} ${id}`, new Error('this record, or the stock of one of its SKUs'))
          : sale;
      }
      return result;
    },
  };
  return sales;
}
