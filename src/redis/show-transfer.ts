/** Reads all records of a show in slices, and writes them to another server (lua/import.lua). */
import { randomUUID } from 'node:crypto';
import type { Page } from '../domain/archive.ts';
import type { MovableState, RawRecord, TransferStore } from '../domain/transfer.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { viewOf } from './command-reply.ts';
import type { ShowKey } from './keys.ts';
import { isMovedField } from './moved-header.ts';
import { bytesIn, latin, MOVED_KEYS, typeOfKey } from './moved-keys.ts';
import { checkReleases } from './older-releases.ts';
import { indexPublicShow } from './public-shows.ts';
import { createRecordExaminer } from './record-examiner.ts';
import { mapped, newEpoch, type ScriptRunner, textOf } from './script-runner.ts';

const RETRY_MS = 1_000;
/** What there is of a show that does not exist may be of an import that goes on: kept this long. */
export const LEFT_KEPT_MS = 60 * 60 * 1000;

/** Returns the failure of a request for a show of which there is a part of an import only. */
export function importing(code: 'already_exists' | 'illegal_move', showId: string, importAt: number): Result<never> {
  const removedAt = importAt + LEFT_KEPT_MS;
  return fail(
    code,
    `An import of the show ${showId} is under way, or died. Wait for it, or import the file again. What it left is ` +
      `removed within minutes of ${new Date(removedAt).toISOString()}.`,
    { details: { removedAt } },
  );
}
/** Of one scan: less than a millisecond. */
const SCAN_COUNT = 150;
/** Of one script call: Redis is held for half a millisecond, or several while it copies memory. */
const PUT_VALUES_MAX = 120;
const PUT_BYTES_MAX = 16 * 1024;
/** Jobs look after this time whether an import was left behind. */
const FIRST_LOOK_MS = LEFT_KEPT_MS;

type Entry = [id: Buffer, fields: Buffer[]];

