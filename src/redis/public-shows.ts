/**
 * The list of public shows. Its index is a sorted set by the time of the start, 0 for live shows.
 * It is written after the show, and read as a hint: the header of each show decides.
 */
import type { PublicSale, PublicShow, PublicShowStore } from '../domain/public-shows.ts';
import { LIMITS } from '../limits.ts';
import type { Result } from '../protocol/codes.ts';
import type { ShowView } from '../protocol/messages.ts';
import type { RedisClient } from './client.ts';
import { viewOf } from './command-reply.ts';
import { isNewer } from './formats.ts';
import { type SaleRecord, unpack } from './records.ts';
import { mapped, numberOf, type ScriptRunner } from './script-runner.ts';

const HEADER = ['state', 'view', 'created', 'format', 'viewers', 'epoch', 'offset'] as const;
type Header = Array<Buffer | null>;

/** Shows without a planned start come last. */
const LATEST = 8.64e15;
const STATES: readonly PublicSale['state'][] = ['open', 'paused', 'scheduled'];

/** Adds a show to the index, or removes it: called after each change that matters. */
export function indexPublicShow(
  runner: ScriptRunner,
  { id, state, startsAt, visibility }: Pick<ShowView, 'id' | 'state' | 'startsAt' | 'visibility'>,
): Promise<Result<unknown>> {
  const { publicShows } = runner.keys;
  return runner.guard((client) =>
    visibility === 'public' && state !== 'ended'
      ? client.zadd(publicShows, state === 'live' ? 0 : (startsAt ?? LATEST), id)
      : client.zrem(publicShows, id),
  );
}

const byOpening = (a: PublicSale, b: PublicSale): number =>
  STATES.indexOf(a.state) - STATES.indexOf(b.state) || (a.opensAt ?? LATEST) - (b.opensAt ?? LATEST);

/** Leaves out sales that cannot be read. */
function publicSales(records: readonly Buffer[]): PublicSale[] {
  const sales = records.flatMap((bytes): PublicSale[] => {
    try {
      const { id, title, state, opensAt = null, closesAt = null } = unpack<SaleRecord>(bytes);
      const shown = STATES.find((each) => each === state);
      return shown === undefined ? [] : [{ id, title, state: shown, opensAt, closesAt }];
    } catch {
      return [];
    }
  });
  return sales.sort(byOpening).slice(0, LIMITS.publicSalesPerShowMax);
}

/** Returns the error in place of a value of another type: it is one record that cannot be read. */
const readable = <T>(reading: Promise<T>): Promise<T | Error> =>
  reading.catch((error: Error) => {
    if (!error.message.startsWith('WRONGTYPE')) throw error;
    return error;
  });

/** Returns the show, or null for an entry that is out of date. */
function shownOf([state, view, created, , viewers, epoch, offset]: Header) {
  if (!(state && view && created) || !['planned', 'live'].includes(String(state))) return null;
  const show = viewOf(view, state, created);
  if (show.visibility !== 'public') return null;
  const { id, title, startsAt, posterUrl } = show;
  const poster = posterUrl === undefined ? {} : { posterUrl };
  return {
    show: {
      ...{ id, title, startsAt, ...poster },
      state: show.state as PublicShow['state'],
      viewers: viewers === null || viewers === undefined ? 0 : numberOf(viewers) || 0,
    },
    /** Sales change with events only. */
    version: `${epoch}/${offset}`,
  };
}

export function createPublicShows(runner: ScriptRunner): PublicShowStore {
  const { publicShows } = runner.keys;
  let known = new Map<string, { readonly version: string; readonly sales: PublicSale[] }>();

  async function salesOf(client: RedisClient, show: string, version: string): Promise<PublicSale[]> {
    const last = known.get(show);
    if (last?.version === version) return last.sales;
    const records = await readable(client.hvalsBuffer(runner.keysOf(show).sales));
    return records instanceof Error ? [] : publicSales(records);
  }

  return {
    async publicShows() {
      const listed = await runner.guard((client) => client.zrange(publicShows, 0, String(LIMITS.publicShowsMax - 1)));
      if (!listed.ok) return listed;
      const ids = listed.value.filter((id) => runner.isShowId(publicShows, id));
      const headers = await runner.guard((client) =>
        Promise.all(
          ids.map((id) => readable(client.hmgetBuffer(runner.keysOf(id).show, ...HEADER) as Promise<Header>)),
        ),
      );
      if (!headers.ok) return headers;
      const outdated: string[] = [];
      const found = headers.value.flatMap((header, i) => {
        const id = ids[i] as string;
        try {
          if (header instanceof Error) throw header;
          if (isNewer(header[3])) return [];
          const shown = shownOf(header);
          if (shown === null) outdated.push(id);
          return shown === null ? [] : [shown];
        } catch (error) {
          // A show that cannot be read is logged, and does not hide the others.
          runner.unreadable(runner.keysOf(id).show, error, { once: true });
          return [];
        }
      });
      if (outdated.length > 0) await runner.guard((client) => client.zrem(publicShows, ...outdated));
      const read = await runner.guard((client) =>
        Promise.all(found.map(({ show, version }) => salesOf(client, show.id, version))),
      );
      return mapped(read, (all) => {
        const shows = found.map(({ show }, i) => ({ ...show, sales: all[i] ?? [] }));
        known = new Map(found.map(({ show, version }, i) => [show.id, { version, sales: all[i] ?? [] }]));
        return shows;
      });
    },
  };
}
