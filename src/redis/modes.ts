/** Chooses how scripts run and publish on this Redis, by trying what the engine needs. */
import type { RedisTrouble } from '../domain/health.ts';
import type { RedisClient } from './client.ts';
import type { Keys } from './keys.ts';
import { commandsOn, missingWords } from './permissions.ts';
import { pack } from './records.ts';
import { relayModeOfOthers } from './relay-mode.ts';
import { newNonce, type RelayProbe } from './relay-probe.ts';
import { loadScripts, registerScripts, type ScriptModes } from './scripts.ts';
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

/** The setting, else the modes in order of preference, the previous one first. */
const candidates = <T>(setting: T | 'auto', previous: T | undefined, all: readonly T[]): T[] =>
  setting === 'auto' ? [...new Set([...(previous === undefined ? [] : [previous]), ...all])] : [setting];

/**
 * Returns the first modes that work. `previous` are those before a reconnect: then only the scripts
 * are tried, because the subscriber may still be connecting. Rejects with the reason of the modes
 * that are preferred.
 */
export async function chooseModes(context: ModesContext, previous: ScriptModes | null): Promise<ScriptModes> {
  const { client, keys, settings } = context;
  const others = await relayModeOfOthers(client, keys.relay);
  if (others !== null && settings.publish !== 'auto' && others !== settings.publish)
    throw new TroubleError(otherRelay(others, settings.publish));
  let first: unknown = null;
  for (const publish of candidates(others ?? settings.publish, previous?.publish, ['sharded', 'classic'] as const))
    for (const scripts of candidates(settings.scripts, previous?.scripts, ['functions', 'eval'] as const)) {
      try {
        await tryModes(context, { scripts, publish }, previous?.publish !== publish);
        return Object.freeze({ scripts, publish });
      } catch (error) {
        if (!isRefused(error) && troubleOf(error).state !== 'no_relay') throw error;
        first ??= error;
      }
    }
  throw first;
}

/** Returns the trouble of an error. Names the ACL rule if a permission is missing. */
export function explain(error: unknown, { user, keyPrefix }: ModesContext): RedisTrouble {
  const trouble = troubleOf(error);
  if (error instanceof TroubleError || trouble.state !== 'no_permission') return trouble;
  const words = wordsOf(error);
  return forbidden(user, words, missingWords(words, keyPrefix));
}

/** Resolves if the scripts run in these modes and, with `isNewRelay`, if their messages arrive. */
async function tryModes(context: ModesContext, modes: ScriptModes, isNewRelay: boolean): Promise<void> {
  const { client, relay, keys, keyPrefix, user } = context;
  const nonce = newNonce();
  const missing = new Set<string>();
  let words = '';
  /** Collects what is missing, so that one rule names all of it. */
  async function attempt(step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (troubleOf(error).state !== 'no_permission') throw error;
      words ||= wordsOf(error);
      for (const word of missingWords(wordsOf(error), keyPrefix)) missing.add(word);
    }
  }
  if (isNewRelay) await attempt(() => relay.listen(modes.publish));
  await attempt(() => loadScripts(client, modes));
  const arrival = relay.arrival(nonce, ARRIVAL_MS_MAX);
  await attempt(async () => {
    const commands = commandsOn(keys.show(relay.show).of.show);
    const { all } = keys.show(relay.show);
    const reply = await registerScripts(
      () => client,
      () => modes,
    ).run('check', all, '', pack([commands, nonce]));
    for (const position of reply[1] as number[]) {
      const name = String(commands[position - 1]?.[0]).toLowerCase();
      words ||= `NOPERM this user has no permissions to run the '${name}' command`;
      missing.add(`+${name}`);
    }
  });
  if (missing.size > 0) throw new TroubleError(forbidden(user, words, [...missing]));
  if (isNewRelay && !(await arrival)) throw new TroubleError(NO_RELAY);
}
