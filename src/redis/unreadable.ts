/** Records and keys that cannot be read, for readers that go on without them. */
import type { UnreadableRow } from '../domain/archive.ts';
import type { Result } from '../protocol/codes.ts';
import { mapped, type ScriptRunner } from './script-runner.ts';

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

/** Returns the record as a list of one, or an empty list if it cannot be decoded. */
export function readable<T>(decode: () => T): T[] {
  try {
    return [decode()];
  } catch {
    return [];
  }
}

/** Logs and names the records of a hash that a list leaves out because they cannot be read. */
export async function nameLeftOut<T extends { id: string }>(
  runner: ScriptRunner,
  key: string,
  listed: T[],
  onLeftOut?: (id: string) => void,
): Promise<Result<T[]>> {
  const known = new Set(listed.map(({ id }) => id));
  return mapped(await runner.guard((client) => client.hgetallBuffer(key)), (all) => {
    for (const id of Object.keys(all).filter((each) => !known.has(each))) {
      runner.unreadable(`${key} ${id}`, new Error('it is left out of the list'), { once: true });
      onLeftOut?.(id);
    }
    return listed;
  });
}
