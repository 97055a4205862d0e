/**
 * Erases a user from a show in Redis (lua/erase.lua). Streams cannot be changed, so a stream that
 * names the user is copied in slices, and one script call puts the copy in its place. Every step
 * may be repeated after a `kill -9`: the pseudonym stays the same until the erasure ends.
 */
import { randomUUID } from 'node:crypto';
import { ChatPiece } from '../domain/chat-piece.ts';
import { type Erased, type ErasedInShow, type ErasureCounts, erasedEntry, NOTHING_ERASED } from '../domain/erasure.ts';
import type { LedgerEntry } from '../domain/ledger.ts';
import { valueEnds } from '../domain/message-pack.ts';
import { type ModerationStore, muteHash } from '../domain/moderation.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result, StampedeError } from '../protocol/codes.ts';
import { isNewer } from './formats.ts';
import { FIRST_WRITE } from './full.ts';
import type { ShowKeys } from './keys.ts';
import { type PackedReservation, pack, unpack, unpackAll } from './records.ts';
import type { ChatHead } from './relay.ts';
import { numberOf, type ScriptRunner, textOf } from './script-runner.ts';

type Entry = [id: Buffer, fields: Buffer[]];
type Field = [name: string, value: Buffer];
/** Returns the fields of an entry without the user; null: the entry is dropped. */
type Change = (fields: Buffer[], id: string) => Buffer[] | null;

const TRIES_MAX = 3;
/** Recorded commands (lua/lib/idempotency.lua), and what erase.lua calls them. */
const GENERATIONS = [
  ['idem', 'idem'],
  ['idem-old', 'idem_old'],
] as const;
/** Records that one call may change. */
const SLICE = 100;
/** Entries that one call appends. A batch of chat has up to 28 KB. */
const APPENDED_MAX = 20;
/**
 * Appends entries to the copy of a stream, all or none, and renews its expiry. Returns 0 if the
 * show is not marked by this erasure: it was deleted or archived, or another process took over.
 * ARGV: mark, expiry, for each entry the number of its values, and these.
 */
const APPEND =
  "if redis.call('HGET', KEYS[2], 'eraser') ~= ARGV[1] then return 0 end local i = 3 while i < #ARGV do " +
  "local last = i + ARGV[i] redis.call('XADD', KEYS[1], unpack(ARGV, i + 1, last)) i = last + 1 end " +
  "redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1";
const BUSY = fail('overloaded', 'Another process erases this user.', { retryAfterMs: LIMITS.retentionRetryMs });

function unwrap<T>(result: Result<T>): T {
  if (!result.ok) throw new StampedeError(result.error);
  return result.value;
}

function* slices<T>(all: readonly T[], size = SLICE): Generator<T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}

type Reservation = PackedReservation | unknown[];
const isOf = (record: unknown, user: string): record is Reservation => Array.isArray(record) && record[0] === user;
const renamed = (record: unknown[], pseudonym: string): unknown[] => record.with(0, pseudonym).with(6, '');

/** Compares ids of stream entries; the empty one is before all. */
function isAfter(id: string, other: string): boolean {
  const [ms = 0, n = 0] = id.split('-').map(Number);
  const [otherMs = -1, otherN = 0] = other === '' ? [] : other.split('-').map(Number);
  return ms > otherMs || (ms === otherMs && n > otherN);
}

/** Returns the packed result in the record of a command: a string with bytes (idempotency.lua). */
function resultIn(record: Buffer): Buffer {
  const values = record.subarray(1);
  const [bodyEnd = 0, end = 0] = valueEnds(values, 2);
  const type = values[bodyEnd] ?? 0;
  const head = type < 0xc0 ? 1 : { 217: 2, 218: 3, 219: 5 }[type];
  return values.subarray(bodyEnd + (head ?? 1), end);
}

/** One erasure of one show. */
class ShowErasure {
  readonly counts: ErasureCounts = { ...NOTHING_ERASED };
  private isUnreadable = false;
  private readonly runner: ScriptRunner;
  private readonly moderation: Pick<ModerationStore, 'removeChat'>;
  private readonly showId: string;
  private readonly keys: ShowKeys['of'];
  private readonly erased: Erased;
  private readonly bytes: Buffer;
  private readonly token: string;

  constructor(runner: ScriptRunner, moderation: Pick<ModerationStore, 'removeChat'>, showId: string, erased: Erased) {
    this.runner = runner;
    this.moderation = moderation;
    this.showId = showId;
    this.keys = runner.keysOf(showId);
    this.erased = erased;
    this.bytes = Buffer.from(erased.user);
    this.token = `${erased.pseudonym}.${randomUUID()}`;
  }

