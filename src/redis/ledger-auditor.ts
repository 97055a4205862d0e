/** Replays a show's ledger and compares the result with the live books. */
import type { Auditor, Reconciliation, Verification } from '../domain/audit.ts';
import { compareBooks, drift, LedgerReplay } from '../domain/ledger.ts';
import type { SkuBooks } from '../domain/sale.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { booksOf, unpackLedger, unpackReservation } from './records.ts';
import { mapped, type ScriptRunner, textOf } from './script-runner.ts';

const PAGE_ENTRIES = 500;
const CHECK_SLICE = 500;
const RECHECKS_MAX = 3;
const REPAIR_TRIES_MAX = 5;

interface Audit {
  readonly replay: LedgerReplay;
  /** The newest ledger entry that belongs to the books. */
  readonly until: string;
  readonly verification: Verification;
}

/** The arguments of repair.lua for one SKU. */
type Repair = [sale: string, sku: string, ...counts: number[]];

function repairsOf(replay: LedgerReplay, sale: string, books: SkuBooks): Repair[] {
  const replayed = replay.sales.get(sale)?.skus.get(books.sku);
  if (!replayed || !drift(replay, sale, books)) return [];
  const { available, held, sold, withdrawn, allocated } = replayed;
  return [[sale, books.sku, available, held, sold, withdrawn, allocated]];
}

/** A damaged entry is a violation: what it moved is unknown, so no sale of the show is trusted. */
export function applyAll(replay: LedgerReplay, values: Buffer | readonly unknown[] | undefined, at: string): void {
  try {
    for (const entry of unpackLedger(values ?? [])) replay.apply(entry, at);
  } catch {
    replay.cannotRead(at);
  }
}

function stateOf(bytes: Buffer): string {
  try {
    return unpackReservation(bytes).state;
  } catch {
    return 'unreadable';
  }
}

