/** What a user of Redis must be allowed to do, and the words of the ACL rule that allow it. */
import { readLuaFiles } from './scripts.ts';

/** The rule in README.md, "Redis permissions". A test runs the whole engine with it. */
export const aclRule = (keyPrefix: string): readonly string[] => [
  `~${keyPrefix}*`,
  `&${keyPrefix}*`,
  '+@read +@write +@connection +@transaction +time -@dangerous',
  '+eval +evalsha +script|load +script|exists +fcall +function|list +function|load +function|delete',
  '+publish +spublish +subscribe +ssubscribe +unsubscribe +sunsubscribe',
  '+info +config|get +cluster|slots +cluster|info',
];

/** Commands on keys that are sent outside of scripts, by the store and by BullMQ. */
const SENT =
  'EXISTS GET HEXISTS HGET HMGET HVALS PEXPIRE SADD SREM SET SMEMBERS XRANGE XREVRANGE ZADD ZCARD ZRANGE ZREVRANGE';

const WITHOUT_KEY = new Set(['TIME']);
/** The check itself publishes. */
const PUBLISHES = new Set(['SPUBLISH', 'PUBLISH']);

let needed: readonly string[] | null = null;

/** Returns the commands that the store and its scripts use on keys, read from the scripts. */
function neededCommands(): readonly string[] {
  if (needed !== null) return needed;
  const { scripts, parts } = readLuaFiles();
  const texts = [...Object.values(scripts), ...Object.values(parts)].join('\n');
  const called = [...texts.matchAll(/\bcall\('([A-Z]+)'/g)].map(([, name]) => name as string);
  needed = [...new Set([...called, ...SENT.split(' ')])].filter((name) => !PUBLISHES.has(name)).sort();
  return needed;
}

/** Returns each command as its words, on `key`. */
export const commandsOn = (key: string): string[][] =>
  neededCommands().map((name) => (WITHOUT_KEY.has(name) ? [name] : [name, key]));

/**
 * Returns the words of the ACL rule that an error asks for. Redis 7 names what it refuses: a
 * command, a key or a channel. In scripts it does not name the command.
 */
export function missingWords(words: string, keyPrefix: string): string[] {
  const [, command] = /to run the '([^']+)' command/i.exec(words) ?? [];
  if (command !== undefined) return [`+${command}`];
  if (/channel/i.test(words)) return [`&${keyPrefix}*`];
  return /\bkeys?\b/i.test(words) ? [`~${keyPrefix}*`] : [];
}
