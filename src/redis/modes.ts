/** Chooses how scripts run and publish on this Redis, by trying what the engine needs. */
import type { RedisTrouble } from '../domain/health.ts';
import type { RedisClient } from './client.ts';
import type { Keys } from './keys.ts';
import { commandsOn, missingWords } from './permissions.ts';
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
}

const ARRIVAL_MS_MAX = 2_000;

/** Permissions that the engine can do without in another mode. */
const EVAL_HELPS = /^\+(fcall|function(\|\w+)?)$/;
const CLASSIC_HELPS = /^\+s(un)?(subscribe|publish)$/;

/**
 * Returns modes that work: those before a reconnect (`previous`), else the first choice, else what
 * the server allows. Rejects with the reason of the first ones.
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
  let first: unknown = null;
  for (;;) {
    try {
      await tryModes(context, { scripts, publish });
      return Object.freeze({ scripts, publish });
    } catch (error) {
      first ??= error;
      const lacks = error instanceof MissingError ? error.missing : [];
      const helps = (pattern: RegExp): boolean => lacks.some((word) => pattern.test(word));
      const triesEval = scripts === 'functions' && settings.scripts === 'auto' && helps(EVAL_HELPS);
      const isRelay = troubleOf(error).state === 'no_relay' || helps(CLASSIC_HELPS);
      const triesClassic = publish === 'sharded' && settings.publish === 'auto' && others === null && isRelay;
      if (!triesEval && !triesClassic) throw first;
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

/** Returns the trouble of an error. Names the ACL rule if a permission is missing. */
export function explain(error: unknown, { user, keyPrefix }: ModesContext): RedisTrouble {
  const trouble = troubleOf(error);
  if (error instanceof TroubleError || trouble.state !== 'no_permission') return trouble;
  const words = wordsOf(error);
  const missing = missingWords(words, keyPrefix);
  return missing.length === 0 ? trouble : forbidden(user, words, missing);
}

const nothing = (): undefined => undefined;

/** Resolves if the scripts run in these modes and, for a new relay, if their messages arrive. */
async function tryModes(context: ModesContext, modes: ScriptModes): Promise<void> {
  const { client, relay, keys, keyPrefix, user } = context;
  const nonce = newNonce();
  const missing = new Set<string>();
  let refusal: unknown = null;
  /** Collects what is missing, so that one rule names all of it. */
  async function attempt(step: () => Promise<readonly string[] | undefined>): Promise<void> {
    try {
      for (const word of (await step()) ?? []) missing.add(word);
    } catch (error) {
      if (!isRefused(error)) throw error;
      refusal ??= error;
      const words = wordsOf(error);
      const [, command] = /unknown (?:sub)?command '?(\w+)/i.exec(words) ?? [];
      const found = command === undefined ? missingWords(words, keyPrefix) : [`+${command.toLowerCase()}`];
      if (found.length === 0) throw error;
      for (const word of found) missing.add(word);
    }
  }
  const isNewRelay = !relay.isListening(modes.publish);
  if (isNewRelay) await attempt(() => relay.listen(modes.publish).then(nothing));
  await attempt(() => loadScripts(client, modes).then(nothing));
  const arrival = relay.arrival(nonce, ARRIVAL_MS_MAX);
  await attempt(async () => {
    const { all, of } = keys.show(relay.show);
    const [publish, subscribe] = modes.publish === 'sharded' ? ['SPUBLISH', 'SSUBSCRIBE'] : ['PUBLISH', 'SUBSCRIBE'];
    const commands = [...commandsOn(of.show), [publish as string, of.channel, '']];
    const informative = [[subscribe as string, of.channel]];
    const scripts = registerScripts(
      () => client,
      () => modes,
    );
    const reply = await scripts.run('check', all, '', pack([commands, informative, nonce]));
    // A user who may not subscribe either lacks the channel.
    const lacksChannel = (reply[2] as number[]).length > 0;
    return (reply[1] as number[]).map((position) => {
      const name = String(commands[position - 1]?.[0]);
      return name === publish && lacksChannel ? `&${keyPrefix}*` : `+${name.toLowerCase()}`;
    });
  });
  if (missing.size > 0) {
    const words = [...missing];
    const named = `NOPERM, ${words.length === 1 ? 'a permission' : `${words.length} permissions`}`;
    const isOld = refusal !== null && troubleOf(refusal).state === 'missing_command';
    throw new MissingError(
      isOld ? troubleOf(refusal) : forbidden(user, refusal === null ? named : wordsOf(refusal), words),
      words,
    );
  }
  if (isNewRelay && !(await arrival)) throw new TroubleError(NO_RELAY);
}
