/** Runs scripts and commands on shows: adds the run id, fences shows, and codes every failure. */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { isId } from '../domain/mistakes.ts';
import type { CountHolds, HoldOutcome } from '../domain/reservation.ts';
import { ERRORS, type ErrorCode, fail, ok, type Result } from '../protocol/codes.ts';
import type { RedisClient } from './client.ts';
import type { RedisConnection } from './connection.ts';
import { redisFailure } from './errors.ts';
import { isNewer, keepOlderFormat } from './formats.ts';
import { isFreeing, isFull, writeIfFull } from './full.ts';
import type { Keys, ShowKey, ShowKeys } from './keys.ts';
import { type KeyType, MOVED_KEYS } from './moved-keys.ts';
import { pack } from './records.ts';
import { registerScripts, type ScriptName, type ScriptReply, type Scripts } from './scripts.ts';
import { LOST, wordsOf } from './states.ts';

/** One may migrate the show, another one may fence it. */
const ATTEMPTS_MAX = 4;
const RETRY_MS = 500;
const FROZEN_RETRY_MS = 1_000;
const NO_BYTES = Buffer.alloc(0);

export const newEpoch = (): string => randomBytes(6).toString('base64url');
export const textOf = (value: ScriptReply[number] | undefined): string =>
  Buffer.isBuffer(value) ? value.toString() : String(value ?? '');
export const numberOf = (value: ScriptReply[number] | undefined): number => Number(textOf(value));
export const bytesOf = (value: ScriptReply[number] | undefined): Buffer => (Buffer.isBuffer(value) ? value : NO_BYTES);
/** Returns the same bytes as a Buffer, which the driver needs. */
export const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
/** Returns the value as `view` shows it, or the failure. */
export const mapped = <T, U>(result: Result<T>, view: (value: T) => U): Result<U> =>
  result.ok ? ok(view(result.value)) : result;
const NEWER = 'A newer release has written this show. Connect to a node of that release, or upgrade this one.';
const NEWER_RETRY_MS = 2_000;
/** Keys and entries that were logged once. */
const LOGGED_MAX = 1_000;
const UNREADABLE = 'A record of this show in Redis cannot be read. The log of the engine names its key.';
/** What scripts (lua/lib/show.lua) report before they wrote anything. */
const UNREADABLE_RECORD = /^(.*) cannot be read\b/s;

const REDIS_TYPES: Readonly<Record<KeyType, string>> = { hash: 'hash', set: 'zset', stream: 'stream', text: 'string' };

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text);

export interface ScriptRunnerOptions {
  readonly connection: RedisConnection;
  readonly keys: Keys;
  readonly logger?: Logger | undefined;
  /** Receives what a script call did to holds (lua/lib/holds.lua), when its reply arrives. */
  readonly onHolds?: CountHolds | undefined;
  /** Receives the amount of each confirmed order in minor units, when the reply arrives. */
  readonly onOrder?: ((currency: string, amount: number) => void) | undefined;
  /** Receives how long each script took, from sending it to its reply. */
  readonly onScript?: ((name: ScriptName, elapsedMs: number) => void) | undefined;
}

export class ScriptRunner {
  readonly connection: RedisConnection;
  readonly keys: Keys;
  readonly #scripts: Scripts;
  readonly #options: ScriptRunnerOptions;
  readonly #logged = new Set<string>();
  /** Called in the process that fenced a show. */
  onFenced: ((showId: string) => void) | undefined;

  constructor(options: ScriptRunnerOptions) {
    this.#options = options;
    this.connection = options.connection;
    this.keys = options.keys;
    this.#scripts = registerScripts(() => this.client, this.connection.modes);
  }

  get client(): RedisClient {
    return this.connection.client;
  }

  keysOf(showId: string): ShowKeys['of'] {
    return this.keys.show(showId).of;
  }