  async run(): Promise<ErasedInShow> {
    const { user } = this.erased;
    const cursors = await this.cursors();
    const begun = await this.step({ op: 'begin', user, hash: muteHash(this.showId, user), cursors });
    if (textOf(begun[0]) === 'held') return { step: 'held', until: numberOf(begun[1]) };
    this.counts.waits = numberOf(begun[2]);
    this.counts.mutes = numberOf(begun[3]);
    await this.eraseChat();
    const ids = await this.eraseLedger(textOf(begun[1]));
    for (const slice of slices(ids)) await this.eraseRecords(slice);
    for (const [key, name] of GENERATIONS)
      for (const fields of slices(await this.commandsIn(key)))
        this.counts.commands += numberOf((await this.step({ op: 'commands', name, ...this.erased, fields }))[1]);
    await this.step({ op: 'end' });
    // A repeat may find nothing but the pseudonym.
    const shows = Object.values(this.counts).some((value) => value > 0) ? 1 : 0;
    return { step: 'done', counts: { ...this.counts, shows }, isUnreadable: this.isUnreadable };
  }

  /** Returns whether the show knows the user, or is half erased. Changes nothing. */
  async isNamed(): Promise<boolean> {
    const { user } = this.erased;
    const { show, buyers, mutes } = this.keys;
    const known = await this.runner.guard((client) =>
      Promise.all([client.hexists(buyers, user), client.zscore(mutes, user), client.hget(show, 'eraser')] as const),
    );
    const [buyer, mute, eraser] = unwrap(known);
    if (buyer === 1 || mute !== null || (eraser !== null && this.isOwnMark(eraser))) return true;
    for await (const page of this.entries('chat'))
      if (page.some(([, fields]) => this.messagesIn(fields).size > 0 || this.isAuthor(fields))) return true;
    for await (const page of this.entries('ledger'))
      if (page.some(([, [, bytes]]) => bytes?.includes(this.erased.pseudonym) || this.eraseIn(bytes) !== null))
        return true;
    for (const [key] of GENERATIONS) if ((await this.commandsIn(key)).length > 0) return true;
    return (await this.cursors()).length > 0;
  }

  /** Another user may be half erased. Marks of release 0.1.0 do not say whose they are. */
  private isOwnMark(eraser: string): boolean {
    return eraser.startsWith(`${this.erased.pseudonym}.`) || !eraser.startsWith('erased-');
  }

  /** Returns the reply behind 'ok'. Throws if another process took over. */
  private async step(args: Record<string, unknown>) {
    const reply = unwrap(await this.runner.run('erase', this.showId, { ...args, token: this.token }));
    if (textOf(reply[0]) === 'stale' && args.op !== 'swap') throw new StampedeError(BUSY.error);
    return reply;
  }

  private async *entries(stream: 'chat' | 'ledger', from = '-'): AsyncGenerator<Entry[]> {
    const count = LIMITS.archivePageEntries;
    for (let start = from; ; ) {
      const read = await this.runner.guard((client) =>
        client.xrangeBuffer(this.keys[stream], start, '+', 'COUNT', count),
      );
      const page = unwrap(read) as unknown as Entry[];
      if (page.length > 0) yield page;
      if (page.length < count) return;
      start = `(${page.at(-1)?.[0]}`;
    }
  }

  private async *fields(key: string, match?: string): AsyncGenerator<Field[]> {
    const pattern = match === undefined ? [] : ['MATCH', match];
    for (let cursor = '0', isFirst = true; isFirst || cursor !== '0'; isFirst = false) {
      const read = await this.runner.guard(
        (client) =>
          client.callBuffer('HSCAN', key, cursor, ...pattern, 'COUNT', LIMITS.archivePageFields) as Promise<
            [Buffer, Buffer[]]
          >,
      );
      const [next, flat] = unwrap(read);
      cursor = String(next);
      const page: Field[] = [];
      for (let i = 0; i + 1 < flat.length; i += 2) page.push([String(flat[i]), flat[i + 1] as Buffer]);
      yield page;
    }
  }

  /** Returns fields of the header that name the last waitlist entry which was looked at. */
  private async cursors(): Promise<string[]> {
    const found: string[] = [];
    for await (const page of this.fields(this.keys.show, 'line:*'))
      for (const [name, value] of page) if (String(value).endsWith(`/${this.erased.user}`)) found.push(name);
    return found;
  }

