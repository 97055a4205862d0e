/**
 * Runs scripts on a show: adds the server's run id, fences a show that another server wrote last,
 * and codes every failure.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { ERRORS, type ErrorCode, fail, ok, type Result } from '../protocol/codes.ts';
import { redisFailure } from './errors.ts';
import type { Keys } from './keys.ts';
import type { RedisLink } from './link.ts';
import { pack } from './records.ts';
import type { ScriptName, ScriptReply, Scripts } from './scripts.ts';

export const newEpoch = (): string => randomBytes(6).toString('base64url');
export const textOf = (value: ScriptReply[number] | undefined): string =>
  Buffer.isBuffer(value) ? value.toString() : String(value ?? '');
export const bytesOf = (value: ScriptReply[number] | undefined): Buffer =>
  Buffer.isBuffer(value) ? value : Buffer.alloc(0);
/** The same bytes, as the driver takes them. */
export const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text);

export interface SessionOptions {
  readonly link: RedisLink;
  readonly keys: Keys;
  readonly scripts: Scripts;
  readonly logger?: Logger | undefined;
  readonly onScript?: ((name: ScriptName, elapsedMs: number) => void) | undefined;
}

export class ScriptSession {
  readonly link: RedisLink;
  readonly keys: Keys;
  readonly #scripts: Scripts;
  readonly #logger: Logger | undefined;
  /** Called once for a show that another server wrote last, by the process that noticed. */
  onFenced: ((showId: string) => void) | undefined;
  /** Told how long each script took, from sending it to its reply. */
  readonly #onScript: ((name: ScriptName, elapsedMs: number) => void) | undefined;

  constructor({ link, keys, scripts, logger, onScript }: SessionOptions) {
    this.#logger = logger;
    this.link = link;
    this.keys = keys;
    this.#scripts = scripts;
    this.#onScript = onScript;
  }

  /** The script's reply after its leading 'ok'. Never throws. */
  async run(name: ScriptName, showId: string, args: unknown, ...more: Buffer[]): Promise<Result<ScriptReply>> {
    const keys = this.keys.show(showId).all;
    try {
      for (let attempt = 0; attempt < 3; attempt++) {
        const runId = await this.link.runIdOf(keys[0] as string);
        if (!runId) return fail('redis_unavailable', this.link.trouble() ?? undefined, { retryAfterMs: 500 });
        const sentAt = performance.now();
        const [status, ...rest] = await this.#scripts.run(name, keys, runId, pack(args), ...more);
        this.#onScript?.(name, performance.now() - sentAt);
        const word = textOf(status);
        if (word === 'ok') return ok(rest);
        if (word !== 'fenced') return fail(isErrorCode(word) ? word : 'internal');
        // A slot that moved takes its call along to the new owner; the show must not be fenced in
        // the name of the old one.
        if ((await this.link.runIdOf(keys[0] as string)) !== runId) continue;
        const fenced = await this.#scripts.run('fence', keys, runId, pack([newEpoch()]));
        if (textOf(fenced[1]) === '+') this.onFenced?.(showId);
      }
      return fail('redis_unavailable', 'Redis changes hands right now; repeat with the same key.', {
        retryAfterMs: 500,
      });
    } catch (error) {
      return this.#coded(error, name);
    }
  }

  /** For plain commands: the same coding of failures. */
  async guard<T>(work: () => Promise<T>): Promise<Result<T>> {
    const refusal = this.link.refusal();
    if (refusal !== null) return fail('redis_unavailable', refusal, { retryAfterMs: 500 });
    try {
      return ok(await work());
    } catch (error) {
      return this.#coded(error, 'command');
    }
  }

  /** A defect of ours is `internal` to the caller and must be found by us. */
  #coded(error: unknown, what: string): Result<never> {
    const coded = redisFailure(error);
    if (coded.code === 'internal')
      this.#logger?.error(
        { what, reason: error instanceof Error ? error.message : String(error) },
        'Redis refused a command of ours',
      );
    return { ok: false, error: coded };
  }
}
