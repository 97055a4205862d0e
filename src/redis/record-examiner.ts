/**
 * Checks the records of a show without a server: each one is what the engine writes, and together
 * they are what `verify` finds right. What cannot be decoded is damage that a show may have. It is
 * listed and moves as it is; any other value that the engine does not write is refused.
 */
import { compareBooks, LedgerReplay } from '../domain/ledger.ts';
import type { MovableState, RawRecord, RecordExaminer, RecordPage } from '../domain/transfer.ts';
import { LIMITS } from '../limits.ts';
import { isNewer } from './formats.ts';
import { hyperLogLogProblem } from './hyperloglog.ts';
import type { ShowKey } from './keys.ts';
import { applyAll, stateOf } from './ledger-auditor.ts';
import { MovedHeader } from './moved-header.ts';
import { bytesIn, isRecordOf, type KeyType, textIn, typeOfKey } from './moved-keys.ts';
import { booksOf, type SaleRecord, type ShowRecord, unpack, unpackAll } from './records.ts';
import type { ChatHead } from './relay.ts';
import { COUNT_MAX, cut, digits, isObject, type Shape } from './shapes.ts';
import * as shapes from './stored-shapes.ts';

const DAMAGES_MAX = 1000;
const ENTRY_ID = /^(\d{1,15})-(\d{1,15})$/;
/** o:<sale> opens, c: closes, s: sold out, w:<sale>/<sku> waitlist; or a hold (lua/lib/due.lua). */
const DUE = /^([ocs]:[A-Za-z0-9][\w-]{0,63}|w:[A-Za-z0-9][\w-]{0,63}\/[A-Za-z0-9][\w.-]{0,63}|[rw][\w-]{20})$/;
const DUE_AHEAD_MS = LIMITS.saleLeadTimeMaxMs + 2 * LIMITS.saleDurationMaxMs;

const isOver = ({ state }: SaleRecord): boolean => state === 'ended' || state === 'cancelled';

function fail(what: string): never {
  throw new Error(what);
}

/** Throws if the value of `what` has another shape. */
function check(what: string, shape: Shape, value: unknown): void {
  const wrong = shape(value);
  if (wrong !== null) fail(what + wrong);
}

/** Decodes a record. Throws if it is none: records are lists and objects. */
function decoded(bytes: Buffer, read: (bytes: Buffer) => unknown = unpack): unknown {
  const value = read(bytes);
  return Array.isArray(value) || isObject(value) ? value : fail('it is no record');
}

