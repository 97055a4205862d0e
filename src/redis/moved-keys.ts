/** The keys that a show takes to another server, and what each one is in Redis. */
import type { RawRecord } from '../domain/transfer.ts';
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
};

/** Fields of the header that belong to one server, its nodes, or a step that has ended. */
const STAYS: ReadonlySet<string> = new Set(
  'run epoch origin viewers frozen freezer owner lease eraser erasing'.split(' '),
);
export const isMovedField = (field: string): boolean => !STAYS.has(field);

/** An entry has an id, and pairs of fields and values. */
export function isRecordOf(type: KeyType, record: unknown): record is RawRecord {
  if (!Array.isArray(record) || !record.every((value) => typeof value === 'string')) return false;
  if (type === 'stream') return record.length >= 3 && record.length % 2 === 1;
  return record.length === (type === 'text' ? 1 : 2);
}

export const latin = (bytes: Buffer): string => bytes.toString('latin1');
export const bytesIn = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'latin1');
