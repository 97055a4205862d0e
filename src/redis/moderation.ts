/** Moderation of chat, and the numbers of viewers. */
import { type AuthoredMessage, checkMute, type ModerationStore } from '../domain/moderation.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { CHAT_TIME_STEP_MS, type ChatItem } from '../protocol/messages.ts';
import type { RedisClient } from './client.ts';
import { unpack, unpackAll } from './records.ts';
import { isErrorCode, mapped, type ScriptRunner, textOf } from './script-runner.ts';

const BATCHES_PER_READ = 10;

type Entry = [id: string, fields: Buffer[]];
type Head = [node: string, at: number, firstId: number];

/** Reads a batch of the history: head, items and authors. */
function messagesOf([, head, , items, , authors]: readonly Buffer[]): AuthoredMessage[] {
  if (head === undefined || items === undefined || authors === undefined) return [];
  const [, at, firstId] = unpack<Head>(head);
  const users = unpack<string[]>(authors);
  return (unpackAll(items) as ChatItem[]).map(([i, dt, name, text, mark = 0]) => ({
    ...{ id: firstId + i, at: at + dt * CHAT_TIME_STEP_MS, user: users[i] ?? '' },
    ...{ name, text, mark },
  }));
}

/** Returns the newest messages, newest first: at least `wanted`, if there are as many. */
async function newestMessages(
  client: RedisClient,
  key: string,
  wanted: number,
  onUnreadable: (error: unknown) => void,
): Promise<AuthoredMessage[]> {
  const messages: AuthoredMessage[] = [];
  for (let before = '+'; messages.length < wanted; ) {
    const read = await client.xrevrangeBuffer(key, before, '-', 'COUNT', BATCHES_PER_READ);
    const entries = read as unknown as Entry[];
    for (const [, fields] of entries) {
      try {
        messages.push(...messagesOf(fields).reverse());
      } catch (error) {
        onUnreadable(error);
      }
    }
    if (entries.length < BATCHES_PER_READ) break;
    before = `(${String(entries.at(-1)?.[0])}`;
  }
  return messages;
}

/** Returns nothing if it cannot be read: the next report of any node removes it (counts.lua). */
function reportOf(bytes: Buffer): Array<[viewers: number, at: number]> {
  try {
    const [viewers, at] = unpack<[number, number]>(bytes);
    return Number.isFinite(viewers) && Number.isFinite(at) ? [[viewers, at]] : [];
  } catch {
    return [];
  }
}

type Change =
  | { op: 'remove'; ids: number[] }
  | { op: 'mute'; user: string; ms: number }
  | { op: 'unmute'; user: string };

export function createModeration(runner: ScriptRunner): ModerationStore {
  const now = (): number => runner.connection.clock.now();

  async function moderate(showId: string, change: Change): Promise<Result<number>> {
    const reply = await runner.run('moderate', showId, change);
    if (!reply.ok) return reply;
    const outcome = textOf(reply.value[0]);
    return isErrorCode(outcome) ? fail(outcome) : ok(Number(outcome));
  }

  /** Reads something of a show that exists. */
  async function readShow<T>(showId: string, read: (client: RedisClient) => Promise<T>): Promise<Result<T>> {
    const open = await runner.showIsOpen(showId);
    return open.ok ? runner.guard(read) : open;
  }

  return {
    async removeChat(showId, ids) {
      const max = LIMITS.chatRemovedPerCallMax;
      const isValid = ids.length > 0 && ids.length <= max && ids.every((id) => Number.isSafeInteger(id) && id > 0);
      if (!isValid)
        return fail('invalid_request', `Give 1 to ${max} ids of chat messages.`, { details: { field: 'ids' } });
      const outcome = await moderate(showId, { op: 'remove', ids: [...new Set(ids)] });
      if (outcome.ok) return ok({ removed: outcome.value });
      if (outcome.error.code !== 'not_found') return outcome;
      return fail('not_found', 'No chat message of this show has that id.');
    },

    async mute(showId, user, forMs) {
      const wrong = checkMute(user, forMs);
      if (wrong) return { ok: false, error: wrong };
      return mapped(await moderate(showId, { op: 'mute', user, ms: forMs }), (until) => ({ user, until }));
    },

    unmute: async (showId, user) => mapped(await moderate(showId, { op: 'unmute', user }), () => null),

    mutes: (showId) =>
      readShow(showId, async (client) => {
        const flat = await client.zrange(runner.keysOf(showId).mutes, `(${now()}`, '+inf', 'BYSCORE', 'WITHSCORES');
        return flat.flatMap((user, i) => (i % 2 === 0 ? [{ user, until: Number(flat[i + 1]) }] : []));
      }),

    recentChat: (showId) =>
      readShow(showId, async (client) => {
        const { chat, removed } = runner.keysOf(showId);
        const messages = await newestMessages(client, chat, LIMITS.chatListedMax, (error) =>
          runner.unreadable(chat, error),
        );
        const gone = new Set(await client.zrange(removed, messages.at(-1)?.id ?? 0, '+inf', 'BYSCORE'));
        const kept = messages.filter(({ id }) => !gone.has(String(id)));
        return kept.slice(0, LIMITS.chatListedMax).reverse();
      }),

    viewerNumbers: (showId) =>
      readShow(showId, async (client) => {
        const { show, nodes } = runner.keysOf(showId);
        const [[peak, unique, hearts], reports] = await Promise.all([
          client.hmget(show, 'peak', 'unique', 'hearts'),
          client.hvalsBuffer(nodes),
        ]);
        // The report of a dead node expires, as in counts.lua.
        const viewers = reports
          .flatMap((bytes) => reportOf(bytes))
          .reduce((sum, [count, at]) => (now() - at <= LIMITS.nodeCountsTtlMs ? sum + count : sum), 0);
        return { viewers, peak: Number(peak) || 0, unique: Number(unique) || 0, hearts: Number(hearts) || 0 };
      }),
  };
}
