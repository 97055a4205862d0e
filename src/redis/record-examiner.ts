/** Checks the records of a show without a server, as `verify` checks them on one. */
import { compareBooks, LedgerReplay } from '../domain/ledger.ts';
import { ID_PATTERN } from '../domain/mistakes.ts';
import type { ExaminedShow, MovableState, RawRecord, RecordExaminer, RecordPage } from '../domain/transfer.ts';
import type { Product } from '../protocol/messages.ts';
import { isNewer } from './formats.ts';
import type { ShowKey } from './keys.ts';
import { applyAll, stateOf } from './ledger-auditor.ts';
import { bytesIn, isRecordOf, MOVED_KEYS } from './moved-keys.ts';
import { booksOf, type ShowRecord, unpack } from './records.ts';
import { decodeEvents } from './relay.ts';

const STATES: readonly string[] = ['planned', 'ended', 'archived'] satisfies MovableState[];
const COUNTERS = ['created', 'offset', 'rev', 'ver', 'live_sales'] as const;
const ID = new RegExp(ID_PATTERN);

/** Returns the id of the show. Throws if the record cannot be read. */
function showIdOf(view: string | undefined): string {
  const { id } = unpack<ShowRecord>(bytesIn(view));
  if (typeof id !== 'string' || !ID.test(id)) throw new Error();
  return id;
}

export function createRecordExaminer(): RecordExaminer {
  const replay = new LedgerReplay();
  const header = new Map<string, string>();
  const states = new Map<string, string>();
  const stock: Buffer[] = [];
  const sales: Buffer[] = [];
  const found = new Set<string>();
  let lastEvent: number | null = null;

  function addEvent(id: string, bytes: Buffer): void {
    const offset = Number.parseInt(id, 10);
    // The log is trimmed at its start, and has no gap.
    if (lastEvent !== null && offset !== lastEvent + 1) replay.violate(`event ${lastEvent + 1} is missing`);
    lastEvent = offset;
    try {
      if (decodeEvents(bytes)[0]?.offset === offset) return;
    } catch {
      // Reported like another event.
    }
    replay.violate(`event ${offset} cannot be read`);
  }

  function addProduct(id: string, bytes: Buffer): void {
    try {
      if (unpack<Product>(bytes).id === id) return;
    } catch {
      // Reported like another product.
    }
    replay.violate(`product ${id} cannot be read`);
  }

  const add: Readonly<Partial<Record<string, (id: string, bytes: Buffer, record: RawRecord) => void>>> = {
    show: (field, _bytes, [, value = '']) => void header.set(field, value),
    products: addProduct,
    sales: (_id, bytes) => void sales.push(bytes),
    stock: (field, bytes) => void stock.push(bytesIn(field), bytes),
    reservations: (id, bytes) => void states.set(id, stateOf(bytes)),
    log: (id, _bytes, record) => addEvent(id, bytesIn(record[2])),
    ledger: (id, _bytes, record) => applyAll(replay, bytesIn(record[2]), id),
  };

  /** Throws if the header is not that of a show. */
  function readHeader(): Pick<ExaminedShow, 'show' | 'state' | 'createdAt'> {
    const state = header.get('state') ?? '';
    const isArchived = state === 'archived';
    if (isNewer(header.get('format'))) throw new Error('a newer release has written the show: import it there');
    const counters = isArchived ? ['created'] : COUNTERS;
    try {
      const isWhole = counters.every((name) => Number.isSafeInteger(Number.parseInt(header.get(name) ?? '', 10)));
      if (!STATES.includes(state) || !isWhole || !header.has(isArchived ? 'archive' : 'body')) throw new Error();
      const show = showIdOf(header.get('view'));
      return { show, state: state as MovableState, createdAt: Number(header.get('created')) };
    } catch (cause) {
      throw new Error('the record of the show cannot be read', { cause });
    }
  }

  function compare(): void {
    const books = booksOf(stock, sales, 0, (what, saleId) => replay.violate(`${what} cannot be read`, saleId));
    for (const problem of compareBooks(replay, books)) replay.violate(problem);
    for (const [id, state] of states) {
      const replayed = replay.reservations.get(id)?.state;
      if (state !== replayed) replay.violate(`reservation ${id} is ${state}, by the ledger ${replayed}`);
    }
    for (const [id, { state }] of replay.reservations)
      if (!states.has(id)) replay.violate(`reservation ${id} is missing, by the ledger ${state}`);
    const offset = Number(header.get('offset'));
    if (lastEvent !== offset) replay.violate(`the last event is ${lastEvent}, by the show ${offset}`);
  }

  return {
    add({ key, records }: RecordPage) {
      const type = MOVED_KEYS[key as ShowKey];
      if (type === undefined) throw new Error(`${JSON.stringify(key).slice(0, 40)} is no key of a show`);
      for (const record of records) {
        if (!isRecordOf(type, record)) throw new Error(`a record of ${key} has another shape`);
        add[key]?.(bytesIn(record[0]).toString(), bytesIn(record[1]), record);
      }
      if (records.length > 0) found.add(key);
    },

    finish() {
      const show = readHeader();
      if (show.state !== 'archived') compare();
      const isLive = show.state !== 'archived' && (found.has('due') || Number(header.get('live_sales')) > 0);
      return { ...show, isLive, entries: replay.entries, violations: [...new Set(replay.violations)] };
    },
  };
}