export function createLedgerAuditor(runner: ScriptRunner): Auditor {
  /** Replays the entries after `from` ('-' or '(id'). Returns where the next ones start. */
  async function replayFrom(
    showId: string,
    replay: LedgerReplay,
    from: string,
    until: string,
  ): Promise<Result<string>> {
    const key = runner.keysOf(showId).ledger;
    let position = from;
    for (;;) {
      const page = await runner.guard((client) => client.xrangeBuffer(key, position, until, 'COUNT', PAGE_ENTRIES));
      if (!page.ok) return page;
      for (const [id, fields] of page.value as Array<[Buffer, Buffer[]]>) {
        applyAll(replay, fields[1], String(id));
        position = `(${id}`;
      }
      if (page.value.length < PAGE_ENTRIES) return ok(position);
    }
  }

  /** Returns the reservations whose record differs from the ledger, with the reason. */
  async function differences(
    showId: string,
    replay: LedgerReplay,
    ids: readonly string[],
  ): Promise<Result<Map<string, string>>> {
    const key = runner.keysOf(showId).reservations;
    const reasons = new Map<string, string>();
    for (let at = 0; at < ids.length; at += CHECK_SLICE) {
      const slice = ids.slice(at, at + CHECK_SLICE);
      const read = await runner.guard((client) => client.hmgetBuffer(key, ...slice));
      if (!read.ok) return read;
      for (const [i, id] of slice.entries()) {
        const bytes = read.value[i];
        const state = bytes ? stateOf(bytes) : 'missing';
        const replayed = replay.reservations.get(id)?.state;
        if (state !== replayed) reasons.set(id, `reservation ${id} is ${state}, by the ledger ${replayed}`);
      }
    }
    return ok(reasons);
  }

  /** The show may change meanwhile: differences are checked again after the newer entries. */
  async function checkReservations(showId: string, replay: LedgerReplay, from: string): Promise<Result<null>> {
    let ids = [...replay.reservations.keys()];
    let position = from;
    for (let round = 0; ; round++) {
      const found = await differences(showId, replay, ids);
      if (!found.ok) return found;
      if (found.value.size === 0) return ok(null);
      const more = await replayFrom(showId, replay, position, '+');
      if (!more.ok) return more;
      if (round === RECHECKS_MAX) {
        for (const reason of found.value.values()) replay.violate(reason);
        return ok(null);
      }
      ids = [...found.value.keys()];
      position = more.value;
    }
  }

  /**
   * Reads again what is wrong if the ledger was replaced meanwhile (lua/erase.lua): some pages name
   * an erased user, others the pseudonym.
   */
  async function audit(showId: string): Promise<Result<Audit>> {
    for (let attempt = 0; ; attempt++) {
      const before = await swapsOf(showId);
      const audited = await auditOnce(showId);
      if (!audited.ok || audited.value.verification.violations.length === 0 || attempt === RECHECKS_MAX) return audited;
      if ((await swapsOf(showId)) === before) return audited;
    }
  }

  async function swapsOf(showId: string): Promise<string | null> {
    const read = await runner.guard((client) => client.hget(runner.keysOf(showId).show, 'swaps'));
    return read.ok ? read.value : null;
  }

  async function auditOnce(showId: string): Promise<Result<Audit>> {
    // Books and ledger position are read in one step; the ledger up to there can be read later.
    const live = await runner.run('audit', showId, []);
    if (!live.ok) return live;
    const replay = new LedgerReplay();
    const unreadable: Array<[what: string, saleId: string | undefined]> = [];
    const [, stock, records] = live.value as [unknown, Buffer[], Buffer[]];
    const sales = booksOf(stock, records, 0, (what, saleId) => unreadable.push([what, saleId]));
    const until = textOf(live.value[0]);
    const read = until === '' ? ok('-') : await replayFrom(showId, replay, '-', until);
    if (!read.ok) return read;
    for (const [what, saleId] of unreadable) replay.violate(`${what} cannot be read`, saleId);
    const known = new Set(sales.map(({ id }) => id));
    for (const id of replay.sales.keys()) if (!known.has(id)) replay.suspect(id);
    for (const problem of compareBooks(replay, sales)) replay.violate(problem);
    const checked = await checkReservations(showId, replay, read.value);
    if (!checked.ok) return checked;
    const { entries, reservations, refusals, localRefusals, violations } = replay;
    const verification = {
      show: showId,
      ...{ entries, reservations: reservations.size, refusals, localRefusals },
      sales: sales.map(({ id, skus }) => ({ id, skus })),
      violations,
    };
    return ok({ replay, until, verification });
  }

  const verify = async (showId: string): Promise<Result<Verification>> =>
    mapped(await audit(showId), ({ verification }) => verification);

  /**
   * The books are the sum of the ledger. Books that differ from it (a manual write to Redis) are
   * repaired by compensating entries, if the ledger has not grown since it was read.
   */
  async function reconcile(showId: string, actor: string): Promise<Result<Reconciliation>> {
    for (let attempt = 0; attempt < REPAIR_TRIES_MAX; attempt++) {
      const audited = await audit(showId);
      if (!audited.ok) return audited;
      const { replay, until, verification } = audited.value;
      const untrusted = [...replay.suspects];
      const repairs = verification.sales
        .filter(({ id }) => !replay.suspects.has(id))
        .flatMap(({ id, skus }) => skus.flatMap((books) => repairsOf(replay, id, books)));
      if (repairs.length === 0) return ok({ ...verification, repaired: [], untrusted, unpaused: [] });
      const reply = await runner.run('repair', showId, [until, actor, repairs]);
      if (!reply.ok) return reply;
      if (Number(reply.value[1]) < 0) continue;
      const repaired = repairs.map(([id, sku]) => `${id}/${sku}`);
      return mapped(await verify(showId), (after) => ({ ...after, repaired, untrusted, unpaused: [] }));
    }
    return fail('overloaded', 'The show changes too fast to repair its books; pause its sales and try again.', {
      retryAfterMs: 1_000,
    });
  }

  return { verify, reconcile };
}
