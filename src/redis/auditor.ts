/** Reads a show's ledger and holds it against the live books. */

import type { Auditor, Reconciliation, Verification } from '../domain/audit.ts';
import type { Actor } from '../domain/command.ts';
import { compareBooks, drift, LedgerReplay } from '../domain/ledger.ts';
import type { SaleBooks, SkuBooks } from '../domain/sale.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { unpackLedger, unpackReservation } from './records.ts';
import { booksOf } from './sales.ts';
import { type ScriptSession, textOf } from './session.ts';

const PAGE_ENTRIES = 500;
const CHECK_SLICE = 500;
const RECHECKS_MAX = 3;
const REPAIR_TRIES_MAX = 5;

export class Ledgers implements Auditor {
  readonly #session: ScriptSession;

  constructor(session: ScriptSession) {
    this.#session = session;
  }

  async verify(showId: string): Promise<Result<Verification>> {
    const audit = await this.#audit(showId);
    return audit.ok ? ok(audit.value.verification) : audit;
  }

  /**
   * The ledger is the truth, the books are its sum. Books that drifted (somebody wrote to Redis by
   * hand) are brought back by compensating entries, provided nothing moved since the ledger was
   * read; a sale whose ledger contradicts itself is paused and left to a person.
   */
  async reconcile(showId: string, actor: Actor): Promise<Result<Reconciliation>> {
    for (let attempt = 0; attempt < REPAIR_TRIES_MAX; attempt++) {
      const audit = await this.#audit(showId);
      if (!audit.ok) return audit;
      const { replay, until, verification } = audit.value;
      const untrusted = [...replay.suspects];
      const drifted = verification.sales.flatMap(({ id, skus }) =>
        replay.suspects.has(id) ? [] : skus.flatMap((books) => repairOf(replay, id, books)),
      );
      if (drifted.length === 0) return ok({ ...verification, repaired: [], untrusted });
      const reply = await this.#session.run('repair', showId, [until, actor, drifted]);
      if (!reply.ok) return reply;
      if (Number(reply.value[1]) < 0) continue;
      const after = await this.verify(showId);
      return after.ok ? ok({ ...after.value, repaired: drifted.map(([id, sku]) => `${id}/${sku}`), untrusted }) : after;
    }
    return fail('overloaded', 'The show moves too fast to repair its books; pause its sales and try again.', {
      retryAfterMs: 1_000,
    });
  }

  async #audit(showId: string): Promise<Result<{ replay: LedgerReplay; until: string; verification: Verification }>> {
    // Books and ledger position are read in one step; the ledger is append-only, so it can be read
    // up to there at leisure.
    const live = await this.#session.run('audit', showId, []);
    if (!live.ok) return live;
    const sales = booksOf(live.value[1] as Buffer[], live.value[2] as Buffer[], 0);
    const replay = new LedgerReplay();
    const until = textOf(live.value[0]);
    const read = until === '' ? ok('-') : await this.#replay(showId, replay, '-', until);
    if (!read.ok) return read;
    for (const problem of compareBooks(replay, sales)) replay.violate(problem);
    const checked = await this.#checkReservations(showId, replay, read.value);
    if (!checked.ok) return checked;
    const verification = {
      show: showId,
      entries: replay.entries,
      reservations: replay.reservations.size,
      refusals: replay.refusals,
      localRefusals: replay.localRefusals,
      sales: sales.map(({ id, skus }: SaleBooks) => ({ id, skus })),
      violations: replay.violations,
    };
    return ok({ replay, until, verification });
  }

  /** @param from '-' or '(id'; answers the same for what comes next. */
  async #replay(showId: string, replay: LedgerReplay, from: string, until: string): Promise<Result<string>> {
    const key = this.#session.keys.show(showId).of.ledger;
    let position = from;
    for (;;) {
      const page = await this.#session.guard(() =>
        this.#session.link.client.xrangeBuffer(key, position, until, 'COUNT', PAGE_ENTRIES),
      );
      if (!page.ok) return page;
      for (const [id, fields] of page.value as Array<[Buffer, Buffer[]]>) {
        const at = id.toString();
        applyAll(replay, fields[1], at);
        position = `(${at}`;
      }
      if (page.value.length < PAGE_ENTRIES) return ok(position);
    }
  }

  /**
   * Every reservation record says what the ledger says. The show may run on meanwhile, so what
   * differs is looked at again after the new entries.
   */
  async #checkReservations(showId: string, replay: LedgerReplay, from: string): Promise<Result<null>> {
    const key = this.#session.keys.show(showId).of.reservations;
    let suspects = [...replay.reservations.keys()];
    let position = from;
    let reasons = new Map<string, string>();
    for (let round = 0; round <= RECHECKS_MAX && suspects.length > 0; round++) {
      reasons = new Map();
      for (let at = 0; at < suspects.length; at += CHECK_SLICE) {
        const ids = suspects.slice(at, at + CHECK_SLICE);
        const read = await this.#session.guard(() => this.#session.link.client.hmgetBuffer(key, ...ids));
        if (!read.ok) return read;
        ids.forEach((id, i) => {
          const bytes = read.value[i];
          const state = bytes ? unpackReservation(bytes).state : 'missing';
          const replayed = replay.reservations.get(id)?.state;
          if (state !== replayed) reasons.set(id, `reservation ${id} is ${state}, by the ledger ${replayed}`);
        });
      }
      suspects = [...reasons.keys()];
      if (suspects.length === 0) break;
      const more = await this.#replay(showId, replay, position, '+');
      if (!more.ok) return more;
      position = more.value;
    }
    for (const reason of reasons.values()) replay.violate(reason);
    return ok(null);
  }
}

/**
 * {sale, sku, available, held, sold, withdrawn, allocated by the ledger}, when the live books
 * differ from it.
 */
type Repair = [sale: string, sku: string, ...counts: number[]];

function repairOf(replay: LedgerReplay, sale: string, books: SkuBooks): Repair[] {
  const replayed = replay.sales.get(sale)?.skus.get(books.sku);
  if (!replayed || !drift(replay, sale, books)) return [];
  const { available, held, sold, withdrawn, allocated } = replayed;
  return [[sale, books.sku, available, held, sold, withdrawn, allocated]];
}

/**
 * A damaged entry is a finding, not a failure: what it moved is unknown, so no sale of the show can
 * be trusted.
 */
function applyAll(replay: LedgerReplay, bytes: Buffer | undefined, at: string): void {
  try {
    for (const entry of unpackLedger(bytes ?? Buffer.alloc(0))) replay.apply(entry, at);
  } catch {
    replay.cannotRead(at);
  }
}
