/** The end of a show: ended, archived in files, and deleted from Redis. */
import type { Result } from '../protocol/codes.ts';
import type { Product, ReservationView, ShowEvent, ShowView } from '../protocol/messages.ts';
import type { Verification } from './audit.ts';
import type { LedgerEntry } from './ledger.ts';
import type { BookedReservation, OrderNotes } from './order.ts';
import type { SaleBooks } from './sale.ts';

/** What was refunded. */
export interface RefundTotals {
  orders: number;
  units: number;
  amount: Record<string, number>;
}

/**
 * What a show amounts to. Money in minor units, by currency. Orders, units and revenue are those of
 * all orders, also of refunded ones.
 */
export interface ShowTotals {
  entries: number;
  events: number;
  reservations: number;
  orders: number;
  buyers: number;
  unitsSold: number;
  revenue: Record<string, number>;
  refusals: number;
  localRefusals: number;
  chatMessages: number;
  peakViewers: number;
  uniqueViewers: number;
  hearts: number;
  /** Missing: no order was refunded. */
  refunds?: RefundTotals;
}

/** What Redis keeps of an archived show. */
export interface ArchiveSummary {
  show: string;
  title: string;
  createdAt: number;
  endedAt: number;
  archivedAt: number;
  /** SHA-256 of the manifest, which has the hashes of the other files. */
  sha256: string;
  /** What was wrong with the books when the show was archived; 0 if they were right. */
  violations: number;
  totals: ShowTotals;
}

/** A record that cannot be decoded, as it is in Redis (base64). */
export interface UnreadableRow {
  at: string;
  raw: string;
}
/** The ledger entries of one script call. `at`: their position. */
export type LedgerRow = { at: string; entries: LedgerEntry[] } | UnreadableRow;

export interface Page<Row> {
  readonly rows: Row[];
  /** Where the next page starts, null after the last one. */
  readonly next: string | null;
}

type ReadPage<Row> = (showId: string, from: string | null) => Promise<Result<Page<Row | UnreadableRow>>>;

/** A show that does not change until it is archived. */
export interface FrozenShow {
  /** Names this freeze. If Redis lost it, another one has another token. */
  readonly token: string;
  readonly view: ShowView;
  readonly endedAt: number;
  readonly numbers: Pick<ShowTotals, 'peakViewers' | 'uniqueViewers' | 'hearts' | 'chatMessages'>;
}

/** Which show it is: another one may have its id, in this Redis later or in another one now. */
export interface ShowIdentity {
  readonly createdAt: number;
  /** Made with the show, by creating or importing it; null if release 0.1.0 did that. */
  readonly origin: string | null;
  /** Of its newest freeze. */
  readonly token: string | null;
}

export type Freeze =
  | { readonly step: 'frozen'; readonly show: FrozenShow }
  | { readonly step: 'archived'; readonly summary: ArchiveSummary }
  /** Another process archives it. */
  | { readonly step: 'busy' };

/** The next step of a show's end, and when it is due. */
export interface RetentionState {
  readonly step: 'none' | 'archive' | 'purge' | 'delete' | 'forget';
  readonly at: number;
}

/** Whether the condemned show had an archive. 'kept': it is archived, and nothing was changed. */
export type Condemned = 'had_archive' | 'had_none' | 'kept';

