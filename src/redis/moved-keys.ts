/** The keys that a show takes to another server, and what each one is in Redis. */
import type { RawRecord } from '../domain/transfer.ts';
import { LIMITS } from '../limits.ts';
import type { ShowKey } from './keys.ts';

/** `set`: a sorted set. */
export type KeyType = 'hash' | 'set' | 'stream' | 'text';

/** All but the counts of live nodes, the channel, and what command-guard.ts keeps for a day. */
export const MOVED_KEYS: Readonly<Partial<Record<ShowKey, KeyType>>> = {
  show: 'hash',
  products: 'hash',
  sales: 'hash',
  stock: 'hash',
  reservations: 'hash',
  buyers: 'hash',
  due: 'set',
  log: 'stream',
  ledger: 'stream',
  chat: 'stream',
  idem: 'hash',
  'idem-old': 'hash',
  waitlist: 'set',
  removed: 'set',
  mutes: 'set',
  uniques: 'text',
  orders: 'hash',
};

/** Returns undefined for a name that is no key of a show. */
export const typeOfKey = (key: string): KeyType | undefined =>
  Object.hasOwn(MOVED_KEYS, key) ? MOVED_KEYS[key as ShowKey] : undefined;

/** The names of the fields of an entry. */
const ENTRY_FIELDS: Readonly<Record<string, readonly string[]>> = { log: ['e'], ledger: ['e'], chat: ['h', 'i', 'a'] };

/** An entry has an id, and pairs of fields and values. */
export function isRecordOf(key: string, type: KeyType, record: unknown): record is RawRecord {
  if (!Array.isArray(record)) return false;
  for (const value of record) if (typeof value !== 'string' || value.length > LIMITS.importValueBytesMax) return false;
  const names = ENTRY_FIELDS[key];
  if (type !== 'stream' || names === undefined) return record.length === (type === 'text' ? 1 : 2);
  return record.length === 1 + 2 * names.length && names.every((name, i) => record[1 + 2 * i] === name);
}

export const latin = (bytes: Buffer): string => bytes.toString('latin1');
export const bytesIn = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'latin1');
/** Most names: they are the same in both encodings. */
const PLAIN = /^[ -~]*$/;
/** Returns the text of bytes in a file, or null if they are no UTF-8. */
export function textIn(latin1: string): string | null {
  if (PLAIN.test(latin1)) return latin1;
  const bytes = bytesIn(latin1);
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? text : null;
}
