/** What a user of Redis must be allowed to do, and the words of the ACL rule that allow it. */
import type { RedisCapabilities } from '../domain/health.ts';
import { REDIS_AWAY_STATES } from '../domain/health.ts';
import type { RedisClient } from './client.ts';
import { readLuaFiles } from './scripts.ts';
import { isRefused, troubleOf, wordsOf } from './states.ts';

/** The rule in README.md, "Redis permissions". A test runs the whole engine with it. */
export const aclRule = (keyPrefix: string): readonly string[] => [
  `~${keyPrefix}*`,
  `&${keyPrefix}*`,
  '+@read +@write +@connection +@transaction +time -@dangerous',
  '+eval +evalsha +script|load +script|exists +fcall +function|list +function|load +function|delete',
  '-function|flush -function|restore',
  '+publish +spublish +subscribe +ssubscribe +unsubscribe +sunsubscribe',
  '+info +config|get +cluster|slots +cluster|info',
];

/** Commands on keys that are sent outside of scripts by the store. */
const SENT =
  'DEL EXISTS GET HDEL HEXISTS HGET HGETALL HMGET HSCAN HSET HSETNX HVALS PEXPIRE PING PTTL SADD SET SMEMBERS SREM ' +
  'UNLINK XADD XRANGE XREVRANGE ZADD ZCARD ZRANGE ZREM ZREVRANGE ZSCAN ZSCORE';
/** Commands of BullMQ and its scripts. A test compares them with what jobs send. */
const OF_JOBS =
  'BZPOPMIN DEL EXEC EXISTS GET HDEL HEXISTS HGET HGETALL HINCRBY HMGET HMSET HSET INCR LINDEX ' +
  'LLEN LPOP LPUSH LRANGE LREM LTRIM MULTI PERSIST ' +
  'PEXPIRE PTTL RPOPLPUSH SADD SCARD SET SMEMBERS SREM XADD XTRIM ZADD ZCARD ZPOPMIN ZRANGE ' +
  'ZRANGEBYSCORE ZREM ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZSCORE';

const WITHOUT_KEY = new Set(['EXEC', 'MULTI', 'PING', 'TIME']);
/** The check itself publishes. */
const PUBLISHES = new Set(['SPUBLISH', 'PUBLISH']);
const ARGUMENTS_MAX = 8;

let called: readonly string[] | null = null;

/** Returns the commands of the scripts, read from their texts. */
function calledByScripts(): readonly string[] {
  if (called !== null) return called;
  const { scripts, parts } = readLuaFiles();
  const texts = [...Object.values(scripts), ...Object.values(parts)].join('\n');
  const names = [...texts.matchAll(/\bcall\('([A-Z]+)'/g)].map(([, name]) => name as string);
  called = names.filter((name) => !PUBLISHES.has(name));
  return called;
}

export interface Use {
  readonly scripts: RedisCapabilities['scripts'];
  readonly runsJobs: boolean;
  /** A key and a script identify the server (facts.ts). */
  readonly needsKeyIdentity: boolean;
}

/** Returns the words of each needed command, without pub/sub. Sent like this, none waits. */
export function neededCommands(key: string, { scripts, runsJobs, needsKeyIdentity }: Use): string[][] {
  const names = [...calledByScripts(), ...SENT.split(' '), ...(runsJobs ? OF_JOBS.split(' ') : [])];
  const onKey = [...new Set(names)].sort().map((name) => {
    if (WITHOUT_KEY.has(name)) return [name];
    return name === 'BZPOPMIN' ? [name, key, 'never'] : [name, key];
  });
  const functions = [
    ['FCALL', 'none', '0'],
    ['FUNCTION', 'LIST', 'LIBRARYNAME', 'none'],
    ['FUNCTION', 'LOAD', 'none'],
  ];
  const evals = [
    ['EVAL', 'return 1', '0'],
    ['EVALSHA', 'none', '0'],
  ];
  const identity = [
    ['SCRIPT', 'EXISTS', 'none'],
    ['SCRIPT', 'LOAD', 'return 1'],
  ];
  return [
    ...onKey,
    ...(scripts === 'functions' ? functions : []),
    ...(scripts === 'eval' || runsJobs ? evals : []),
    ...(needsKeyIdentity ? identity : []),
  ];
}

/** It would change what later commands of this connection do, so it is not sent. */
export const isStateful = ([name]: readonly string[]): boolean => name === 'MULTI';

/**
 * Sends a command, with invalid arguments if it has such. Returns the error of Redis if the user
 * may not run it. Unlike `acl_check_cmd`, it says what is missing: command, key or channel.
 */
export async function refusalOf(client: RedisClient, command: readonly string[], key: string): Promise<unknown> {
  for (let words = command; ; words = [...words, key]) {
    const [name = '', ...rest] = words;
    const error = await client.call(name, ...rest).then(
      () => null,
      (reason: unknown) => reason,
    );
    if (error === null || isRefused(error)) return error;
    if ((REDIS_AWAY_STATES as readonly string[]).includes(troubleOf(error).state)) throw error;
    if (!/wrong number of arguments/i.test(wordsOf(error)) || words.length >= ARGUMENTS_MAX) return null;
  }
}

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
