/** Which users are being erased, and what that did. */
import { hash, randomBytes } from 'node:crypto';
import { Cluster, type Redis } from 'ioredis';
import type { ArchiveSummary } from '../domain/archive.ts';
import { type ErasureReport, type ErasureStore, NOTHING_ERASED, type PlannedErasure } from '../domain/erasure.ts';
import type { ModerationStore } from '../domain/moderation.ts';
import { LIMITS } from '../limits.ts';
import { createShowEraser } from './erase-show.ts';
import { FIRST_WRITE, writeIfFull } from './full.ts';
import { checkReleases } from './older-releases.ts';
import { pack } from './records.ts';
import { mapped, type ScriptRunner, textOf } from './script-runner.ts';
import { allShowIds } from './show-list.ts';
import { isRefused } from './states.ts';

const SCAN_COUNT = 500;
/**
 * Takes or renews the key if it is free or of this owner; deletes it if it is of this owner. A key
 * without an expiry is of no owner.
 */
const TAKE =
  `${FIRST_WRITE} ` +
  "local owner = redis.call('PTTL', KEYS[1]) >= 0 and redis.call('GET', KEYS[1]) " +
  'if owner and owner ~= ARGV[1] then return 0 end ' +
  "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1";
const LEAVE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/** Anyone who can read Redis can check a guess with it, for the day that a report is kept. */
const userHash = (user: string): string => hash('sha256', `erased\0${user}`, 'base64url');
const globEscaped = (text: string): string => text.replace(/[\\*?[\]]/g, '\\$&');

/** Returns null for a record that cannot be read: it is planned again. */
function readPlanned(text: string | null): PlannedErasure | null {
  try {
    const planned = JSON.parse(text ?? 'null') as PlannedErasure | null;
    const { requestedAt, remaining } = planned?.report ?? {};
    const isPlan =
      typeof planned?.secret === 'string' &&
      typeof planned.triedAt === 'number' &&
      typeof requestedAt === 'number' &&
      Array.isArray(remaining);
    return isPlan ? { ...planned, report: { ...NOTHING_ERASED, ...planned.report } } : null;
  } catch {
    return null;
  }
}

/** Is this text one of the values? Names of fields do not count. */
function hasValue(value: unknown, text: string): boolean {
  if (typeof value !== 'object' || value === null) return value === text;
  return Object.values(value).some((one) => hasValue(one, text));
}

/** Returns whether a recorded response names the user (command-guard.ts). */
function isNamedIn(record: string | null, user: string): boolean {
  if (!record?.includes(JSON.stringify(user))) return false;
  try {
    return hasValue(JSON.parse(record), user);
  } catch {
    return true;
  }
}

export function createErasures(runner: ScriptRunner, moderation: Pick<ModerationStore, 'removeChat'>): ErasureStore {
  const { erasures, eraser, erased } = runner.keys;

  async function deleteResponses(master: Redis, user: string): Promise<number> {
    const pattern = `${globEscaped(runner.keys.result('', '')).replace('{}', '{*}')}*`;
    let [cursor, deleted] = ['0', 0];
    do {
      const [next, keys] = await master.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT);
      for (const key of keys)
        if (isNamedIn(await runner.client.get(key), user)) deleted += await runner.client.unlink(key);
      cursor = next;
    } while (cursor !== '0');
    return deleted;
  }

  return {
    eraseInShow: createShowEraser(runner, moderation),

    async planErasure(user) {
      const now = runner.connection.clock.now();
      const report: ErasureReport = {
        ...{ state: 'running', requestedAt: now, finishedAt: null, ...NOTHING_ERASED, remaining: [] },
      };
      const planned: PlannedErasure = { secret: randomBytes(32).toString('base64url'), triedAt: 0, report };
      return runner.guard(async (client) => {
        await writeIfFull(client, 'HSETNX', erasures, user, JSON.stringify(planned));
        const known = readPlanned(await client.hget(erasures, user));
        if (known === null) await writeIfFull(client, 'HSET', erasures, user, JSON.stringify(planned));
        return known ?? planned;
      });
    },

    saveErasure: async (user, planned) =>
      mapped(await runner.write('HSET', erasures, user, JSON.stringify(planned)), () => null),

    finishErasure: async (user, report) =>
      mapped(
        await runner.guard(async (client) => {
          const kept = ['PX', LIMITS.erasureReportMs];
          await writeIfFull(client, 'SET', erased(userHash(user)), JSON.stringify(report), ...kept);
          await client.hdel(erasures, user);
        }),
        () => null,
      ),

    async erasureOf(user) {
      const read = await runner.guard((client) =>
        Promise.all([client.hget(erasures, user), client.get(erased(userHash(user)))] as const),
      );
      return mapped(read, ([planned, done]) => {
        const running = readPlanned(planned);
        if (running !== null) return running.report;
        return done === null ? null : (JSON.parse(done) as ErasureReport);
      });
    },

    plannedErasures: async () =>
      mapped(await runner.guard((client) => client.hgetall(erasures)), (all) =>
        Object.entries(all).map(([user, text]) => ({ user, triedAt: readPlanned(text)?.triedAt ?? 0 })),
      ),

    takeEraser: async (owner) =>
      mapped(
        await runner.guard((client) => client.eval(TAKE, 1, eraser, owner, LIMITS.erasureLeaseMs)),
        (taken) => taken === 1,
      ),

    leaveEraser: async (owner) =>
      mapped(await runner.guard((client) => client.eval(LEAVE, 1, eraser, owner)), () => null),

    showIds: () => allShowIds(runner),
    checkReleases: () => checkReleases(runner),

    eraseResponses: (user) =>
      runner.guard(async (client) => {
        const masters = client instanceof Cluster ? client.nodes('master') : [client];
        try {
          const deleted = await Promise.all(masters.map((master) => deleteResponses(master, user)));
          return deleted.reduce((sum, count) => sum + count, 0);
        } catch (error) {
          if (isRefused(error)) return null;
          throw error;
        }
      }),

    async replaceArchive(showId, token, summary: ArchiveSummary) {
      const reply = await runner.run('archive', showId, { op: 'replace', token }, pack(summary));
      return mapped(reply, ([word]) => textOf(word) === '+');
    },
  };
}
