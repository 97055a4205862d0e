/**
 * Checks the records of a show without a server: each one is what the engine writes, and together
 * they are what `verify` finds right. What cannot be decoded is damage that a show may have. It is
 * listed and moves as it is; any other value that the engine does not write is refused.
 */
import { counted } from '../domain/counted.ts';
import { compareBooks, LedgerReplay } from '../domain/ledger.ts';
import type { MovableState, RawRecord, RecordExaminer, RecordPage } from '../domain/transfer.ts';
import { LIMITS } from '../limits.ts';
import { isNewer } from './formats.ts';
import { hyperLogLogProblem } from './hyperloglog.ts';
import type { ShowKey } from './keys.ts';
import { applyAll } from './ledger-auditor.ts';
import { MovedHeader } from './moved-header.ts';
import { bytesIn, isRecordOf, textIn, typeOfKey } from './moved-keys.ts';
import { booksOf, type PackedReservation, type SaleRecord, type ShowRecord, unpack, unpackAll } from './records.ts';
import type { ChatHead } from './relay.ts';
import { cut, digits, isObject, type Shape } from './shapes.ts';
import * as shapes from './stored-shapes.ts';

const DAMAGES_MAX = 1000;
const ENTRY_ID = /^(\d{1,15})-(\d{1,15})$/;
/** o:<sale> opens, c: closes, s: sold out, w:<sale>/<sku> waitlist; or a hold (lua/lib/due.lua). */
const DUE = /^([ocs]:[A-Za-z0-9][\w-]{0,63}|w:[A-Za-z0-9][\w-]{0,63}\/.{1,64}|[rw][\w-]{20})$/su;
const DUE_AHEAD_MS = LIMITS.saleLeadTimeMaxMs + 2 * LIMITS.saleDurationMaxMs;

/** What a record of a key is called. */
const NOUNS: Readonly<Record<string, string>> = {
  show: 'show,',
  products: 'product',
  sales: 'sale',
  reservations: 'reservation',
  buyers: 'buyer',
  orders: 'order',
  log: 'event',
};

const isOver = ({ state }: SaleRecord): boolean => state === 'ended' || state === 'cancelled';

function fail(what: string): never {
  throw new Error(what);
}

/** Throws if a decoded value is no record: records are lists and objects. */
function checkRecord(value: unknown): void {
  if (!Array.isArray(value) && !isObject(value)) fail('it is no record');
}

