/** Shows: one live event, possibly with several brands. */
import { LIMITS } from '../limits.ts';
import type { Failure, Result } from '../protocol/codes.ts';
import type { Brand, ShowState, ShowView, ShowVisibility } from '../protocol/messages.ts';
import type { ArchiveSummary } from './archive.ts';
import type { Actor, CommandMeta } from './command.ts';
import { Mistakes } from './mistakes.ts';
import { checkoutMistake, webAddressMistake } from './web-address.ts';

/** How a field with an address is checked. */
const ADDRESSES = { videoUrl: webAddressMistake, posterUrl: webAddressMistake, checkoutUrl: checkoutMistake } as const;
type AddressName = keyof typeof ADDRESSES;
const ADDRESS_NAMES = Object.keys(ADDRESSES) as AddressName[];
/** null is "none". */
type Addresses = { [Name in AddressName]?: string | null };

export interface ShowSpec extends Addresses {
  id?: string;
  title: string;
  startsAt?: number | null;
  guests?: boolean;
  slowModeMs?: number;
  chatShownPerSecond?: number;
  retentionMs?: number;
  /** Default: `unlisted`. */
  visibility?: ShowVisibility;
  brands?: Brand[];
}

/** A show in the list; of an archived one the summary is all there is. */
export interface ListedShow extends Omit<ShowView, 'state'> {
  state: ShowState | 'archived';
  /** Absent for a show of release 0.1.0. */
  endedAt?: number;
  archive?: ArchiveSummary;
}

/** What a show takes in Redis. */
export interface ShowSize {
  /** Estimated; null: Redis does not say. */
  redisBytes: number | null;
  keys: number;
  /** The part that an archived show still has for a while, and when that is deleted. */
  expiring?: { redisBytes: number | null; keys: number; at: number };
}

export interface ShowPage {
  shows: ListedShow[];
  /** Pass it as `after` to get the next page; null: there is none. */
  next: string | null;
}

export type ShowPatch = Partial<Omit<ShowSpec, 'id'>>;

/** At most one of the two. */
export interface AnnouncementEnd {
  durationMs?: number;
  until?: number;
}

export interface ShowStore {
  /** A repeat with the same id and body returns the show; another body is `already_exists`. */
  createShow(spec: ShowSpec, actor: Actor): Promise<Result<ShowView>>;
  getShow(showId: string): Promise<Result<ShowView>>;
  /** Returns the newest first, at most `limit` (default: `pageItemsMax`). */
  listShows(page?: { limit?: number; after?: string }): Promise<Result<ShowPage>>;
  /** Returns the size in any state, also of an archived show. */
  sizeOf(showId: string): Promise<Result<ShowSize>>;
  updateShow(showId: string, patch: ShowPatch, actor: Actor): Promise<Result<ShowView>>;
  /** planned -> live -> ended. Starting a live show or ending an ended one changes nothing. */
  startShow(showId: string, actor: Actor): Promise<Result<ShowView>>;
  /** Ends open sales too; their holds may still be confirmed until they expire. */
  endShow(showId: string, actor: Actor): Promise<Result<ShowView>>;
  /**
   * Replaces the current announcement. With a key, a repeat returns the first offset and viewers
   * get the announcement once. It ends at `until`, or after `durationMs` (default:
   * `announcementDefaultMs`).
   */
  announce(
    showId: string,
    text: string,
    actor: Actor,
    repeat?: Omit<CommandMeta, 'actor'>,
    ends?: AnnouncementEnd,
  ): Promise<Result<{ offset: number }>>;
  /** Ends the current announcement. With an offset: unless it is another one (`not_found`). */
  clearAnnouncement(showId: string, actor: Actor, offset?: number): Promise<Result<null>>;
}

/** Returns the addresses that are given. */
export const addressesOf = (fields: Addresses): { [Name in AddressName]?: string } =>
  Object.fromEntries(ADDRESS_NAMES.flatMap((name) => (typeof fields[name] === 'string' ? [[name, fields[name]]] : [])));

