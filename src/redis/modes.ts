/** Chooses how scripts run and publish on this Redis, by trying what the engine needs. */
import type { RedisTrouble } from '../domain/health.ts';
import type { RedisClient } from './client.ts';
import { isFull } from './full.ts';
import type { Keys } from './keys.ts';
import { isStateful, missingWords, neededCommands, refusalOf } from './permissions.ts';
import { pack } from './records.ts';
import { relayModeOfOthers } from './relay-mode.ts';
import { newNonce, type RelayProbe } from './relay-probe.ts';
import { FIRST_CHOICE, loadScripts, registerScripts, type ScriptModes } from './scripts.ts';
import { forbidden, isRefused, NO_RELAY, otherRelay, TroubleError, troubleOf, wordsOf } from './states.ts';

/** A setting, or what the server allows. */
export interface ModeSettings {
  readonly scripts: 'auto' | ScriptModes['scripts'];
  readonly publish: 'auto' | ScriptModes['publish'];
}

export interface ModesContext {
  readonly client: RedisClient;
  readonly relay: RelayProbe;
  readonly keys: Keys;
  readonly keyPrefix: string;
  readonly user: string;
  readonly settings: ModeSettings;
  /** Jobs of this process need more permissions. */
  readonly runsJobs: boolean;
  readonly needsKeyIdentity: boolean;
}

const ARRIVAL_MS_MAX = 2_000;

/** Permissions that the engine can do without in another mode. */
const EVAL_HELPS = /^\+(fcall|function(\|\w+)?)$/;
const CLASSIC_HELPS = /^\+s(un)?(subscribe|publish)$/;
/** What a check wrote under a key that it may not delete. */
const KEPT_MS = 60_000;

/**
 * Returns modes that work: those before a reconnect (`previous`), else the first choice, else what
 * the server allows. Rejects with the reason of the first ones, or of others that need less.
 */
export async function chooseModes(context: ModesContext, previous: ScriptModes | null): Promise<ScriptModes> {
  const { client, keys, settings } = context;
  // A missing permission is reported with all others.
  const others = await relayModeOfOthers(client, keys.relay).catch((error: unknown) => {
    if (isRefused(error)) return null;
    throw error;
  });
  if (others !== null && settings.publish !== 'auto' && others !== settings.publish)
    throw new TroubleError(otherRelay(others, settings.publish));
  let scripts = settings.scripts === 'auto' ? (previous?.scripts ?? FIRST_CHOICE.scripts) : settings.scripts;
  let publish = settings.publish === 'auto' ? (previous?.publish ?? FIRST_CHOICE.publish) : settings.publish;
  publish = others ?? publish;
  let best: unknown = null;
  for (;;) {
    try {
      await tryModes(context, { scripts, publish });
      return Object.freeze({ scripts, publish });
    } catch (error) {
      best = best === null || needsLess(error, best) ? error : best;
      const lacks = error instanceof MissingError ? error.missing : [];
      const helps = (pattern: RegExp): boolean => lacks.some((word) => pattern.test(word));
      const triesEval = scripts === 'functions' && settings.scripts === 'auto' && helps(EVAL_HELPS);
      const isRelay = troubleOf(error).state === 'no_relay' || helps(CLASSIC_HELPS);
      const triesClassic = publish === 'sharded' && settings.publish === 'auto' && others === null && isRelay;
      if (!triesEval && !triesClassic) throw best;
      if (triesEval) scripts = 'eval';
      if (triesClassic) publish = 'classic';
    }
  }
}

/** Redis refused commands. `missing` are words of the ACL rule, or the commands of this server. */
class MissingError extends TroubleError {
  readonly missing: readonly string[];

  constructor(trouble: RedisTrouble, missing: readonly string[]) {
    super(trouble);
    this.missing = missing;
  }
}

const needsLess = (one: unknown, other: unknown): boolean =>
  one instanceof MissingError &&
  other instanceof MissingError &&
  one.missing.length < other.missing.length &&
  one.missing.every((word) => other.missing.includes(word));