/** @param now the time of the Redis to which the show may move. */
export function createRecordExaminer(now: number): RecordExaminer {
  const latest = Math.floor(now) + LIMITS.importClockAheadMs;
  const header = new MovedHeader(latest);
  const replay = new LedgerReplay();
  const states = new Map<string, string>();
  const stock: Buffer[] = [];
  const sales: Buffer[] = [];
  const scores: Readonly<Record<string, Shape>> = {
    due: digits(latest + DUE_AHEAD_MS),
    mutes: digits(latest + LIMITS.muteMaxMs),
    removed: digits(),
    waitlist: digits(0),
  };
  const damages: string[] = [];
  /** Names of records by key. Entries of streams come in order, so none comes twice. */
  const names = new Map<string, Set<string>>();
  const counts = new Map<string, number>();
  /** The last id of each stream. */
  const last = new Map<string, readonly [number, number]>();
  let lastEvent: number | null = null;
  let [liveSales, unreadableSales, lastChat, lastRemoved] = [0, 0, 0, 0];

  /** The record that is checked. Its name is only put into words if something is wrong. */
  let [key, name] = ['', ''];
  const what = (part = ''): string => (key === 'uniques' ? key : `${NOUNS[key] ?? key} ${cut(name)}`) + part;
  const refuse = (wrong: string): never => fail(what(wrong));

  /** Throws if a value of the record has another shape. */
  function check(shape: Shape, value: unknown, part = ''): void {
    const wrong = shape(value);
    if (wrong !== null) refuse(part + wrong);
  }

  function damaged(part = ''): null {
    if (damages.length < DAMAGES_MAX) damages.push(`${what(part)} cannot be read`);
    return null;
  }

  /** Returns the record, or null if it cannot be decoded. Throws if it is not what `shape` says. */
  function content<T>(shape: Shape, bytes: Buffer, read: (bytes: Buffer) => unknown = unpack, part = ''): T | null {
    let value: unknown;
    try {
      value = read(bytes);
      checkRecord(value);
    } catch {
      return damaged(part);
    }
    check(shape, value, part);
    return value as T;
  }

  /** As `content`. The record has the name of its field. */
  function named<T>(shape: Shape, bytes: Buffer, nameOf: (value: T) => string): T | null {
    const value = content<T>(shape, bytes);
    if (value !== null && nameOf(value) !== name) refuse(` is the record of ${cut(nameOf(value))}`);
    return value;
  }

  function addSale(bytes: Buffer): void {
    sales.push(bytes);
    const sale = named<SaleRecord>(shapes.SALE, bytes, (record) => record.id);
    if (sale === null) unreadableSales += 1;
    else if (!isOver(sale)) liveSales += 1;
  }

  function addStock(bytes: Buffer): void {
    const slash = name.indexOf('/');
    check(shapes.id, name.slice(0, Math.max(0, slash)), ': its sale');
    check(shapes.sku, name.slice(slash + 1), ': its SKU');
    stock.push(Buffer.from(name), bytes);
    content(shapes.STOCK, bytes);
  }

  function addReservation(bytes: Buffer): void {
    check(shapes.reservationId, name, ': its id');
    const record = named<PackedReservation>(shapes.RESERVATION, bytes, (packed) => packed[1]);
    states.set(name, record === null ? 'unreadable' : record[2]);
  }

  /** Throws unless an entry comes after the one before, and not after now. */
  function addEntry(): number {
    const [, ms, seq] = ENTRY_ID.exec(name) ?? refuse(': its id is not that of an entry');
    const [at, n] = [Number(ms), Number(seq)];
    const before = last.get(key);
    if (before !== undefined && (at < before[0] || (at === before[0] && n <= before[1])))
      refuse(` comes after ${before.join('-')}`);
    last.set(key, [at, n]);
    if (key === 'log' && (at < 1 || n !== 0)) refuse(': its id is not that of an event');
    if (key !== 'log' && at > latest) refuse(': its time has not come');
    return at;
  }

  function addEvent(bytes: Buffer): void {
    const offset = addEntry();
    name = String(offset);
    // The log is trimmed at its start, and has no gap.
    if (lastEvent !== null && offset !== lastEvent + 1) replay.violate(`event ${lastEvent + 1} is missing`);
    lastEvent = offset;
    const event = content<number[]>(shapes.EVENT, bytes, unpackAll);
    if (event !== null && event[0] !== offset) refuse(` is the record of event ${event[0]}`);
  }

  function addLedger(bytes: Buffer): void {
    addEntry();
    let entries: unknown[];
    try {
      entries = unpackAll(bytes);
      for (const entry of entries) checkRecord(entry);
    } catch {
      return replay.cannotRead(name);
    }
    for (const entry of entries) check(shapes.LEDGER, entry);
    applyAll(replay, entries, name);
  }

  function addChat([, , head = '', , items = '', , authors = '']: RawRecord): void {
    addEntry();
    const users = content(shapes.CHAT_AUTHORS, bytesIn(authors), unpack, ', its authors');
    const found = content<ChatHead>(shapes.CHAT_HEAD, bytesIn(head));
    if (found === null || users === null) return;
    const [, , first, shown, taken, lastShown, authorBytes] = found;
    if (authorBytes !== authors.length)
      refuse(` has ${counted(authors.length, 'byte')} of authors, by its head ${authorBytes}`);
    if (first <= lastChat) refuse(` has message ${first} behind message ${lastChat}`);
    lastChat = first + taken - 1;
    let messages: unknown[];
    try {
      messages = unpackAll(bytesIn(items));
      for (const message of messages) checkRecord(message);
    } catch {
      damaged(', its messages');
      return;
    }
    if (messages.length !== shown || shown > taken || lastShown >= taken)
      refuse(` has ${counted(messages.length, 'message')}, by its head ${shown} of ${taken}`);
    let before = -1;
    for (const message of messages) {
      check(shapes.CHAT_ITEM, message, ', a message');
      const [index] = message as [number];
      if (index <= before || index >= taken) refuse(` has message ${index} behind message ${before} of ${taken}`);
      before = index;
    }
  }

  function addMember(score: string): void {
    check(scores[key] as Shape, score, ': its score');
    if (key === 'due' && !DUE.test(name)) refuse(' is nothing that becomes due');
    if (key === 'mutes') check(shapes.user, name);
    if (key === 'waitlist') check(shapes.waitMember, name);
    if (key !== 'removed') return;
    if (name !== score) refuse(` has the score ${score}`);
    lastRemoved = Math.max(lastRemoved, Number(score));
  }

  function addCommand(bytes: Buffer): void {
    const [actor = '', own, ...more] = name.split('\0');
    const isName = own !== undefined && actor !== '' && Math.max(actor.length, own.length) <= 256 && more.length === 0;
    if (!isName) refuse(' is not the key of a command');
    content(shapes.COMMAND, bytes);
  }

  /** Checks the record that `key` and `name` name. */
  function addRecord(record: RawRecord): void {
    const [first = '', second = ''] = record;
    if (key === 'uniques') return check(hyperLogLogProblem as Shape, bytesIn(first));
    if (key === 'show') return check(() => header.add(first, second), second);
    const text = textIn(name);
    name = text ?? refuse(' is no text');
    switch (key) {
      case 'products':
        return void named<{ id: string }>(shapes.PRODUCT, bytesIn(second), ({ id }) => id);
      case 'sales':
        return addSale(bytesIn(second));
      case 'stock':
        return addStock(bytesIn(second));
      case 'reservations':
        return addReservation(bytesIn(second));
      case 'orders':
        check(shapes.orderRef, name, ': its reference');
        return check(shapes.reservationId, second, ': its reservation');
      case 'buyers':
        check(shapes.user, name);
        return void content(shapes.BUYER, bytesIn(second));
      case 'log':
        return addEvent(bytesIn(record[2]));
      case 'ledger':
        return addLedger(bytesIn(record[2]));
      case 'chat':
        return addChat(record);
      case 'idem':
      case 'idem-old':
        return addCommand(bytesIn(second));
      default:
        return addMember(first);
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
    const offset = header.number('offset');
    if (lastEvent !== offset) replay.violate(`the last event is ${lastEvent}, by the show ${offset}`);
    const live = header.number('live_sales');
    if (live < liveSales || live > liveSales + unreadableSales)
      fail(`show, live_sales is ${live}, and ${counted(liveSales, 'sale is', 'sales are')} not over`);
    const chat = header.number('chat_last');
    if (chat < lastChat || chat < lastRemoved)
      fail(`show, chat_last is ${chat}, and there is message ${Math.max(lastChat, lastRemoved)}`);
  }

  return {
    add(page: RecordPage) {
      key = page.key;
      const type = typeOfKey(key) ?? fail(`${cut(key)} is no key of a show`);
      const known = names.get(key) ?? new Set();
      names.set(key, known);
      const fresh = page.records.filter((record) => {
        if (!isRecordOf(key, type, record)) fail(`a record of ${key} has another shape, or is too long`);
        name = (type === 'set' ? record[1] : type === 'text' ? '' : record[0]) as string;
        const { size } = known;
        if (type !== 'stream' && known.add(name).size === size) return false;
        addRecord(record);
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