const pairsOf = (flat: readonly Buffer[]): RawRecord[] => {
  const pairs: RawRecord[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.push([latin(flat[i] as Buffer), latin(flat[i + 1] as Buffer)]);
  return pairs;
};

/** Values as one argument: a Redis client has some work for each argument. */
interface Values {
  readonly width: number;
  readonly sizes: number[];
  readonly joined: Buffer;
}

function joined(records: readonly RawRecord[]): Values {
  const values = records.flat();
  return {
    width: records[0]?.length ?? 0,
    sizes: values.map(({ length }) => length),
    joined: bytesIn(values.join('')),
  };
}

/** Yields records that fit into one script call and have the same number of values. */
function* slicesOf(records: readonly RawRecord[]): Generator<Values> {
  let [slice, width, values, bytes] = [[] as RawRecord[], 0, 0, 0];
  for (const record of records) {
    const isFull = values + record.length > PUT_VALUES_MAX || bytes > PUT_BYTES_MAX;
    if (slice.length > 0 && (isFull || record.length !== width)) {
      yield joined(slice);
      [slice, values, bytes] = [[], 0, 0];
    }
    width = record.length;
    slice.push(record);
    values += width;
    for (const value of record) bytes += value.length;
  }
  if (slice.length > 0) yield joined(slice);
}

export function createShowTransfer(runner: ScriptRunner): TransferStore {
  const { shows, live, retention } = runner.keys;
  const now = (): number => runner.connection.clock.now();

  /** By the token of a freeze: the revision of the show. */
  const revisions = new Map<string, string>();

  async function exporting(showId: string, op: string, token: string): Promise<Result<string>> {
    const reply = await runner.run('export', showId, { op, token, leaseMs: LIMITS.archiveLeaseMs });
    if (!reply.ok) return reply;
    const [word, state = '', rev = ''] = reply.value.map(textOf);
    if (op === 'freeze') revisions.set(token, rev);
    const known = revisions.get(token);
    if (op === 'thaw') revisions.delete(token);
    // A node of an earlier release does not know that the show is frozen.
    if (word === '+' && rev === known) return ok(state);
    if (word === 'state')
      return fail('illegal_move', `The show is live. End it first: POST /v1/shows/${showId}/end.`, {
        details: { state },
      });
    if (word === 'busy')
      return fail('overloaded', 'The show is being archived, or a user is being erased from it; try again.', {
        retryAfterMs: LIMITS.archiveLeaseMs,
      });
    return fail('overloaded', 'Another export began, or this one was too slow to keep the show from changes.', {
      retryAfterMs: RETRY_MS,
    });
  }

  async function runImport(
    showId: string,
    args: { op: 'begin' | 'put' | 'commit' | 'abort'; token: string; [name: string]: unknown },
    values?: Values,
  ): Promise<Result<null>> {
    const reply =
      values === undefined
        ? await runner.run('import', showId, args)
        : await runner.run('import', showId, { ...args, width: values.width, sizes: values.sizes }, values.joined);
    if (!reply.ok) return reply;
    const word = textOf(reply.value[0]);
    if (word === '+') return ok(null);
    if (word === 'exists')
      return fail(
        'already_exists',
        `A show with id ${showId} exists here, perhaps archived. Delete it first, with its archive if it has one.`,
      );
    const why =
      word === 'restarted'
        ? 'Redis restarted, and may have lost what was written. Import the file again.'
        : 'Another import of this show took over.';
    return fail('overloaded', why, { retryAfterMs: RETRY_MS });
  }

  async function readStream(key: string, from: string | null, count: number): Promise<Result<Page<RawRecord>>> {
    const start = from === null ? '-' : `(${from}`;
    const read = await runner.guard((client) => client.xrangeBuffer(key, start, '+', 'COUNT', count));
    return mapped(read, (entries) => {
      const rows = (entries as unknown as Entry[]).map(([id, fields]) => [latin(id), ...fields.map(latin)]);
      return { rows, next: rows.length < count ? null : (rows.at(-1)?.[0] ?? null) };
    });
  }

  return {
    async freezeExport(showId, token) {
      const alone = await checkReleases(runner);
      if (!alone.ok) return alone;
      return mapped(await exporting(showId, 'freeze', token), (state) => state as MovableState);
    },
    renewExport: async (showId, token) => mapped(await exporting(showId, 'renew', token), () => null),
    thawExport: async (showId, token) => mapped(await exporting(showId, 'thaw', token), () => null),

    // An archived show is its header: other keys expire, and its files are elsewhere.
    exportKeys: (state) => (state === 'archived' ? ['show'] : Object.keys(MOVED_KEYS)),

    async readRecords(showId, name, from) {
      const key = runner.keysOf(showId)[name as ShowKey];
      switch (typeOfKey(name)) {
        case 'stream':
          return readStream(key, from, name === 'ledger' ? LIMITS.archivePageEntries : LIMITS.archivePageEvents);
        case 'hash': {
          const read = await runner.guard((client) => client.hscanBuffer(key, from ?? '0', 'COUNT', SCAN_COUNT));
          return mapped(read, ([cursor, flat]) => ({
            rows: pairsOf(flat).filter(([field = '']) => name !== 'show' || isMovedField(field)),
            next: String(cursor) === '0' ? null : String(cursor),
          }));
        }
        case 'set': {
          const read = await runner.guard((client) => client.zscanBuffer(key, from ?? '0', 'COUNT', SCAN_COUNT));
          return mapped(read, ([cursor, flat]) => ({
            rows: pairsOf(flat).map(([member = '', score = '']) => [score, member]),
            next: String(cursor) === '0' ? null : String(cursor),
          }));
        }
        default: {
          const read = await runner.guard((client) => client.getBuffer(key));
          return mapped(read, (bytes) => ({ rows: bytes === null ? [] : [[latin(bytes)]], next: null }));
        }
      }
    },

    examineRecords: () => createRecordExaminer(now()),

    async beginImport(showId) {
      const alone = await checkReleases(runner);
      if (!alone.ok) return alone;
      const token = randomUUID();
      // First: if this process ends, a job deletes what it wrote.
      const lookAt = now() + FIRST_LOOK_MS;
      const planned = await runner.guard((client) => client.zadd(retention, 'NX', lookAt, showId));
      if (!planned.ok) return planned;
      return mapped(await runImport(showId, { op: 'begin', token }), () => token);
    },

    async putRecords(showId, token, { key, records }) {
      if (key === 'show') return ok(null);
      const name = key.replace('-', '_');
      const puts = [...slicesOf(records)].map((values) => runImport(showId, { op: 'put', token, key: name }, values));
      return (await Promise.all(puts)).find(({ ok }) => !ok) ?? ok(null);
    },

    async commitImport({ show, createdAt, isLive }, token, header) {
      const list = (): Promise<Result<unknown>> =>
        runner.guard((client) =>
          Promise.all([
            client.zadd(shows, 'NX', createdAt, show),
            client.zadd(retention, now(), show),
            ...(isLive ? [client.sadd(live, show)] : []),
          ]),
        );
      // The lists are in other slots, so they are written first: readers skip a show that does not
      // exist, and jobs remove it again.
      const listed = await list();
      if (!listed.ok) return listed;
      const done = await runImport(show, { op: 'commit', token, epoch: newEpoch() }, joined(header));
      if (!done.ok) return done;
      const listedAgain = await list();
      if (!listedAgain.ok) return listedAgain;
      const fields = new Map(header.map(([field, value]) => [field, bytesIn(value)]));
      const imported = runner.decoded(runner.keysOf(show).show, ok(fields), () =>
        viewOf(fields.get('view'), fields.get('state'), createdAt),
      );
      return imported.ok ? mapped(await indexPublicShow(runner, imported.value), () => null) : imported;
    },

    abortImport: (showId, token) => runImport(showId, { op: 'abort', token }),
  };
}
