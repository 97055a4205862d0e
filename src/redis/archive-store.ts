/** The end of a show in Redis (lua/archive.lua), and reading it in slices until then. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ArchiveStore, ArchiveSummary, Freeze, LedgerRow, Page, RetentionState } from '../domain/archive.ts';
import { isId } from '../domain/mistakes.ts';
import type { OrderNotes } from '../domain/order.ts';
import type { Scheduler } from '../domain/schedule.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import type { Product, ReservationView, ShowEvent } from '../protocol/messages.ts';
import { NO_HOLDS_RETRY_MS, openHolds, wrongState } from './archive-refusals.ts';
import { viewOf } from './command-reply.ts';
import { isNewer } from './formats.ts';
import { booksOf, pack, readProduct, readShow, readSummary, unpackLedger, unpackReservation } from './records.ts';
import type { Recover } from './recovery.ts';
import { decodeEvents } from './relay.ts';
import type { Sales } from './sales.ts';
import { bytesOf, mapped, numberOf, type ScriptRunner, textOf } from './script-runner.ts';
import { importing, LEFT_KEPT_MS } from './show-transfer.ts';
import { decoded, isUnreadable, OTHER_TYPE, otherType, unreadableRow } from './unreadable.ts';

const STEPS_MAX = 20;
/** This process may be verifying the books already. */
const RECOVERY_CHECK_MS = 100;
/** What is due within this time is waited for: the last change of a sale is announced late. */
const DUE_SOON_MS = 2_000;
/** Keys expire this long after the job should have deleted them, which does not pause Redis. */
const EXPIRE_MARGIN_MS = 60_000;
const INDEX_COUNT = 500;
const OLDER_NODES = 'A node of an earlier release still serves this show. Archive it when all nodes are upgraded.';
const NO_RECORD =
  'The record of this show in Redis cannot be read; the log of the engine names its key. Repair or delete the show.';
const OLDER_NODES_RETRY_MS = 60_000;

type Entry = [id: Buffer, fields: Buffer[]];

export interface ArchiveStoreDeps {
  readonly runner: ScriptRunner;
  readonly recover: Recover;
  readonly endAll: Sales['endAll'];
  readonly tick: Scheduler['tick'];
}

const eventIn = (bytes: Buffer): ShowEvent => {
  const [event] = decodeEvents(bytes);
  if (event === undefined) throw new Error('no event');
  return event;
};

function reservationIn(bytes: Buffer): ReservationView & OrderNotes {
  const { key: _key, firstUntil: _first, ...view } = unpackReservation(bytes);
  return view;
}

/** A header of another type has no time: it owns no archive. */
async function noFields(error: Error): Promise<(string | null)[]> {
  await otherType(async () => null)(error);
  return ['0'];
}

/** A show whose record cannot be read is archived, or refused with a remedy, after the default. */
function retentionIn(view: Buffer | null | undefined): number | undefined {
  try {
    return readShow(view as Buffer).retentionMs;
  } catch {
    return undefined;
  }
}