/** Returns the show with what a patch changes. null removes an address. */
export function patchedShow(show: ShowView, patch: ShowPatch): ShowView {
  const { videoUrl, posterUrl, checkoutUrl, ...rest } = { ...show, ...patch };
  return { ...rest, ...addressesOf({ videoUrl, posterUrl, checkoutUrl } as Addresses) };
}

export function checkShowSpec(spec: ShowSpec, nowMs: number): Failure | null {
  const mistakes = new Mistakes();
  if (spec.id !== undefined) mistakes.id('/id', spec.id);
  mistakes.text('/title', spec.title, LIMITS.titleCharsMax);
  checkShowFields(mistakes, spec, nowMs);
  return mistakes.failure();
}

export function checkShowPatch(patch: ShowPatch, nowMs: number): Failure | null {
  const mistakes = new Mistakes();
  if (Object.keys(patch).length === 0) mistakes.add('', 'Nothing to change: give at least one field.');
  if (patch.title !== undefined) mistakes.text('/title', patch.title, LIMITS.titleCharsMax);
  checkShowFields(mistakes, patch, nowMs);
  return mistakes.failure();
}

/** The script checks whether `until` lies ahead: a repeat must reach its recorded result. */
export function checkAnnouncement(text: string, { durationMs, until }: AnnouncementEnd, nowMs: number): Failure | null {
  const { announcementMinMs, announcementMaxMs } = LIMITS;
  const mistakes = new Mistakes();
  if (durationMs !== undefined) mistakes.integer('/durationMs', durationMs, announcementMinMs, announcementMaxMs);
  if (until !== undefined && durationMs !== undefined) mistakes.add('/until', 'Give until or durationMs, not both.');
  if (until !== undefined && !(Number.isSafeInteger(until) && until <= nowMs + announcementMaxMs))
    mistakes.add('/until', `Must be milliseconds since 1970, at most ${announcementMaxMs} from now.`);
  mistakes.text('/text', text.replaceAll('\n', ' '), LIMITS.announcementCharsMax);
  return mistakes.failure();
}

export function endedAnnouncement(): Failure {
  const mistakes = new Mistakes();
  mistakes.add('/until', 'Must be in the future.');
  return mistakes.failure() as Failure;
}

function checkShowFields(mistakes: Mistakes, spec: ShowPatch, nowMs: number): void {
  const { startsAt, slowModeMs, chatShownPerSecond, retentionMs, brands } = spec;
  if (startsAt !== undefined && startsAt !== null) mistakes.moment('/startsAt', startsAt, nowMs);
  if (slowModeMs !== undefined) mistakes.integer('/slowModeMs', slowModeMs, 0, LIMITS.slowModeMaxMs);
  if (chatShownPerSecond !== undefined)
    mistakes.integer('/chatShownPerSecond', chatShownPerSecond, 0, LIMITS.chatShownPerSecondMax);
  if (retentionMs !== undefined) mistakes.integer('/retentionMs', retentionMs, 0, LIMITS.retentionMaxMs);
  if (retentionMs !== undefined && retentionMs > 0 && retentionMs < LIMITS.retentionMinMs)
    mistakes.add('/retentionMs', `Must be 0, or at least ${LIMITS.retentionMinMs} milliseconds.`);
  for (const name of ADDRESS_NAMES) {
    const address = spec[name];
    const mistake = typeof address === 'string' ? ADDRESSES[name](address) : null;
    if (mistake !== null) mistakes.add(`/${name}`, mistake);
  }
  if (brands !== undefined) checkBrands(mistakes, brands);
}

function checkBrands(mistakes: Mistakes, brands: readonly Brand[]): void {
  if (brands.length > LIMITS.brandsPerShowMax)
    mistakes.add('/brands', `Must hold at most ${LIMITS.brandsPerShowMax} brands.`);
  for (const [index, brand] of brands.entries()) {
    mistakes.id(`/brands/${index}/id`, brand.id);
    mistakes.text(`/brands/${index}/name`, brand.name, LIMITS.nameCharsMax);
  }
  mistakes.unique(
    '/brands',
    brands.map(({ id }) => id),
  );
}
