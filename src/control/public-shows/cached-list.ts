/** A list that is read once for all who ask within a time, also if reading fails. */
import { hash } from 'node:crypto';
import { sharedRead } from '../../domain/shared-read.ts';

export interface CachedList {
  readonly body: Buffer;
  readonly etag: string;
}

/** Returns a function that reads at most every `everyMs`, which counts from the end of a read. */
export function cachedList(
  read: () => Promise<unknown>,
  everyMs: number,
  nowMs = () => performance.now(),
): () => Promise<CachedList> {
  async function make(): Promise<CachedList> {
    const body = Buffer.from(JSON.stringify(await read()));
    return { body, etag: `"${hash('sha256', body, 'base64url').slice(0, 27)}"` };
  }
  return sharedRead(make, everyMs, nowMs);
}

/** Returns whether a header `If-None-Match` names the tag. A proxy may have made it a weak one. */
export const isKnown = (ifNoneMatch: string | undefined, etag: string): boolean =>
  (ifNoneMatch ?? '').split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);
