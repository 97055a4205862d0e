/** Finds variables that look like misspelled settings: the engine would ignore them silently. */
import type { Environment } from './environment.ts';

/** Longer names may differ in two characters. Shorter ones would resemble variables of others. */
const SHORT_CHARS = 10;
const RESEMBLING_CHARS_MIN = 5;
/** Prefixes that only we use. */
const OURS = ['STAMPEDE_', 'REDIS_TLS_', 'REDIS_SENTINEL_'];
/** Ours, but not settings. */
const INTERNAL = /^STAMPEDE_(WORKER|SEED)$/;
/** Other ways to name a Redis. They matter only if ours is missing. */
const OF_REDIS = /^REDIS_(HOST|PORT|PASSWORD|ADDR(ESS)?|DSN|ENDPOINT|SERVERS?|CONNECTION(_STRING)?)$/;
/** Kubernetes sets variables for each service of the namespace; so does `docker run --link`. */
const SERVICE_LINK = /_SERVICE_(HOST|PORT)(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?$/;
export const LINK_VALUE = /^(tcp|udp|sctp):\/\//;

export interface UnknownVariable {
  readonly variable: string;
  /** The setting that may be meant. */
  readonly meant: string | null;
}

/** `known`: the variables of all settings. */
export function unknownVariables(env: Environment, known: ReadonlySet<string>): UnknownVariable[] {
  const hasRedis = (env['REDIS_URL'] ?? env['REDIS_URL_FILE'] ?? '') !== '';
  const found: UnknownVariable[] = [];
  for (const [variable, value = ''] of Object.entries(env)) {
    const name = variable.toUpperCase();
    const isOther = value === '' || INTERNAL.test(name) || SERVICE_LINK.test(name) || LINK_VALUE.test(value);
    if (known.has(variable) || isOther) continue;
    const meant = OF_REDIS.test(name) ? 'REDIS_URL' : nearest(name.replace(/^STAMPEDE_/, ''), known);
    if (OF_REDIS.test(name) ? !hasRedis : meant !== null || OURS.some((prefix) => name.startsWith(prefix)))
      found.push({ variable, meant });
  }
  return found;
}

function nearest(name: string, known: ReadonlySet<string>): string | null {
  for (const setting of known) {
    // SSL_CERT_FILE is not TLS_CERT_FILE: a first letter is seldom wrong.
    if (setting.length < RESEMBLING_CHARS_MIN || setting[0] !== name[0]) continue;
    if (isNear(name, setting, Math.min(name.length, setting.length) < SHORT_CHARS ? 1 : 2)) return setting;
  }
  return null;
}

/** Returns whether so many characters at most are missing, superfluous, different or swapped. */
function isNear(a: string, b: string, edits: number): boolean {
  let same = 0;
  while (same < a.length && a[same] === b[same]) same++;
  const [x, y] = [a.slice(same), b.slice(same)];
  if (x === y) return true;
  if (edits === 0) return false;
  const isSwapped = x[0] === y[1] && x[1] === y[0];
  return (
    isNear(x.slice(1), y, edits - 1) ||
    isNear(x, y.slice(1), edits - 1) ||
    isNear(x.slice(1), y.slice(1), edits - 1) ||
    (isSwapped && isNear(x.slice(2), y.slice(2), edits - 1))
  );
}