  /** Replaces a stream by its changed copy. */
  private async rewrite(stream: 'chat' | 'ledger', change: Change): Promise<void> {
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      unwrap(await this.runner.guard((client) => client.unlink(this.keys.rewrite)));
      let [after, length, bytes] = ['-', 0, 0];
      for (let word = 'more'; word === 'more'; ) {
        for await (const page of this.entries(stream, after)) {
          const kept = page.flatMap(([id, fields]) => {
            const changed = change(fields, String(id));
            return changed === null ? [] : [[id, ...changed]];
          });
          for (const slice of slices(kept, APPENDED_MAX)) bytes = await this.append(slice, bytes);
          length += kept.length;
          after = `(${page.at(-1)?.[0]}`;
        }
        word = textOf((await this.step({ op: 'swap', stream, after, length }))[0]);
        if (word === '+') return;
      }
    }
    throw new StampedeError(BUSY.error);
  }

  /** Returns the size of the copy so far. A full Redis takes a small one: the stream goes. */
  private async append(entries: ReadonlyArray<readonly Buffer[]>, before: number): Promise<number> {
    const { rewrite, show } = this.keys;
    const values = [this.token, LIMITS.erasureMarkMs, ...entries.flatMap((entry) => [entry.length, ...entry])];
    const bytes = entries.flat().reduce((sum, { length }) => sum + length, before);
    const run = (script: string) => this.runner.guard((client) => client.eval(script, 2, rewrite, show, ...values));
    let appended = await run(APPEND);
    const isFull = !appended.ok && appended.error.code === 'redis_full';
    if (isFull && bytes <= LIMITS.erasureCopyIfFullBytesMax) appended = await run(`${FIRST_WRITE} ${APPEND}`);
    else if (isFull) await this.runner.guard((client) => client.unlink(rewrite));
    if (unwrap(appended) === 1) return bytes;
    unwrap(await this.runner.showIsOpen(this.showId));
    throw new StampedeError(BUSY.error);
  }

  /** Chat leaves the screens by events, then the history. The user may still be writing. */
  private async eraseChat(): Promise<void> {
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      const ids = new Set<number>();
      let isNamed = false;
      for await (const page of this.entries('chat'))
        for (const [, fields] of page) {
          isNamed ||= this.isAuthor(fields);
          for (const id of this.messagesIn(fields)) ids.add(id);
        }
      if (!isNamed) return;
      for (const slice of slices([...ids])) unwrap(await this.moderation.removeChat(this.showId, slice));
      await this.rewrite('chat', (fields) => this.withoutMessages(fields));
      this.counts.messages += ids.size;
    }
  }

  private isAuthor([, , , , , authors]: readonly Buffer[]): boolean {
    if (authors?.includes(this.bytes) !== true) return false;
    return this.readable(() => unpack<unknown[]>(authors).includes(this.erased.user), false);
  }

  /** Returns the ids of messages of the user in a batch of the history. */
  private messagesIn(fields: readonly Buffer[]): Set<number> {
    return this.isAuthor(fields) ? this.readable(() => this.messagesOf(fields), new Set()) : new Set();
  }

  /** Throws if the batch cannot be decoded. */
  private messagesOf([, head, , items, , authors]: readonly Buffer[]): Set<number> {
    if (!head || !items || !authors) return new Set();
    const users = unpack<string[]>(authors);
    const [, , firstId] = unpack<ChatHead>(head);
    const indexes = (unpackAll(items) as Array<[index: number]>).map(([index]) => index);
    const ids = indexes.filter((i) => users[i] === this.erased.user).map((i) => firstId + i);
    if (!ids.every(Number.isSafeInteger)) throw new Error('the ids of messages are not numbers');
    return new Set(ids);
  }

  private withoutMessages(fields: Buffer[]): Buffer[] | null {
    const [h, head, i, items, a, authors] = fields;
    if (!this.isAuthor(fields) || !h || !head || !i || !items || !a || !authors) return fields;
    // A batch that no reader can decode is dropped: its texts are not known to be of other users.
    return this.readable(() => {
      const users = pack(unpack<string[]>(authors).map((user) => (user === this.erased.user ? '' : user)));
      const [node, at, first, shown, count, lastShown] = unpack<[string, ...number[]]>(head) as ChatHead;
      const piece = new ChatPiece(first, at, shown, items, first + lastShown).without(this.messagesOf(fields));
      if (piece === null) return null;
      const last = piece.lastId - first;
      return [
        h,
        pack([node, at, first, piece.count, count, last, users.length]),
        i,
        Buffer.from(piece.items),
        a,
        users,
      ];
    }, null);
  }

  /** Returns the reservations of the user up to this position. Later entries are not erased. */
  private async eraseLedger(position: string): Promise<string[]> {
    const ids = new Set<string>();
    const onEntry = (): void => {
      this.counts.ledgerEntries += 1;
    };
    for await (const page of this.entries('ledger'))
      for (const [id, fields] of page) if (!isAfter(String(id), position)) this.eraseIn(fields[1], ids, onEntry);
    if (this.counts.ledgerEntries > 0)
      await this.rewrite('ledger', (fields, id) => {
        const bytes = isAfter(id, position) ? null : this.eraseIn(fields[1]);
        return bytes === null ? fields : fields.with(1, bytes);
      });
    return [...ids];
  }

  /**
   * Returns the ledger entries of one call without the user, or null if they do not name them.
   * Collects the reservations of the user, also under the pseudonym.
   */
  private eraseIn(bytes: Buffer | undefined, ids?: Set<string>, onEntry?: () => void): Buffer | null {
    const { user, pseudonym } = this.erased;
    if (!bytes || !(bytes.includes(this.bytes) || (ids && bytes.includes(pseudonym)))) return null;
    return this.readable(() => {
      let isChanged = false;
      const note = (id: unknown, of: unknown): void => {
        if (typeof id === 'string' && (of === user || of === pseudonym)) ids?.add(id);
      };
      const change = (): void => {
        isChanged = true;
        onEntry?.();
      };
      const entries = unpackAll(bytes).map((entry) => {
        const values = entry as unknown[];
        // A run of holds (lua/lib/ledger.lua): {'hold', items, record, record, ...}.
        if (values[0] === 'hold' && Array.isArray(values[1])) {
          return values.map((record, i) => {
            if (i < 2 || !Array.isArray(record)) return record;
            note(record[1], record[0]);
            if (!isOf(record, user)) return record;
            change();
            return renamed(record, pseudonym);
          });
        }
        note(values[2], values[3]);
        const erased = erasedEntry(entry as LedgerEntry, this.erased);
        if (erased !== null) change();
        return erased ?? entry;
      });
      return isChanged ? Buffer.concat(entries.map(pack)) : null;
    }, null);
  }

  private async eraseRecords(ids: readonly string[]): Promise<void> {
    const read = await this.runner.guard((client) => client.hmgetBuffer(this.keys.reservations, ...ids));
    const records = unwrap(read);
    const own = ids.filter((_, i) => this.isReservation(records[i]));
    if (own.length === 0) return;
    this.counts.reservations += numberOf((await this.step({ op: 'records', ...this.erased, ids: own }))[1]);
  }

  private isReservation(bytes: Buffer | null | undefined): boolean {
    if (!bytes?.includes(this.bytes)) return false;
    return this.readable(() => isOf(unpack(bytes), this.erased.user), false);
  }

  /** Returns the recorded commands of the user, and those with a reservation of the user. */
  private async commandsIn(key: 'idem' | 'idem-old'): Promise<string[]> {
    const found = new Set<string>();
    for await (const page of this.fields(this.keys[key]))
      for (const [name, value] of page) if (this.isCommand(name, value)) found.add(name);
    return [...found];
  }

  private isCommand(name: string, value: Buffer): boolean {
    if (name.startsWith(`user:${this.erased.user}\0`)) return true;
    if (!value.includes(this.bytes)) return false;
    try {
      return this.isReservation(resultIn(value));
    } catch {
      // The number that is the result of an announcement.
      return false;
    }
  }

  /** Returns `other` for bytes that have the id of the user and cannot be decoded. */
  private readable<T>(read: () => T, other: T): T {
    try {
      return read();
    } catch {
      this.isUnreadable = true;
      return other;
    }
  }
}

