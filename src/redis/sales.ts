/**
 * Sales: plan, read, move. The rules of shape are checked here, the rules of state inside the
 * scripts.
 */

import type { CommandMeta } from '../domain/command.ts';
import type { SaleBooks, SaleMove, SaleSpec, SaleStore } from '../domain/sale.ts';
import { checkSaleMove, checkSaleSpec } from '../domain/sale.ts';
import { LIMITS } from '../limits.ts';
import { type Failure, fail, failure, ok, type Result } from '../protocol/codes.ts';
import { type SaleRecord, type StockRecord, saleBooks, unpack } from './records.ts';
import type { ScriptReply } from './scripts.ts';
import { bytesOf, isErrorCode, type ScriptSession, textOf } from './session.ts';
import { bodyHash } from './shows.ts';

const CANCEL_SLICE = LIMITS.sweepSliceMax;

/** Details travel packed; the moments in them become advice on when to come back. */
/** Lua writes details without fields as an empty array. */
export function refusal(code: string, details: unknown): Failure {
  if (!isErrorCode(code)) return failure('internal');
  const plain = Array.isArray(details) ? {} : (details as Record<string, unknown>);
  const { opensAt, now } = plain as { opensAt?: number; now?: number };
  const wait =
    code === 'sale_not_open' && opensAt && now
      ? { retryAfterMs: Math.max(0, opensAt - now) }
      : code === 'sale_paused'
        ? { retryAfterMs: 1_000 }
        : {};
  return failure(code, undefined, { ...wait, details: plain });
}

export class Sales implements SaleStore {
  readonly #session: ScriptSession;

  constructor(session: ScriptSession) {
    this.#session = session;
  }