  /** Returns the script's reply after its leading 'ok'. Never throws. */
  async run(name: ScriptName, showId: string, args: unknown, ...more: Buffer[]): Promise<Result<ScriptReply>> {
    const keys = this.keys.show(showId).all;
    const [anyKey = ''] = keys;
    try {
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        const runId = await this.connection.runIdOf(anyKey);
        if (!runId) return this.#unavailable();
        const sentAt = performance.now();
        const server = this.connection.keepsFormat ? `~${runId}` : runId;
        const [status, ...rest] = await this.#call(name, keys, server, args, ...more);
        this.#options.onScript?.(name, performance.now() - sentAt);
        const word = this.#withoutLost(textOf(status), rest);
        if (word === 'ok+') this.#countHolds(rest.pop());
        if (word === 'ok' || word === 'ok+') return ok(rest);
        if (word === 'frozen')
          return fail('overloaded', 'The show is being exported; try again.', { retryAfterMs: FROZEN_RETRY_MS });
        if (word === 'format_newer') return this.newer(showId);
        if (word === 'outdated') {
          const [, migrated] = await this.#call('migrate', keys, runId, []);
          if (textOf(migrated) === 'later') {
            this.connection.keepsFormat = true;
            await keepOlderFormat(this.client, this.keys);
          }
          continue;
        }
        if (word !== 'fenced') return fail(isErrorCode(word) ? word : 'internal');
        // Another server may have taken over meanwhile, or the slot moved.
        if ((await this.connection.confirmRunId(anyKey)) !== runId) continue;
        const fenced = await this.#call('fence', keys, runId, [newEpoch()]);
        if (textOf(fenced[1]) === '+') this.onFenced?.(showId);
      }
      return fail('redis_unavailable', 'Another Redis server is taking over; repeat with the same key.', {
        retryAfterMs: RETRY_MS,
      });
    } catch (error) {
      const isOfOtherType = wordsOf(error).includes('WRONGTYPE') && (await this.#logOtherTypes(showId));
      return isOfOtherType ? fail('internal', UNREADABLE) : this.#coded(error, name, showId);
    }
  }