export function createShowEraser(runner: ScriptRunner, moderation: Pick<ModerationStore, 'removeChat'>) {
  return async (showId: string, erased: Erased): Promise<Result<ErasedInShow>> => {
    const header = await runner.guard((client) => client.hmget(runner.keysOf(showId).show, 'state', 'format'));
    if (!header.ok) return header;
    const [state, format] = header.value;
    if (isNewer(format)) return runner.newer(showId);
    if (state === 'archived') return ok({ step: 'archived' });
    if (state === 'archiving') return ok({ step: 'busy' });
    const erasure = new ShowErasure(runner, moderation, showId, erased);
    try {
      if (state === null || state === 'deleting') return ok({ step: 'gone', counts: NOTHING_ERASED });
      if (!(await erasure.isNamed())) return ok({ step: 'done', counts: NOTHING_ERASED, isUnreadable: false });
      return ok(await erasure.run());
    } catch (error) {
      // One show does not stop the others.
      if (!(error instanceof StampedeError)) return fail('internal', (error as Error).message);
      // Scripts run only if the show names the user.
      if (error.failure.code === 'show_not_found') return ok({ step: 'gone', counts: { ...erasure.counts, shows: 1 } });
      return error.failure.code === 'show_archived' ? ok({ step: 'busy' }) : { ok: false, error: error.failure };
    }
  };
}