  async createSale(showId: string, spec: SaleSpec, command: CommandMeta): Promise<Result<SaleBooks>> {
    const wrong = checkSaleSpec(spec, this.#session.link.clock.now());
    if (wrong) return { ok: false, error: wrong };
    const live = await this.#markLive(showId);
    if (!live.ok) return live;
    const { skus, ...rest } = spec;
    const reply = await this.#session.run('sale_create', showId, {
      ...rest,
      // A repeat with the same key must name the same sale even where the caller left the id to us.
      id: spec.id ?? `sale-${bodyHash([showId, command.actor, command.key]).slice(0, 12)}`,
      perBuyer: spec.perBuyer ?? 1,
      holdMs: spec.holdMs ?? LIMITS.holdDefaultMs,
      skus: skus.map(({ sku, product, price, quantity, perBuyer }) => [sku, product, price, quantity, perBuyer ?? 0]),
      key: command.key,
      actor: command.actor,
      body: bodyHash(['create', spec]),
    });
    if (!reply.ok) return reply;
    // Once more: a tick that found nothing left to do may have taken the show out of the index
    // between the first mark and the script.
    await this.#markLive(showId);
    return this.#answer(reply.value, command);
  }

  listSales(showId: string): Promise<Result<SaleBooks[]>> {
    return this.#books(showId, []);
  }

  async #books(showId: string, sale: [] | [id: string]): Promise<Result<SaleBooks[]>> {
    const reply = await this.#session.run('audit', showId, sale);
    return reply.ok
      ? ok(booksOf(reply.value[1] as Buffer[], reply.value[2] as Buffer[], Number(textOf(reply.value[3]))))
      : reply;
  }

  async getSale(showId: string, saleId: string): Promise<Result<SaleBooks>> {
    const found = await this.#books(showId, [saleId]);
    if (!found.ok) return found;
    const [sale] = found.value;
    return sale ? ok(sale) : fail('sale_not_found');
  }

  async moveSale(showId: string, saleId: string, move: SaleMove, command: CommandMeta): Promise<Result<SaleBooks>> {
    const wrong = checkSaleMove(move, this.#session.link.clock.now());
    if (wrong) return { ok: false, error: wrong };
    const live = await this.#markLive(showId);
    if (!live.ok) return live;
    const reply = await this.#session.run('sale_move', showId, {
      ...move,
      id: saleId,
      key: command.key,
      actor: command.actor,
      body: bodyHash([saleId, move]),
    });
    if (!reply.ok) return reply;
    await this.#markLive(showId);
    const answer = this.#answer(reply.value, command);
    if (!answer.ok || move.op !== 'cancel') return answer;
    const released = await this.#releaseAll(showId, saleId, command.actor);
    return released.ok ? ok(withoutHolds(answer.value)) : released;
  }

  /**
   * Ends every sale of the show that is not over; open holds may still be confirmed until they
   * lapse.
   */
  async endAll(showId: string, actor: string): Promise<Result<null>> {
    const sales = await this.listSales(showId);
    if (!sales.ok) return sales;
    for (const sale of sales.value) {
      if (sale.state === 'ended' || sale.state === 'cancelled') continue;
      const ended = await this.moveSale(showId, sale.id, { op: 'end' }, { key: `end-show:${sale.id}`, actor });
      if (!ended.ok && ended.error.code !== 'illegal_move') return ended;
    }
    return ok(null);
  }

  #answer([, tag, packed]: ScriptReply, command: CommandMeta): Result<SaleBooks> {
    const word = textOf(tag);
    if (word !== '+' && word !== '=') return { ok: false, error: refusal(word, unpack(bytesOf(packed))) };
    if (word === '=') command.onReplayed?.();
    const [sale, stock, rev] = unpack<[SaleRecord, StockRecord[], number]>(bytesOf(packed));
    return ok(saleBooks(sale, stock, rev));
  }

  /**
   * The index of shows that time may touch; jobs take a show out again when nothing is left to do.
   */
  #markLive(showId: string): Promise<Result<unknown>> {
    return this.#session.guard(() => this.#session.link.client.sadd(this.#session.keys.live, showId));
  }

  /**
   * A cancelled sale accepts no confirm from the moment of the move; its holds are then released in
   * slices, so that no script runs long. Should this stop half-way, the rest lapse at their
   * deadlines.
   */
  async #releaseAll(showId: string, saleId: string, actor: string): Promise<Result<null>> {
    const { client } = this.#session.link;
    const key = this.#session.keys.show(showId).of.due;
    let cursor = '0';
    do {
      const scanned = await this.#session.guard(() => client.zscan(key, cursor, 'COUNT', 500));
      if (!scanned.ok) return scanned;
      const [next, entries] = scanned.value;
      cursor = next;
      // Members and scores in turns. Whatever else falls due has a colon behind its first letter
      // (clockwork.lua).
      const ids = entries.filter((member, i) => i % 2 === 0 && member[1] !== ':');
      for (let from = 0; from < ids.length; from += CANCEL_SLICE) {
        const reply = await this.#session.run('release_slice', showId, {
          sale: saleId,
          ids: ids.slice(from, from + CANCEL_SLICE),
          actor,
        });
        if (!reply.ok) return reply;
      }
    } while (cursor !== '0');
    return ok(null);
  }
}

/**
 * The recorded books of a cancelled sale are those of the move; its holds can only end free.
 * Computed, so that a repeat reads the same.
 */
const withoutHolds = (books: SaleBooks): SaleBooks => ({
  ...books,
  skus: books.skus.map((sku) => ({ ...sku, available: sku.available + sku.held, held: 0 })),
});

export function booksOf(stockFlat: readonly Buffer[], saleRecords: readonly Buffer[], rev: number): SaleBooks[] {
  const stock = new Map<string, StockRecord>();
  for (let i = 0; i + 1 < stockFlat.length; i += 2)
    stock.set((stockFlat[i] as Buffer).toString(), unpack<StockRecord>(stockFlat[i + 1] as Buffer));
  return saleRecords
    .map((bytes) => unpack<SaleRecord>(bytes))
    .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
    .map((sale) =>
      saleBooks(
        sale,
        sale.skus.map((sku) => stock.get(`${sale.id}/${sku}`) as StockRecord),
        rev,
      ),
    );
}
