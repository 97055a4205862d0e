/** Erasing a user: their name, chat and identity leave all shows and archives. */
import type { Result } from '../protocol/codes.ts';
import type { ArchiveSummary } from './archive.ts';
import type { LedgerEntry } from './ledger.ts';

/** A user, and the name that their entries have afterwards. It is another one in each show. */
export interface Erased {
  readonly user: string;
  readonly pseudonym: string;
}

/** What was erased. */
export interface ErasureCounts {
  shows: number;
  archives: number;
  messages: number;
  reservations: number;
  ledgerEntries: number;
  waits: number;
  mutes: number;
  /** Recorded results of commands. */
  commands: number;
}

export const NOTHING_ERASED: Readonly<ErasureCounts> = {
  ...{ shows: 0, archives: 0, messages: 0, reservations: 0, ledgerEntries: 0, waits: 0, mutes: 0, commands: 0 },
};

export const ERASURE_COUNTS = Object.keys(NOTHING_ERASED) as Array<keyof ErasureCounts>;

/** What could not be erased. `retried`: a job does it later. */
export interface ErasureRest {
  readonly show: string | null;
  readonly reason: /** Until the open hold has ended. */
    | 'hold_open'
    /** The show is being archived. */
    | 'archiving'
    /** Redis or the disk failed. */
    | 'failed'
    /** The archive is not in the ARCHIVE_DIR of this process. */
    | 'archive_missing'
    /** The archive cannot be read or proven. */
    | 'archive_damaged'
    /** Records that name the user but cannot be decoded. */
    | 'unreadable'
    /** The user of Redis may not scan. Recorded responses end within a day. */
    | 'responses';
  readonly retried: boolean;
  readonly until?: number;
}

export interface ErasureReport extends ErasureCounts {
  /** `waiting`: what is left is retried every minute. `incomplete`: it is not retried. */
  readonly state: 'running' | 'waiting' | 'done' | 'incomplete';
  readonly requestedAt: number;
  readonly finishedAt: number | null;
  readonly remaining: readonly ErasureRest[];
}

/** A requested erasure. Its secret makes the pseudonyms, and ends with it. */
export interface PlannedErasure {
  readonly secret: string;
  /** When it was tried last; 0: not yet. */
  readonly triedAt: number;
  readonly report: ErasureReport;
  /** Shows that are tried again; all shows if there is no list yet. */
  readonly retry?: readonly string[];
}

export type ErasedInShow =
  | { readonly step: 'done'; readonly counts: ErasureCounts; readonly isUnreadable: boolean }
  | { readonly step: 'held'; readonly until: number }
  /** Another process took over, or the show is being archived. */
  | { readonly step: 'busy' }
  /** Only the archive has the user. */
  | { readonly step: 'archived' }
  /** The show is deleted, perhaps while it was erased: what it had of the user went with it. */
  | { readonly step: 'gone'; readonly counts: ErasureCounts };

export interface ErasureStore {
  /** Records that this user is to be erased, once. */
  planErasure(user: string): Promise<Result<PlannedErasure>>;
  saveErasure(user: string, planned: PlannedErasure): Promise<Result<null>>;
  /** Keeps the report for a day, and forgets the user and the secret. */
  finishErasure(user: string, report: ErasureReport): Promise<Result<null>>;
  /** Returns a running or recent erasure, or null. */
  erasureOf(user: string): Promise<Result<ErasureReport | null>>;
  plannedErasures(): Promise<Result<Array<{ user: string; triedAt: number }>>>;
  /** Takes or renews the right to erase users, which one process has. */
  takeEraser(owner: string): Promise<Result<boolean>>;
  leaveEraser(owner: string): Promise<Result<null>>;
  /** Fails while a process of release 0.1.0 runs: it would write what was erased. */
  checkReleases(): Promise<Result<null>>;
  /** Returns all shows in Redis, archived ones included. */
  showIds(): Promise<Result<string[]>>;
  eraseInShow(showId: string, erased: Erased): Promise<Result<ErasedInShow>>;
  /** Deletes recorded responses that name the user. Returns null if Redis refuses to list them. */
  eraseResponses(user: string): Promise<Result<number | null>>;
  /** Replaces the summary of an archived show. Returns false if the show is not archived. */
  replaceArchive(showId: string, token: string, summary: ArchiveSummary): Promise<Result<boolean>>;
}

export interface Erasures {
  /**
   * Erases a user. Returns what has been done when that takes long, or when `signal` aborts; the
   * work goes on.
   */
  erase(user: string, signal?: AbortSignal): Promise<Result<ErasureReport>>;
  report(user: string): Promise<Result<ErasureReport | null>>;
  /** Erases all who are planned. Rejects if that failed; it is to be called again. */
  runPlanned(): Promise<void>;
}

export function addCounts(sum: ErasureCounts, more: ErasureCounts): ErasureCounts {
  const added = { ...sum };
  for (const name of ERASURE_COUNTS) added[name] += more[name];
  return added;
}

type Sample = unknown[];
const [USER_AT, KEY_AT] = [1, 4];

/** Returns the samples of refused requests without the user, or null if none is of this user. */
function erasedSamples(samples: readonly Sample[], { user, pseudonym }: Erased): Sample[] | null {
  if (!samples.some((sample) => sample[USER_AT] === user)) return null;
  const rename = (value: unknown, at: number): unknown => (at === USER_AT ? pseudonym : at === KEY_AT ? '' : value);
  return samples.map((sample) => (sample[USER_AT] === user ? sample.map(rename) : sample));
}

/** Returns the entry with the pseudonym and without the key, or null if it is not of this user. */
export function erasedEntry(entry: LedgerEntry, erased: Erased): LedgerEntry | null {
  const [kind, sale, reservation, user, actor, , reason, items, extra] = entry;
  if (kind === 'gate') {
    const samples = Array.isArray(extra?.samples) ? erasedSamples(extra.samples as Sample[], erased) : null;
    if (samples === null) return null;
    return entry.with(8, { ...extra, samples }) as LedgerEntry;
  }
  if (user !== erased.user) return null;
  const by = actor === `user:${erased.user}` ? `user:${erased.pseudonym}` : actor;
  const head = [kind, sale, reservation, erased.pseudonym, by, '', reason, items] as const;
  return (entry.length > 8 ? [...head, extra] : head) as LedgerEntry;
}