export function createArchiveStore({ runner, recover, endAll, tick }: ArchiveStoreDeps): ArchiveStore {
  const { shows: showsKey, retention: retentionKey, archives: archivesKey } = runner.keys;
  const now = (): number => runner.connection.clock.now();
  const summaryOf = (showId: string, packed: Buffer): Result<ArchiveSummary> =>
    runner.decoded(`${runner.keysOf(showId).show} archive`, ok(packed), (bytes) => readSummary(bytes));

  /** Returns the reply behind its first word, or the failure that the word means. */
  async function step(showId: string, args: Record<string, unknown>, more: Buffer[] = []) {
    const reply = await runner.run('archive', showId, args, ...more);
    if (!reply.ok) return reply;
    const [word, ...rest] = reply.value;
    return ok({ word: textOf(word), rest });
  }

  /** As `step`, with the failures of shows that are not over, or busy. */
  async function tried(showId: string, op: string, more: Record<string, unknown> = {}): ReturnType<typeof step> {
    const done = await step(showId, { op, ...more });
    if (!done.ok) return done;
    const { word, rest } = done.value;
    if (word === 'state') return wrongState(showId, textOf(rest[0]));
    if (word === 'busy')
      return fail('overloaded', 'The show is being archived or exported; try again.', {
        retryAfterMs: LIMITS.archiveLeaseMs,
      });
    return done;
  }

  const plain = async (...step: Parameters<typeof tried>): Promise<Result<null>> =>
    mapped(await tried(...step), () => null);

  const plan = (showId: string, at: number, ...options: ['LT'] | []): Promise<Result<unknown>> =>
    runner.write('ZADD', retentionKey, ...options, Math.floor(at), showId);

  async function freezeShow(showId: string, owner: string): Promise<Result<Freeze>> {
    // First: if this process ends, a job goes on when the lease has ended.
    const planned = await plan(showId, now() + LIMITS.archiveLeaseMs, 'LT');
    if (!planned.ok) return planned;
    const token = randomUUID();
    let isLast = false;
    for (let attempt = 0; attempt < STEPS_MAX; attempt++) {
      const reply = await step(showId, { op: 'freeze', owner, token, leaseMs: LIMITS.archiveLeaseMs, isLast });
      if (isUnreadable(reply)) return fail('internal', NO_RECORD, { details: { unreadable: true } });
      if (!reply.ok) return reply;
      const { word, rest } = reply.value;
      switch (word) {
        case '+': {
          const [used, view, created, ended, peak, unique, hearts, chat] = rest;
          const numbers = {
            ...{ peakViewers: numberOf(peak), uniqueViewers: numberOf(unique) },
            ...{ hearts: numberOf(hearts), chatMessages: numberOf(chat) },
          };
          const key = `${runner.keysOf(showId).show} view`;
          return runner.decoded(key, ok(view), (packed) => ({
            step: 'frozen',
            show: {
              token: textOf(used),
              view: { ...viewOf(packed, undefined, created), state: 'ended' },
              endedAt: numberOf(ended),
              numbers,
            },
          }));
        }
        case 'archived':
          return mapped(summaryOf(showId, bytesOf(rest[0])), (summary) => ({ step: 'archived', summary }));
        case 'busy':
          return ok({ step: 'busy' });
        case 'taken':
          return fail('overloaded', 'A user is being erased from the show, or it is being exported; try again.', {
            retryAfterMs: LIMITS.archiveLeaseMs,
          });
        case 'state':
          return wrongState(showId, textOf(rest[0]));
        case 'format':
          return fail('overloaded', OLDER_NODES, { retryAfterMs: OLDER_NODES_RETRY_MS });
        case 'recovering':
          await recover(showId);
          await sleep(RECOVERY_CHECK_MS);
          break;
        case 'sales': {
          // The process that ended the show may have died before it ended the sales.
          const ended = await endAll(showId, 'job');
          if (!ended.ok && (isLast || ended.error.code !== 'internal')) return ended;
          isLast = !ended.ok;
          break;
        }
        default: {
          const ticked = await tick(showId);
          if (!ticked.ok) return ticked;
          if (ticked.value.done > 0) break;
          const nextDueAt = ticked.value.nextDueAt ?? 0;
          const waitMs = nextDueAt - now() + 1;
          if (waitMs > DUE_SOON_MS && isLast) return openHolds(nextDueAt);
          if (waitMs > DUE_SOON_MS) isLast = true;
          else await sleep(Math.max(1, waitMs));
        }
      }
    }
    return fail('overloaded', 'The show does not come to rest; try again.', { retryAfterMs: NO_HOLDS_RETRY_MS });
  }

  async function streamPage<Row>(
    key: string,
    from: string | null,
    count: number,
    decode: (id: string, bytes: Buffer | undefined) => Row,
  ): Promise<Result<Page<Row>>> {
    const start = from === null ? '-' : `(${from}`;
    const read = await runner.guard((client) =>
      client.xrangeBuffer(key, start, '+', 'COUNT', count).catch(otherType(() => client.getBuffer(key))),
    );
    return mapped(read, (entries) => {
      if (Buffer.isBuffer(entries)) return { rows: [decode(OTHER_TYPE, entries)], next: null };
      const rows = (entries as unknown as Entry[]).map(([id, fields]) => decode(String(id), fields[1]));
      const last = (entries as unknown as Entry[]).at(-1);
      return { rows, next: entries.length < count || last === undefined ? null : String(last[0]) };
    });
  }

  async function hashPage<Row>(
    key: string,
    from: string | null,
    decode: (field: string, bytes: Buffer) => Row,
  ): Promise<Result<Page<Row>>> {
    const read = await runner.guard((client) =>
      client
        .hscanBuffer(key, from ?? '0', 'COUNT', LIMITS.archivePageFields)
        .catch(otherType(() => client.getBuffer(key))),
    );
    return mapped(read, (found) => {
      if (Buffer.isBuffer(found)) return { rows: [decode(OTHER_TYPE, found)], next: null };
      const [cursor, flat] = found;
      const rows: Row[] = [];
      for (let i = 0; i + 1 < flat.length; i += 2) rows.push(decode(String(flat[i]), flat[i + 1] as Buffer));
      return { rows, next: String(cursor) === '0' ? null : String(cursor) };
    });
  }

  /** Reads a whole hash in pages; a scan may return a field twice. */
  async function readHash(key: string): Promise<Result<Map<string, Buffer>>> {
    const found = new Map<string, Buffer>();
    for (let from: string | null = null, isFirst = true; isFirst || from !== null; isFirst = false) {
      const page: Result<Page<[string, Buffer]>> = await hashPage(key, from, (field, bytes) => [field, bytes]);
      if (!page.ok) return page;
      for (const [field, bytes] of page.value.rows) found.set(field, bytes);
      from = page.value.next;
    }
    return ok(found);
  }

  return {
    freezeShow,
    thawShow: (showId, token) => plain(showId, 'thaw', { token }),

    readLedger: (showId, from) =>
      streamPage(runner.keysOf(showId).ledger, from, LIMITS.archivePageEntries, (at, bytes) =>
        decoded<LedgerRow>(at, bytes, (raw) => ({ at, entries: unpackLedger(raw) })),
      ),

    readEvents: (showId, from) =>
      streamPage(runner.keysOf(showId).log, from, LIMITS.archivePageEvents, (at, bytes) => decoded(at, bytes, eventIn)),

    readReservations: (showId, from) =>
      hashPage(runner.keysOf(showId).reservations, from, (id, bytes) => decoded(id, bytes, reservationIn)),

    async readSales(showId) {
      const { sales, stock } = runner.keysOf(showId);
      const [records, books] = [await readHash(sales), await readHash(stock)];
      if (!records.ok) return records;
      if (!books.ok) return books;
      const flat = [...books.value].flatMap(([field, bytes]) => [Buffer.from(field), bytes]);
      const read = booksOf(flat, [...records.value.values()], 0, () => {});
      const known = new Set(read.map(({ id }) => id));
      const left = [...records.value].filter(([id]) => !known.has(id));
      const units = [...books.value].filter(([field]) => left.some(([id]) => field.startsWith(`${id}/`)));
      return ok([...read, ...left.map(unreadableRow('sale')), ...units.map(unreadableRow('stock'))]);
    },

    readProducts: async (showId) =>
      mapped(await readHash(runner.keysOf(showId).products), (products) =>
        [...products].map(([id, bytes]) => decoded<Product>(`product ${id}`, bytes, readProduct)),
      ),

    hasArchives: async () =>
      mapped(await runner.guard((client) => client.exists(archivesKey)), (exists) => exists === 1),

    async finishArchive(showId, token, summary, keptMs) {
      const noted = await runner.write('SET', archivesKey, '1');
      if (!noted.ok) return noted;
      const args = { op: 'finish', token, keptMs: keptMs + EXPIRE_MARGIN_MS };
      const done = await step(showId, args, [pack(summary)]);
      if (!done.ok) return done;
      const { word, rest } = done.value;
      if (word === 'archived') return summaryOf(showId, bytesOf(rest[0]));
      if (word !== '+') return ok(null);
      await plan(showId, now() + keptMs);
      return ok(summary);
    },

    async identityOf(showId) {
      const { show } = runner.keysOf(showId);
      const read = await runner.guard((client) =>
        client.hmget(show, 'created', 'origin', 'token', 'state').catch(noFields),
      );
      // A show whose record could not be read has only a state while it is deleted.
      return mapped(read, ([created = null, origin = null, token = null, state = null]) =>
        created === null && state === null ? null : { createdAt: Number(created), origin, token },
      );
    },

    async whyMissing(showId) {
      const read = await runner.guard((client) => client.hget(runner.keysOf(showId).show, 'import_at'));
      if (!read.ok) return read;
      return read.value === null ? fail('show_not_found') : importing('illegal_move', showId, Number(read.value));
    },

    async archiveOf(showId) {
      const read = await runner.guard((client) => client.hgetBuffer(runner.keysOf(showId).show, 'archive'));
      return read.ok && read.value !== null ? summaryOf(showId, read.value) : mapped(read, () => null);
    },

    purgeShow: (showId) => plain(showId, 'purge'),

    async condemnShow(showId, { unlessArchived = false, force = false } = {}) {
      // First: if this process ends between the steps, a job deletes the rest.
      const planned = await plan(showId, now());
      if (!planned.ok) return planned;
      const condemned = await tried(showId, 'condemn', { unlessArchived, force });
      if (condemned.ok && condemned.value.word === 'due')
        return openHolds(numberOf(condemned.value.rest[0]), ', or delete it with ?force=true');
      return mapped(condemned, ({ word, rest }) =>
        word === 'archived' ? 'kept' : textOf(rest[0]) === '1' ? 'had_archive' : 'had_none',
      );
    },

    async deleteShow(showId) {
      const deleted = await step(showId, { op: 'delete', idleMs: LEFT_KEPT_MS });
      if (!deleted.ok && deleted.error.code !== 'show_not_found') return deleted;
      if (deleted.ok && deleted.value.word !== '+') return ok(null);
      return mapped(await runner.guard(() => forget(showId)), () => null);
    },

    async dueRetention() {
      const read = await runner.guard((client) =>
        client.zrangeBuffer(retentionKey, '-inf', String(now()), 'BYSCORE', 'LIMIT', 0, LIMITS.retentionShowsPerSweep),
      );
      if (!read.ok) return read;
      const due = read.value.filter((id) => runner.isShowId(retentionKey, id.toString()));
      const foreign = read.value.filter((id) => !due.includes(id));
      if (foreign.length > 0) await runner.guard((client) => client.zrem(retentionKey, ...foreign));
      return ok(due.map(String));
    },

    async retentionOf(showId, defaultMs) {
      const { show, ledger } = runner.keysOf(showId);
      const read = await runner.guard((client) =>
        Promise.all([
          client
            .hmgetBuffer(show, 'state', 'view', 'ended', 'purge', 'created', 'import_at', 'format')
            .catch(async (error: Error) => {
              // Logged with its key.
              await otherType(async () => null)(error);
              throw new Error(`${show} cannot be read: it has another type. Delete the show.`);
            }),
          client.zscore(showsKey, showId),
          client.xrevrange(ledger, '+', '-', 'COUNT', 1).catch(async (error: Error) => {
            await otherType(async () => null)(error);
            return [];
          }),
        ] as const),
      );
      return runner.decoded(show, read, ([fields, indexedAt, newest]): RetentionState => {
        const [state, view, ended, purge, created, importAt, format] = fields;
        // A process of the newer release does the next step.
        if (isNewer(format)) return { step: 'none', at: Number.POSITIVE_INFINITY };
        switch (state === null ? null : String(state)) {
          case null: {
            const at = Number(importAt ?? indexedAt ?? 0) + LEFT_KEPT_MS;
            return { step: at <= now() ? 'forget' : 'none', at };
          }
          case 'ended': {
            const retentionMs = retentionIn(view) ?? defaultMs;
            // A show of release 0.1.0: its newest ledger entry is about as old.
            const [lastMs] = newest[0]?.[0].split('-') ?? [];
            const endedAt = [ended, lastMs, created].map(Number).find((at) => at > 0) ?? 0;
            return { step: 'archive', at: endedAt + retentionMs };
          }
          case 'archiving':
            return { step: 'archive', at: 0 };
          case 'archived':
            return { step: 'purge', at: Number(purge) - EXPIRE_MARGIN_MS };
          case 'deleting':
            return { step: 'delete', at: 0 };
          default:
            return { step: 'none', at: Number.POSITIVE_INFINITY };
        }
      });
    },

    planRetention: async (showId, at) =>
      mapped(
        await (at === null ? runner.guard((client) => client.zrem(retentionKey, showId)) : plan(showId, at)),
        () => null,
      ),

    async indexRetention() {
      let cursor = '0';
      do {
        const scanned = await runner.guard((client) => client.zscan(showsKey, cursor, 'COUNT', INDEX_COUNT));
        if (!scanned.ok) return scanned;
        const [next, flat] = scanned.value;
        const ids = flat.filter((id, i) => i % 2 === 0 && isId(id));
        if (ids.length > 0) {
          const members = ids.flatMap((id) => [String(now()), id]);
          const added = await runner.write('ZADD', retentionKey, 'NX', ...members);
          if (!added.ok) return added;
        }
        cursor = next;
      } while (cursor !== '0');
      return ok(null);
    },
  };

  async function forget(showId: string): Promise<void> {
    const { client, keys } = runner;
    const sorted = [keys.resting, keys.publicShows, keys.shows];
    await Promise.all([client.srem(keys.live, showId), ...sorted.map((key) => client.zrem(key, showId))]);
    // Last: until then a job repeats it.
    await client.zrem(retentionKey, showId);
  }
}