/** Returns the trouble of an error. Names the ACL rule if a permission is missing. */
export function explain(error: unknown, { user, keyPrefix }: ModesContext): RedisTrouble {
  const trouble = troubleOf(error);
  if (error instanceof TroubleError || trouble.state !== 'no_permission') return trouble;
  const words = wordsOf(error);
  const missing = missingWords(words, keyPrefix);
  return missing.length === 0 ? trouble : forbidden(user, missing);
}

/** The words of the ACL rule that errors ask for. */
class Missing {
  readonly words = new Set<string>();
  readonly #keyPrefix: string;
  /** The server lacks a command. */
  absent: unknown = null;

  constructor(keyPrefix: string) {
    this.#keyPrefix = keyPrefix;
  }

  /** Throws an error that is no refusal, or that asks for nothing known. */
  add(error: unknown): void {
    if (!isRefused(error)) throw error;
    const words = wordsOf(error);
    const [, command] = /unknown (?:sub)?command '?(\w+)/i.exec(words) ?? [];
    const found = command === undefined ? missingWords(words, this.#keyPrefix) : [`+${command.toLowerCase()}`];
    if (found.length === 0) throw error;
    if (command !== undefined) this.absent ??= error;
    for (const word of found) this.words.add(word);
  }

  attempt(step: Promise<unknown>): Promise<unknown> {
    return step.catch((error: unknown) => this.add(error));
  }
}

function unlessFull(error: unknown): void {
  if (!isFull(error)) throw error;
}

/** Resolves if the scripts run in these modes and, for a new relay, if their messages arrive. */
async function tryModes(context: ModesContext, modes: ScriptModes): Promise<void> {
  const { client, relay, keys, keyPrefix, user } = context;
  const nonce = newNonce();
  const missing = new Missing(keyPrefix);
  const isNewRelay = !relay.isListening(modes.publish);
  const listen = (): Promise<unknown> => missing.attempt(relay.listen(modes.publish));
  if (isNewRelay) await listen();
  // A full server refuses to load functions, and runs `check` without them.
  await missing.attempt(loadScripts(client, modes).catch(unlessFull));
  const arrival = relay.arrival(nonce, ARRIVAL_MS_MAX);
  const { all, of } = keys.show(relay.show);
  const [publish, subscribe] = modes.publish === 'sharded' ? ['SPUBLISH', 'SSUBSCRIBE'] : ['PUBLISH', 'SUBSCRIBE'];
  const needed = neededCommands(of.show, { ...context, ...modes });
  const commands = [...needed, [publish as string, of.channel, ''], [subscribe as string, of.channel]];
  const scripts = registerScripts(
    () => client,
    () => modes,
  );
  let suspects = commands;
  let refusal: unknown = null;
  try {
    const check = [all, '', pack([commands, nonce])] as const;
    const reply = await scripts.run('check', ...check).catch((error: unknown) => {
      unlessFull(error);
      return scripts.runIfFull('check', ...check);
    });
    suspects = (reply[1] as number[]).map((position) => commands[position - 1] as string[]);
  } catch (error) {
    // Then each command is tried.
    if (!isRefused(error)) throw error;
    refusal = error;
  }
  const isSubscription = ([name]: string[]): boolean => name === subscribe;
  const sent = suspects.filter((words) => !isSubscription(words) && !isStateful(words));
  const refusals = await Promise.all(sent.map((words) => refusalOf(client, words, of.show)));
  for (const error of refusals) if (error !== null) missing.add(error);
  if (!isNewRelay && suspects.some(isSubscription)) await listen();
  if (refusal === null) {
    for (const [name = ''] of suspects.filter(isStateful)) missing.words.add(`+${name.toLowerCase()}`);
  } else {
    await Promise.allSettled([client.del(of.show), client.pexpire(of.show, KEPT_MS)]);
    if (missing.words.size === 0) missing.add(refusal);
  }
  if (missing.words.size > 0) {
    const words = [...missing.words];
    const trouble = missing.absent === null ? forbidden(user, words) : troubleOf(missing.absent);
    throw new MissingError(trouble, words);
  }
  if (isNewRelay && !(await arrival)) throw new TroubleError(NO_RELAY);
}
