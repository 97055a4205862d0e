/** Reservations in pages, from Redis or from the archive of the show. */
import {
  type BookedFilter,
  type BookedPage,
  type BookedQuery,
  type BookedReservation,
  matchesFilter,
} from '../../domain/order.ts';
import { LIMITS } from '../../limits.ts';
import { fail, ok, type Result } from '../../protocol/codes.ts';
import type { ControlDeps } from '../deps.ts';
import { unwrap } from '../http/routing.ts';

type Deps = Pick<ControlDeps, 'store' | 'archives'>;
type Pages = AsyncIterable<readonly BookedReservation[]>;

const isArchived = (result: Result<unknown>): boolean => !result.ok && result.error.code === 'show_archived';

/** Starts to read all that match. Throws if the first of them cannot be read. */
export async function openPages({ store, archives }: Deps, show: string, filter: BookedFilter): Promise<Pages> {
  const query: BookedQuery = { ...filter, limit: LIMITS.exportPageItems };
  const first = await store.listBooked(show, query);
  if (isArchived(first)) return archivedPages(unwrap(await archives.readBooked(show, filter.isOrder === true)), filter);
  return storedPages(unwrap(first), async (after) => unwrap(await store.listBooked(show, { ...query, after })));
}

async function* storedPages(first: BookedPage, read: (after: string) => Promise<BookedPage>): Pages {
  for (let page = first; ; page = await read(page.next)) {
    yield page.items;
    if (page.next === null) return;
  }
}

async function* archivedPages(pages: Pages, filter: BookedFilter): Pages {
  for await (const page of pages) yield page.filter((booked) => matchesFilter(booked, filter));
}

/** The number of items on the pages before. */
const ARCHIVE_CURSOR = /^archive\.(\d{1,12})$/;

/** Reads one page. The files of an archive are read from their start. */
export async function listPage(
  { store, archives }: Deps,
  show: string,
  query: BookedQuery,
  onUnreadable: (id: string) => void,
): Promise<Result<BookedPage>> {
  const [, skipped] = ARCHIVE_CURSOR.exec(query.after ?? '') ?? [];
  const stored = skipped === undefined ? await store.listBooked(show, query, onUnreadable) : null;
  if (stored !== null && !isArchived(stored)) return stored;
  // A show may be archived between two pages.
  if (stored !== null && query.after !== undefined)
    return fail('invalid_request', 'after: The show was archived after the page before. Begin with the first page.');
  const opened = await archives.readBooked(show, query.isOrder === true);
  if (!opened.ok) return opened;
  const items: BookedReservation[] = [];
  let before = Number(skipped ?? 0);
  for await (const page of archivedPages(opened.value, query))
    for (const booked of page) {
      if (before-- > 0) continue;
      if (items.length === query.limit) return ok({ items, next: `archive.${Number(skipped ?? 0) + items.length}` });
      items.push(booked);
    }
  return ok({ items, next: null });
}
