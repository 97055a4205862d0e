/** The list of shows, newest first, in pages. */
import type { ListedShow, ShowPage } from '../domain/show.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { viewOf } from './command-reply.ts';
import { isNewer } from './formats.ts';
import { readSummary } from './records.ts';
import type { ScriptRunner } from './script-runner.ts';

const SCAN_COUNT = 500;

/** Returns the ids of all shows, archived ones included. */
export async function allShowIds(runner: ScriptRunner): Promise<Result<string[]>> {
  const { shows } = runner.keys;
  const ids = new Set<string>();
  let cursor = '0';
  do {
    const scanned = await runner.guard((client) => client.zscan(shows, cursor, 'COUNT', SCAN_COUNT));
    if (!scanned.ok) return scanned;
    const [next, flat] = scanned.value;
    for (const [i, id] of flat.entries()) if (i % 2 === 0 && runner.isShowId(shows, id)) ids.add(id);
    cursor = next;
  } while (cursor !== '0');
  return ok([...ids]);
}

/** Where a page ends: the time at which the show was indexed, and its id. */
type Position = readonly [at: number, id: string];

const cursorOf = ([at, id]: Position): string => `${at}.${id}`;

function positionOf(cursor: string): Position | null {
  const [, at, id] = /^(\d+)\.([\w-]+)$/.exec(cursor) ?? [];
  return at === undefined || id === undefined ? null : [Number(at), id];
}

const isAfter = ([at, id]: Position, [cursorAt, cursorId]: Position): boolean =>
  at < cursorAt || (at === cursorAt && id < cursorId);

const FIELDS = ['state', 'view', 'created', 'archive', 'format', 'ended'] as const;
type Fields = [
  state: Buffer | null,
  view: Buffer | null,
  created: Buffer | null,
  archive: Buffer | null,
  format: Buffer | null,
  ended: Buffer | null,
];

/** Returns the show, or null for an entry of the index without one. */
function listed([state, view, created, archive, , ended]: Fields): ListedShow | null {
  if (state === null || view === null || created === null || String(state) === 'deleting') return null;
  const show = { ...viewOf(view, state, created), ...(Number(ended) > 0 ? { endedAt: Number(ended) } : {}) };
  return archive === null ? show : { ...show, archive: readSummary(archive) };
}

export async function listShows(
  runner: ScriptRunner,
  { limit = LIMITS.pageItemsMax, after }: { limit?: number; after?: string } = {},
): Promise<Result<ShowPage>> {
  const start = after === undefined ? null : positionOf(after);
  if (after !== undefined && start === null)
    return fail('invalid_request', 'after: Must be `next` of the page before.', { details: { field: 'after' } });
  const found: Position[] = [];
  // Several shows may have been indexed at the time of the cursor, and some of them were listed.
  for (let offset = 0, isEnd = false; !isEnd && found.length <= limit; offset += limit + 1) {
    const max = start === null ? '+inf' : start[0];
    const read = await runner.guard((client) =>
      client.zrange(runner.keys.shows, max, '-inf', 'BYSCORE', 'REV', 'LIMIT', offset, limit + 1, 'WITHSCORES'),
    );
    if (!read.ok) return read;
    for (let i = 0; i + 1 < read.value.length; i += 2) {
      const position: Position = [Number(read.value[i + 1]), read.value[i] as string];
      if (!runner.isShowId(runner.keys.shows, position[1])) continue;
      if (start === null || isAfter(position, start)) found.push(position);
    }
    isEnd = read.value.length < 2 * (limit + 1);
  }
  const page = found.slice(0, limit);
  const headers = await runner.guard((client) =>
    Promise.all(
      page.map(([, id]) => {
        const key = runner.keysOf(id).show;
        const read = client.hmgetBuffer(key, ...FIELDS) as Promise<Fields>;
        // A key of another type does not hide the other shows.
        return read.catch((error: Error) => {
          if (!error.message.startsWith('WRONGTYPE')) throw error;
          return error;
        });
      }),
    ),
  );
  if (!headers.ok) return headers;
  const last = page.at(-1);
  return ok({
    // A show that cannot be read is logged, and does not hide the others.
    shows: headers.value.flatMap((fields, i) => {
      const [, id] = page[i] as Position;
      const key = runner.keysOf(id).show;
      if (fields instanceof Error) {
        runner.unreadable(key, fields, { once: true });
        return [];
      }
      if (isNewer(fields[4])) {
        runner.newer(id);
        return [];
      }
      try {
        const show = listed(fields);
        return show === null ? [] : [show];
      } catch (error) {
        runner.unreadable(key, error, { once: true });
        return [];
      }
    }),
    next: found.length > limit && last !== undefined ? cursorOf(last) : null,
  });
}