/** @param now the time of the Redis to which the show may move. */
export function createRecordExaminer(now: number): RecordExaminer {
  const latest = now + LIMITS.importClockAheadMs;
  const header = new MovedHeader(latest);
  const replay = new LedgerReplay();
  const states = new Map<string, string>();
  const stock: Buffer[] = [];
  const sales: Buffer[] = [];
  const damages: string[] = [];
  /** Names of records by key. Entries of streams come in order, so none comes twice. */
  const names = new Map<string, Set<string>>();
  const counts = new Map<string, number>();
  /** The last id of each stream. */
  const last = new Map<string, readonly [number, number]>();
  let lastEvent: number | null = null;
  let [liveSales, unreadableSales, lastChat, lastRemoved] = [0, 0, 0, 0];

  const damaged = (what: string): void => {
    if (damages.length < DAMAGES_MAX) damages.push(`${what} cannot be read`);
  };

  /** Returns the record, or null if it cannot be decoded. Throws if it is not what `shape` says. */
  function content<T>(what: string, bytes: Buffer, shape: Shape, read?: (bytes: Buffer) => unknown): T | null {
    let value: unknown;
    try {
      value = decoded(bytes, read);
    } catch {
      damaged(what);
      return null;
    }
    check(what, shape, value);
    return value as T;
  }

  /** As `content`. The record has the name of its field. */
  function named<T>(what: string, name: string, bytes: Buffer, shape: Shape, nameOf: (value: T) => string): T | null {
    const value = content<T>(`${what} ${cut(name)}`, bytes, shape);
    if (value !== null && nameOf(value) !== name) fail(`${what} ${cut(name)} is the record of ${cut(nameOf(value))}`);
    return value;
  }

  function addSale(id: string, bytes: Buffer): void {
    sales.push(bytes);
    const sale = named<SaleRecord>('sale', id, bytes, shapes.SALE, (record) => record.id);
    if (sale === null) unreadableSales += 1;
    else if (!isOver(sale)) liveSales += 1;
  }

  function addStock(field: string, bytes: Buffer): void {
    const [sale = '', sku = '', ...more] = field.split('/');
    check(`stock ${cut(field)}: its sale`, shapes.id, sale);
    check(`stock ${cut(field)}: its SKU`, more.length === 0 ? shapes.sku : shapes.id, more.length === 0 ? sku : '');
    stock.push(Buffer.from(field), bytes);
    content(`stock ${field}`, bytes, shapes.STOCK);
  }

  function addReservation(id: string, bytes: Buffer): void {
    check(`reservation ${cut(id)}: its id`, shapes.reservationId, id);
    states.set(id, stateOf(bytes));
    named<string[]>('reservation', id, bytes, shapes.RESERVATION, ([, own = '']) => own);
  }

  /** Throws unless an entry comes after the one before, and not after now. */
  function addEntry(key: string, id: string): number {
    const [, ms, seq] = ENTRY_ID.exec(id) ?? fail(`${key} ${cut(id)}: its id is not that of an entry`);
    const [at, n] = [Number(ms), Number(seq)];
    const before = last.get(key);
    if (before !== undefined && (at < before[0] || (at === before[0] && n <= before[1])))
      fail(`${key} ${id} comes after ${before.join('-')}`);
    last.set(key, [at, n]);
    if (key === 'log' && (at < 1 || n !== 0)) fail(`log ${id}: its id is not that of an event`);
    if (key !== 'log' && at > latest) fail(`${key} ${id}: its time has not come`);
    return at;
  }

  function addEvent(id: string, bytes: Buffer): void {
    const offset = addEntry('log', id);
    // The log is trimmed at its start, and has no gap.
    if (lastEvent !== null && offset !== lastEvent + 1) replay.violate(`event ${lastEvent + 1} is missing`);
    lastEvent = offset;
    const event = content<number[]>(`event ${offset}`, bytes, shapes.EVENT, unpackAll);
    if (event !== null && event[0] !== offset) fail(`event ${offset} is the record of event ${event[0]}`);
  }

  function addLedger(id: string, bytes: Buffer): void {
    addEntry('ledger', id);
    try {
      for (const entry of unpackAll(bytes)) decoded(bytes, () => entry);
    } catch {
      // Reported by the replay.
      return applyAll(replay, bytes, id);
    }
    for (const entry of unpackAll(bytes)) check(`ledger ${id}`, shapes.LEDGER, entry);
    applyAll(replay, bytes, id);
  }

  function addChat(id: string, [, , head = '', , items = '', , authors = '']: RawRecord): void {
    addEntry('chat', id);
    const what = `chat ${id}`;
    const users = content(`${what}, its authors`, bytesIn(authors), shapes.CHAT_AUTHORS);
    const found = content<ChatHead>(what, bytesIn(head), shapes.CHAT_HEAD);
    if (found === null || users === null) return;
    const [, , first, shown, taken, lastShown, authorBytes] = found;
    if (authorBytes !== authors.length)
      fail(`${what} has ${authors.length} bytes of authors, by its head ${authorBytes}`);
    if (first <= lastChat) fail(`${what} has message ${first} behind message ${lastChat}`);
    lastChat = first + taken - 1;
    let messages: unknown[];
    try {
      messages = unpackAll(bytesIn(items)).map((item) => decoded(bytesIn(''), () => item));
    } catch {
      return damaged(`${what}, its messages`);
    }
    if (messages.length !== shown || shown > taken || lastShown >= taken)
      fail(`${what} has ${messages.length} messages, by its head ${shown} of ${taken}`);
    let before = -1;
    for (const message of messages) {
      check(`${what}, a message`, shapes.CHAT_ITEM, message);
      const [index] = message as [number];
      if (index <= before || index >= taken) fail(`${what} has message ${index} behind message ${before} of ${taken}`);
      before = index;
    }
  }

  function addMember(key: 'due' | 'mutes' | 'removed' | 'waitlist', score: string, member: string): void {
    const what = `${key} ${cut(member)}`;
    const ahead = { due: DUE_AHEAD_MS, mutes: LIMITS.muteMaxMs, removed: 0, waitlist: 0 }[key];
    const max = key === 'removed' ? COUNT_MAX : key === 'waitlist' ? 0 : Math.floor(latest) + ahead;
    check(`${what}: its score`, digits(max), score);
    if (key === 'due' && !DUE.test(member)) fail(`${what} is nothing that becomes due`);
    if (key === 'mutes') check(what, shapes.user, member);
    if (key === 'waitlist') check(what, shapes.waitMember, member);
    if (key !== 'removed') return;
    if (member !== score) fail(`${what} has the score ${score}`);
    lastRemoved = Math.max(lastRemoved, Number(score));
  }

  function addCommand(key: string, field: string, bytes: Buffer): void {
    const [actor = '', own, ...more] = field.split('\0');
    const isName = own !== undefined && actor !== '' && Math.max(actor.length, own.length) <= 256 && more.length === 0;
    if (!isName) fail(`${key} ${cut(field)} is not the key of a command`);
    content(`${key} ${cut(field)}`, bytes, shapes.COMMAND);
  }

  function addField(field: string, value: string): void {
    check(`show, ${cut(field)}`, () => header.add(field, value), value);
  }

  function addRecord(key: string, record: RawRecord): void {
    const [first = '', second = ''] = record;
    if (key === 'uniques') return check('uniques', () => hyperLogLogProblem(bytesIn(first)), first);
    if (key === 'show') return addField(first, second);
    const [name, bytes] = [textIn(first) ?? fail(`${key} ${cut(first)} is no text`), bytesIn(second)];
    switch (key) {
      case 'products':
        return void named<{ id: string }>('product', name, bytes, shapes.PRODUCT, ({ id }) => id);
      case 'sales':
        return addSale(name, bytes);
      case 'stock':
        return addStock(name, bytes);
      case 'reservations':
        return addReservation(name, bytes);
      case 'buyers':
        check(`buyer ${cut(name)}`, shapes.user, name);
        return void content(`buyer ${cut(name)}`, bytes, shapes.BUYER);
      case 'log':
        return addEvent(name, bytesIn(record[2]));
      case 'ledger':
        return addLedger(name, bytesIn(record[2]));
      case 'chat':
        return addChat(name, record);
      case 'idem':
      case 'idem-old':
        return addCommand(key, name, bytes);
      case 'due':
      case 'mutes':
      case 'removed':
      case 'waitlist':
        return addMember(key, name, textIn(second) ?? fail(`${key} ${cut(second)} is no text`));
      default:
        fail(`${cut(key)} is no key of a show`);
    }
  }

  /** Returns whether a record of this name has not been there yet. */
  function isFresh(key: string, type: KeyType, record: RawRecord): boolean {
    const known = names.get(key) ?? new Set();
    names.set(key, known);
    const name = type === 'set' ? record[1] : type === 'text' ? '' : record[0];
    if (name === undefined || known.has(name)) return false;
    if (type !== 'stream') known.add(name);
    return true;
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
    const offset = header.number('offset');
    if (lastEvent !== offset) replay.violate(`the last event is ${lastEvent}, by the show ${offset}`);
    const live = header.number('live_sales');
    if (live < liveSales || live > liveSales + unreadableSales)
      fail(`show, live_sales is ${live}, and ${liveSales} sales are not over`);
    const chat = header.number('chat_last');
    if (chat < lastChat || chat < lastRemoved)
      fail(`show, chat_last is ${chat}, and there is message ${Math.max(lastChat, lastRemoved)}`);
  }

  return {
    add({ key, records }: RecordPage) {
      const type = typeOfKey(key) ?? fail(`${cut(key)} is no key of a show`);
      const fresh = records.filter((record) => {
        if (!isRecordOf(key, type, record)) fail(`a record of ${key} has another shape`);
        if (!record.every(({ length }) => length <= LIMITS.importValueBytesMax)) fail(`a record of ${key} is too long`);
        if (!isFresh(key, type, record)) return false;
        addRecord(key, record);
        return true;
      });
      const count = (counts.get(key) ?? 0) + fresh.length;
      counts.set(key, count);
      const max = shapes.RECORDS_MAX[key as ShowKey] ?? count;
      if (count > max) fail(`there are more than ${max} records of ${key}`);
      return { key, records: fresh };
    },

    finish() {
      if (isNewer(header.get('format'))) fail('a newer release has written the show: import it there');
      if (!names.has('show')) fail('the record of the show is missing');
      const problem = header.problem();
      if (problem !== null) fail(`show, ${problem}`);
      const state = header.get('state') as MovableState;
      const show = unpack<ShowRecord>(bytesIn(header.get('view'))).id;
      if (state !== 'archived') compare();
      else if (names.size > 1) fail('an archived show has other records than its header');
      const isLive = state !== 'archived' && (names.has('due') || header.number('live_sales') > 0);
      const violations = [...new Set([...damages, ...replay.violations])];
      return { show, state, createdAt: header.number('created'), isLive, entries: replay.entries, violations };
    },
  };
}
