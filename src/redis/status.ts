/** Whether Redis can be used, and why not. Logs each cause once and notifies of changes. */
import type { Logger } from 'pino';
import type { RedisCapabilities, RedisState, RedisTrouble } from '../domain/health.ts';
import { redisFailure } from './errors.ts';
import { CONNECTING, LOST, SILENT_NOW } from './states.ts';

/** What may be limited: calls in general, the relay, or a part of a cluster. */
type Part = 'calls' | 'relay' | 'cluster';
type Listener = (trouble: RedisTrouble | null) => void;

/** These pass by themselves; the others need an operator. */
const PASSING: ReadonlySet<RedisState> = new Set(['connecting', 'refused', 'lost', 'silent', 'loading', 'busy']);

export class RedisStatus {
  readonly #logger: Logger | undefined;
  readonly #listeners = new Set<Listener>();
  readonly #logged = new Set<string>();
  /** Why no command may be sent. */
  #refusal: RedisTrouble | null = CONNECTING;
  /** Why some commands fail, or a part of the server is missing. */
  readonly #limits = new Map<Part, RedisTrouble>();
  #wasReady = false;

  constructor(logger: Logger | undefined) {
    this.#logger = logger;
  }

  get refusal(): RedisTrouble | null {
    return this.#refusal;
  }

  get trouble(): RedisTrouble | null {
    const [limit = null] = this.#limits.values();
    return this.#refusal ?? limit;
  }

  /** No command may be sent. */
  refuse(trouble: RedisTrouble): void {
    this.#change(() => {
      this.#refusal = this.#wasReady && trouble.state === 'silent' ? SILENT_NOW : trouble;
    });
  }

  /** Commands are sent, and some of them fail; null: those of this part succeed again. */
  limit(part: Part, trouble: RedisTrouble | null): void {
    this.#change(() => {
      if (trouble === null) this.#limits.delete(part);
      else this.#limits.set(part, trouble);
    });
  }

  /** The server was identified and allows everything, or only what a full one accepts. */
  accept(capabilities: RedisCapabilities, full: RedisTrouble | null = null): void {
    const wasReady = this.#wasReady;
    const isBack = full === null && (this.#refusal !== null || !wasReady);
    this.#wasReady ||= full === null;
    this.#change(() => {
      this.#refusal = null;
      this.#limits.clear();
      if (full !== null) this.#limits.set('calls', full);
    });
    if (isBack) this.#logger?.info(capabilities, wasReady ? 'Redis is back' : 'Redis is ready');
  }

  /** The connection was closed on purpose: logs and notifies no more. */
  end(): void {
    this.#listeners.clear();
    this.#refusal = LOST;
  }

  watch(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves with the first reason, or with null when Redis can be used. */
  async firstOutcome(timeoutMs: number): Promise<RedisTrouble | null> {
    if (this.trouble !== CONNECTING) return this.trouble;
    return new Promise((resolve) => {
      const settle = (): void => {
        stop();
        clearTimeout(timer);
        resolve(this.trouble);
      };
      const stop = this.watch(settle);
      const timer = setTimeout(settle, timeoutMs);
    });
  }

  async ready(): Promise<void> {
    if (this.#wasReady) return;
    await new Promise<void>((resolve) => {
      const stop = this.watch((trouble) => {
        if (trouble !== null) return;
        stop();
        resolve();
      });
    });
  }

  #change(make: () => void): void {
    const before = this.trouble;
    const wasLimited = before !== null && this.#refusal === null;
    make();
    const { trouble } = this;
    if (trouble?.state === before?.state && trouble?.reason === before?.reason) return;
    if (trouble === null) {
      this.#logged.clear();
      if (wasLimited) this.#logger?.info({ state: before.state }, 'Redis can be used again');
    } else this.#log(trouble);
    for (const listener of [...this.#listeners]) listener(trouble);
  }

  /** A connection that alternates between two causes logs both once. */
  #log(trouble: RedisTrouble): void {
    const cause = `${trouble.state} ${trouble.remedy}`;
    if (trouble === CONNECTING || this.#logged.has(cause)) return;
    this.#logged.add(cause);
    const away = this.#wasReady ? 'Redis is unavailable' : 'waiting for Redis';
    // A full Redis still confirms and releases holds.
    const text = trouble.state === 'full' ? 'Redis is full' : away;
    const { code } = redisFailure(trouble);
    if (PASSING.has(trouble.state)) this.#logger?.warn({ code, ...trouble }, text);
    else this.#logger?.error({ code, ...trouble }, text);
  }
}