/** Reads a frozen show, in pages that hold Redis only briefly, and changes its state. */
export interface ArchiveStore {
  /** Ends what is due, then freezes the show. Renews the lease if `owner` has frozen it before. */
  freezeShow(showId: string, owner: string): Promise<Result<Freeze>>;
  /** The show could not be archived: it is an ended one again. */
  thawShow(showId: string, token: string): Promise<Result<null>>;
  readLedger: ReadPage<LedgerRow>;
  readEvents: ReadPage<ShowEvent>;
  readReservations: ReadPage<ReservationView & OrderNotes>;
  readSales(showId: string): Promise<Result<Array<SaleBooks | UnreadableRow>>>;
  readProducts(showId: string): Promise<Result<Array<Product | UnreadableRow>>>;
  /** Returns whether any show was archived. */
  hasArchives(): Promise<Result<boolean>>;
  /** Keeps the summary; all other keys expire. Returns null if the freeze was lost. */
  finishArchive(
    showId: string,
    token: string,
    summary: ArchiveSummary,
    keptMs: number,
  ): Promise<Result<ArchiveSummary | null>>;
  /** Returns null if there is no such show. */
  identityOf(showId: string): Promise<Result<ShowIdentity | null>>;
  /** Returns the failure for a show without an identity: it is missing, or being imported. */
  whyMissing(showId: string): Promise<Result<never>>;
  archiveOf(showId: string): Promise<Result<ArchiveSummary | null>>;
  /** Deletes the keys of an archived show before they expire; Redis does that without a pause. */
  purgeShow(showId: string): Promise<Result<null>>;
  /** The show exists for no request any more, but its keys do. A live show is refused. */
  condemnShow(
    showId: string,
    options?: { readonly unlessArchived?: boolean; readonly force?: boolean },
  ): Promise<Result<Condemned>>;
  /** Deletes the keys of a condemned show and forgets its id. */
  deleteShow(showId: string): Promise<Result<null>>;
  /** Returns shows to look at now, at most `retentionShowsPerSweep`. */
  dueRetention(): Promise<Result<string[]>>;
  retentionOf(showId: string, defaultMs: number): Promise<Result<RetentionState>>;
  /** Looks at the show again at this time; null: never. */
  planRetention(showId: string, at: number | null): Promise<Result<null>>;
  /** Adds shows that an earlier release has made. */
  indexRetention(): Promise<Result<null>>;
}

export type Archived =
  | { readonly state: 'archived'; readonly summary: ArchiveSummary }
  | { readonly state: 'archiving' };

/** A deleted show. `missing`: it had an archive, whose files were not found. */
export interface Removed {
  readonly files: 'none' | 'deleted' | 'missing';
}

/** The files of a show. `none`: it is not archived. `missing`: it is, and they are not found. */
export interface ArchiveFiles {
  readonly archiveFiles: 'none' | 'found' | 'missing';
  /** Their size; null if there are none. */
  readonly archiveBytes: number | null;
}

/** What decides when a show is archived. Without `endedAt` it is read. */
export interface EndOfShow {
  readonly id: string;
  readonly state: string;
  readonly retentionMs?: number;
  readonly endedAt?: number;
}

/** Archives shows in files. `src/archive` implements it. */
export interface Archives {
  /** Archives an ended show, or joins the run that does. Repeatable. */
  archive(showId: string): Promise<Result<Archived>>;
  /**
   * Deletes a show and its archive. If its files are missing, only with `force`. A job repeats a
   * deletion that died (`isRepeat`), and waits for a folder that is away.
   */
  remove(showId: string, options?: { readonly force?: boolean; readonly isRepeat?: boolean }): Promise<Result<Removed>>;
  filesOf(showId: string): Promise<ArchiveFiles>;
  /**
   * Reads the reservations of an archived show from its files, in the order in which they ended, or
   * only its orders, in no order. Fails with `archive_failed` if the files are missing.
   */
  readBooked(showId: string, isOrder: boolean): Promise<Result<AsyncIterable<readonly BookedReservation[]>>>;
  /** Returns when a show is archived if no hold is open then, or null if it has not ended. */
  archiveAt(show: EndOfShow): Promise<Result<number | null>>;
  /** Fails if Redis has no such show, and a folder has the place of its archive. */
  checkFree(showId: string): Promise<Result<null>>;
}

/** What replaying an archive found. */
export interface ArchiveVerification extends Verification {
  /** SHA-256 of the manifest. */
  sha256: string;
  orders: number;
  events: number;
  /** When a user was erased from it; absent: never. */
  erasedAt?: number[];
}
