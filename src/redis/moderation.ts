/**
 * What hosts do about a show's chat and who is there: messages taken off, users muted for a time,
 * the numbers of the audience.
 */

import type { AuthoredMessage, ModerationStore, Mute, ViewerNumbers } from '../domain/moderation.ts';
import { checkMute } from '../domain/moderation.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { CHAT_TIME_STEP_MS, type ChatItem } from '../protocol/messages.ts';
import { unpack, unpackAll } from './records.ts';
import { isErrorCode, type ScriptSession, textOf } from './session.ts';

/** Batches of chat read in one step. */
const BATCHES_A_READ = 10;

type Entry = [id: string, fields: Buffer[]];
type Head = [node: string, at: number, firstId: number];

export class Moderation implements ModerationStore {
  readonly #session: ScriptSession;

  constructor(session: ScriptSession) {
    this.#session = session;
  }

  async removeChat(showId: string, ids: readonly number[]): Promise<Result<{ removed: number }>> {
    const wrong =
      ids.length === 0 ||
      ids.length > LIMITS.chatRemovedPerCallMax ||
      !ids.every((id) => Number.isSafeInteger(id) && id > 0);
    if (wrong)
      return fail('invalid_request', `Give 1 to ${LIMITS.chatRemovedPerCallMax} ids of chat messages.`, {
        details: { field: 'ids' },
      });
    const outcome = await this.#moderate(showId, { op: 'remove', ids: [...new Set(ids)] });
    if (!outcome.ok)
      return outcome.error.code === 'not_found'
        ? fail('not_found', 'No chat message of this show has that id.')
        : outcome;
    return ok({ removed: outcome.value });
  }

  async mute(showId: string, user: string, forMs: number): Promise<Result<Mute>> {
    const wrong = checkMute(user, forMs);
    if (wrong) return { ok: false, error: wrong };
    const outcome = await this.#moderate(showId, { op: 'mute', user, ms: forMs });
    return outcome.ok ? ok({ user, until: outcome.value }) : outcome;
  }

  async unmute(showId: string, user: string): Promise<Result<null>> {
    const outcome = await this.#moderate(showId, { op: 'unmute', user });
    return outcome.ok ? ok(null) : outcome;
  }

  async mutes(showId: string): Promise<Result<Mute[]>> {
    const { mutes } = this.#session.keys.show(showId).of;
    const { client, clock } = this.#session.link;
    return this.#ofShow(showId, async () => {
      const flat = await client.zrange(mutes, `(${clock.now()}`, '+inf', 'BYSCORE', 'WITHSCORES');
      return flat.flatMap((user, i) => (i % 2 === 0 ? [{ user, until: Number(flat[i + 1]) }] : []));
    });
  }

  async recentChat(showId: string): Promise<Result<AuthoredMessage[]>> {
    const { chat, removed } = this.#session.keys.show(showId).of;
    const { client } = this.#session.link;
    return this.#ofShow(showId, async () => {
      const lines: AuthoredMessage[] = [];
      for (let before = '+'; lines.length < LIMITS.chatListedMax; ) {
        const entries = (await client.xrevrangeBuffer(
          chat,
          before,
          '-',
          'COUNT',
          BATCHES_A_READ,
        )) as unknown as Entry[];
        for (const [, fields] of entries) lines.push(...linesOf(fields).reverse());
        if (entries.length < BATCHES_A_READ) break;
        before = `(${String(entries.at(-1)?.[0])}`;
      }
      const gone = new Set(await client.zrange(removed, lines.at(-1)?.id ?? 0, '+inf', 'BYSCORE'));
      return lines
        .filter(({ id }) => !gone.has(String(id)))
        .slice(0, LIMITS.chatListedMax)
        .reverse();
    });
  }

  async viewerNumbers(showId: string): Promise<Result<ViewerNumbers>> {
    const { show, nodes } = this.#session.keys.show(showId).of;
    const { client, clock } = this.#session.link;
    return this.#ofShow(showId, async () => {
      const [[peak, unique, hearts], reports] = await Promise.all([
        client.hmget(show, 'peak', 'unique', 'hearts'),
        client.hvalsBuffer(nodes),
      ]);
      // A node that died said nothing: its number lapses here as in the script that sums.
      const alive = reports
        .map((bytes) => unpack<[viewers: number, at: number]>(bytes))
        .filter(([, at]) => clock.now() - at <= LIMITS.nodeCountsTtlMs);
      const viewers = alive.reduce((sum, [here]) => sum + here, 0);
      return { viewers, peak: Number(peak ?? 0), unique: Number(unique ?? 0), hearts: Number(hearts ?? 0) };
    });
  }

  async #moderate(showId: string, args: { op: string } & Record<string, unknown>): Promise<Result<number>> {
    const reply = await this.#session.run('moderate', showId, args);
    if (!reply.ok) return reply;
    const outcome = textOf(reply.value[0]);
    return isErrorCode(outcome) ? fail(outcome) : ok(Number(outcome));
  }

  async #ofShow<T>(showId: string, read: () => Promise<T>): Promise<Result<T>> {
    const { show } = this.#session.keys.show(showId).of;
    const found = await this.#session.guard(async () =>
      (await this.#session.link.client.exists(show)) === 1 ? { value: await read() } : null,
    );
    if (!found.ok) return found;
    return found.value === null ? fail('show_not_found') : ok(found.value.value);
  }
}

/** The fields of a batch in the history: head, items, authors. */
function linesOf([, head, , items, , authors]: readonly Buffer[]): AuthoredMessage[] {
  if (head === undefined || items === undefined || authors === undefined) return [];
  const [, at, firstId] = unpack<Head>(head);
  const users = unpack<string[]>(authors);
  return (unpackAll(items) as ChatItem[]).map(([i, dt, name, text, mark = 0]) => ({
    id: firstId + i,
    at: at + dt * CHAT_TIME_STEP_MS,
    user: users[i] ?? '',
    name,
    text,
    mark,
  }));
}
