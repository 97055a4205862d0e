/** A show on its way to another Redis server: its records as they are stored. */
import type { Result } from '../protocol/codes.ts';
import type { ShowState } from '../protocol/messages.ts';
import type { Page } from './archive.ts';

/** A field and its value, a member and its score, or an entry of a stream. Bytes as Latin-1. */
export type RawRecord = readonly string[];

/** Records of one key of a show. */
export interface RecordPage {
  readonly key: string;
  readonly records: readonly RawRecord[];
}

export type MovableState = Exclude<ShowState, 'live'> | 'archived';

/** What the records of a show say of it. */
export interface ExaminedShow {
  readonly show: string;
  readonly state: MovableState;
  readonly createdAt: number;
  /** Whether something may become due in it. */
  readonly isLive: boolean;
  readonly entries: number;
  /** What is wrong with the books and the log; it is moved as it is. */
  readonly violations: string[];
}

/** Checks the records of one show before they are written anywhere. */
export interface RecordExaminer {
  /** Returns the records that were not there before. Throws what is wrong with one of them. */
  add(page: RecordPage): RecordPage;
  /** Compares all of them. Throws if they are no show. */
  finish(): ExaminedShow;
}

export interface TransferStore {
  /**
   * Refuses changes of a show until it is thawed, or `token` is not renewed in time. Fails, as
   * `beginImport` does, while a process of release 0.1.0 runs.
   */
  freezeExport(showId: string, token: string): Promise<Result<MovableState>>;
  renewExport(showId: string, token: string): Promise<Result<null>>;
  /** Fails if the show may have changed since it was frozen. */
  thawExport(showId: string, token: string): Promise<Result<null>>;
  /** The keys to read, the header first. */
  exportKeys(state: MovableState): readonly string[];
  readRecords(showId: string, key: string, from: string | null): Promise<Result<Page<RawRecord>>>;

  examineRecords(): RecordExaminer;
  /** The show exists for no request until `commitImport`. Returns the token of this import. */
  beginImport(showId: string): Promise<Result<string>>;
  /** Calls are sent in order. Of the header nothing is written before `commitImport`. */
  putRecords(showId: string, token: string, page: RecordPage): Promise<Result<null>>;
  /** Gives the show a new epoch, and lists it. */
  commitImport(show: ExaminedShow, token: string, header: readonly RawRecord[]): Promise<Result<null>>;
  /** Deletes what was written. */
  abortImport(showId: string, token: string): Promise<Result<null>>;
}