  /**
   * Logs the keys of a show that have another type than they should: Redis names none. Returns
   * whether there are any.
   */
  async #logOtherTypes(showId: string): Promise<boolean> {
    const keys = this.keysOf(showId);
    const damaged = await Promise.all(
      Object.entries(MOVED_KEYS).map(async ([name, type]) => {
        const key = keys[name as ShowKey];
        const found = await this.client.type(key).catch(() => 'none');
        if (found === 'none' || found === REDIS_TYPES[type]) return false;
        this.unreadable(key, new Error(`it has another type (${found})`), { once: true });
        return true;
      }),
    );
    return damaged.includes(true);
  }

  /** Returns the first word of a reply. Logs what a '!' behind it means (lua/lib/commit.lua). */
  #withoutLost(word: string, rest: ScriptReply): string {
    if (!word.endsWith('!')) return word;
    const reason =
      'it has another type, or a last id that is above the offset of its show: events are published, and not kept. ' +
      'Delete foreign entries (XDEL) and set the last id to the offset (XSETID), or delete the key';
    this.unreadable(textOf(rest.pop()), new Error(reason), { once: true });
    return word.slice(0, -1);
  }

  async #call(name: ScriptName, keys: readonly string[], server: string, args: unknown, ...more: Buffer[]) {
    const values = [server, pack(args), ...more];
    try {
      return await this.#scripts.run(name, keys, ...values);
    } catch (error) {
      if (!isFull(error) || !isFreeing(name, args)) throw error;
      this.connection.report(error);
      return this.#scripts.runIfFull(name, keys, ...values);
    }
  }

  /** Runs a write command on one key, also if Redis is full (full.ts). */
  write(command: string, key: string, ...args: Array<string | number | Buffer>): Promise<Result<unknown>> {
    return this.guard((client) => writeIfFull(client, command, key, ...args));
  }

  get onOrder(): ScriptRunnerOptions['onOrder'] {
    return this.#options.onOrder;
  }

  /** Counts holds for the metrics. */
  countHolds(outcome: HoldOutcome, holds: number, units: number): void {
    if (holds > 0) this.#options.onHolds?.(outcome, holds, units);
  }

  #countHolds(counts: ScriptReply[number] | undefined): void {
    const flat = Array.isArray(counts) ? counts : [];
    for (let i = 0; i + 2 < flat.length; i += 3)
      this.countHolds(textOf(flat[i]) as HoldOutcome, numberOf(flat[i + 1]), numberOf(flat[i + 2]));
  }

  /** Runs plain commands. Codes failures as `run` does. */
  async guard<T>(work: (client: RedisClient) => Promise<T>): Promise<Result<T>> {
    if (this.connection.status.refusal !== null) return this.#unavailable();
    try {
      return ok(await work(this.client));
    } catch (error) {
      return this.#coded(error, 'command');
    }
  }

  /** For plain commands: fails as a script does for a missing, newer, archived or deleted show. */
  async showIsOpen(showId: string): Promise<Result<null>> {
    const header = await this.guard((client) => client.hmget(this.keysOf(showId).show, 'state', 'format'));
    if (!header.ok) return header;
    const [state, format] = header.value;
    if (isNewer(format)) return this.newer(showId);
    if (state === 'archived') return fail('show_archived');
    return state === null || state === 'deleting' ? fail('show_not_found') : ok(null);
  }

  /** Returns the failure for a show whose format this release does not know. Logs it once. */
  newer(showId: string): Result<never> {
    const key = this.keysOf(showId).show;
    if (this.#isFirst(`newer ${showId}`))
      this.#options.logger?.warn(
        { show: showId, key },
        'a newer release has written this show: this process refuses it',
      );
    return fail('format_newer', NEWER, { retryAfterMs: NEWER_RETRY_MS });
  }

  /** Returns whether a member of an index may be a show. A foreign one is logged once. */
  isShowId(index: string, member: string): boolean {
    if (isId(member)) return true;
    const short = member.slice(0, 200);
    if (this.#isFirst(`${index} ${short}`))
      this.#options.logger?.warn({ key: index, member: short }, 'an entry in Redis is no id of a show, and is ignored');
    return false;
  }

  #isFirst(what: string): boolean {
    const isFirst = !this.#logged.has(what) && this.#logged.size < LOGGED_MAX;
    if (isFirst) this.#logged.add(what);
    return isFirst;
  }

  #unavailable(): Result<never> {
    return { ok: false, error: redisFailure(this.connection.status.trouble ?? LOST) };
  }

  /**
   * Returns what `view` reads in a value. If it throws, the record is logged with its key, and only
   * this request fails.
   */
  decoded<T, U>(key: string, result: Result<T>, view: (value: T) => U): Result<U> {
    if (!result.ok) return result;
    try {
      return ok(view(result.value));
    } catch (error) {
      return this.unreadable(key, error);
    }
  }

  /** Logs a record that cannot be read. Returns the failure of the request that needs it. */
  unreadable(key: string, error: unknown, { once = false } = {}): Result<never> {
    if (!once || this.#isFirst(key))
      this.#options.logger?.error({ key, reason: wordsOf(error) }, 'a record in Redis cannot be read');
    return fail('internal', UNREADABLE, { details: { unreadable: true } });
  }

  /** Logs `internal` failures: they are bugs of ours, or foreign bytes in Redis. */
  #coded(error: unknown, what: string, show?: string): Result<never> {
    const key = error instanceof Error ? UNREADABLE_RECORD.exec(error.message)?.[1] : undefined;
    if (key !== undefined) return this.unreadable(key, error);
    const trouble = this.connection.report(error);
    const coded = redisFailure(trouble);
    if (coded.code === 'internal')
      this.#options.logger?.error({ what, show, reason: wordsOf(error) }, 'Redis refused a command');
    return { ok: false, error: coded };
  }
}
