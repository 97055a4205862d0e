/** Records and keys that cannot be read, for readers that go on without them. */
import type { UnreadableRow } from '../domain/archive.ts';
import type { Result } from '../protocol/codes.ts';

/** Decodes a record. One that cannot be decoded stays as it is. */
export function decoded<T>(at: string, bytes: Buffer | undefined, decode: (bytes: Buffer) => T): T | UnreadableRow {
  const raw = bytes ?? Buffer.alloc(0);
  try {
    return decode(raw);
  } catch {
    return { at, raw: raw.toString('base64') };
  }
}

/** The id of the row for a key that has another type. */
export const OTHER_TYPE = 'of another type';
/** Handles the failed read of a key that has another type: returns its bytes, if it is a string. */
export const otherType =
  (readString: () => Promise<Buffer | null>) =>
  async (error: Error): Promise<Buffer> => {
    if (!error.message.startsWith('WRONGTYPE')) throw error;
    return (await readString().catch(() => null)) ?? Buffer.alloc(0);
  };

export const unreadableRow =
  (what: string) =>
  ([id, bytes]: [string, Buffer]): UnreadableRow => ({ at: `${what} ${id}`, raw: bytes.toString('base64') });

export const isUnreadable = (result: Result<unknown>): boolean =>
  !result.ok && result.error.details?.unreadable === true;
