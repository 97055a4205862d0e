/** Makes one target of the settings of Redis, or reports which of them contradict. */
import { parseRedisUrl, type RedisTarget, type RedisTls } from '../domain/redis-target.ts';
import type { ReadFile, ReportError } from './load.ts';
import { SETTINGS } from './settings.ts';
import { readCertificates, readKeyPair } from './tls.ts';

const OF_TLS = ['redisTlsCaFile', 'redisTlsCertFile', 'redisTlsKeyFile', 'redisTlsServerName'] as const;
const OF_SENTINELS = ['redisSentinelUsername', 'redisSentinelPassword'] as const;
/** The settings of the connection to Redis, most important first. */
export const REDIS_PARTS = [
  ...OF_TLS,
  'redisTlsKeyPassphrase',
  ...OF_SENTINELS,
  'redisSentinelMaster',
  'redisUrl',
] as const;
type Name = (typeof REDIS_PARTS)[number];
export type RedisValues = Readonly<Record<Name, string | null>>;

/** Returns null without REDIS_URL, and after an error was reported. */
export function readRedis(values: RedisValues, readFile: ReadFile, report: ReportError): RedisTarget | null {
  const { redisUrl: url, redisSentinelMaster: masterName } = values;
  const refuse = (name: Name, problem: string): void => report(SETTINGS[name].variable, problem);
  const refuseEach = (names: readonly Name[], problem: string): void => {
    for (const name of names) if (values[name] !== null) refuse(name, problem);
  };
  if (masterName === null) refuseEach(OF_SENTINELS, 'needs REDIS_SENTINEL_MASTER');
  if (url === null) {
    refuseEach([...OF_TLS, 'redisTlsKeyPassphrase', 'redisSentinelMaster'], 'needs REDIS_URL');
    return null;
  }
  const parsed = parseRedisUrl(url, { isSentinel: masterName !== null });
  if ('problem' in parsed) {
    refuse('redisUrl', parsed.problem);
    return null;
  }
  const { target } = parsed;
  if (target.tls === null) refuseEach(OF_TLS, 'needs a REDIS_URL that starts with rediss://');
  if (target.socketPath !== null) refuseEach(['redisSentinelMaster'], 'needs the sentinels in REDIS_URL');
  const [username, password] = [values.redisSentinelUsername, values.redisSentinelPassword];
  return Object.freeze({
    ...target,
    tls: target.tls && readRedisTls(values, readFile, report),
    sentinel: masterName === null ? null : Object.freeze({ masterName, username, password }),
  });
}

function readRedisTls(values: RedisValues, readFile: ReadFile, report: ReportError): RedisTls {
  const { redisTlsCaFile: caFile, redisTlsKeyPassphrase: passphrase, redisTlsServerName: serverName } = values;
  const ca = caFile && readCertificates(caFile, SETTINGS.redisTlsCaFile, readFile, report);
  const { redisTlsCertFile: cert, redisTlsKeyFile: key, redisTlsKeyPassphrase } = SETTINGS;
  const files = { certFile: values.redisTlsCertFile, keyFile: values.redisTlsKeyFile, passphrase };
  const pair = readKeyPair(files, { cert, key, passphrase: redisTlsKeyPassphrase }, readFile, report);
  return Object.freeze({ ca, cert: pair?.cert ?? null, key: pair?.key ?? null, passphrase, serverName });
}
