/** Pure parsers of single settings. They return a value or a problem and never throw. */
import { isIP } from 'node:net';
import type { MemorySize } from '../domain/health.ts';
import { readOrigin } from '../domain/origin.ts';

export type Parsed<T> = { readonly value: T } | { readonly problem: string };
export type Parser<T> = (raw: string) => Parsed<T>;

const value = <T>(parsed: T): Parsed<T> => ({ value: parsed });
const problem = (text: string): { readonly problem: string } => ({ problem: text });

/** Returns a value as errors show it. Secrets are never shown. */
export const quoted = (raw: string): string => JSON.stringify(raw.length > 60 ? `${raw.slice(0, 57)}...` : raw);

export function integer(min: number, max: number): Parser<number> {
  return (raw) => {
    if (!/^-?\d{1,15}$/.test(raw)) return problem(`must be a whole number from ${min} to ${max}, got ${quoted(raw)}`);
    const parsed = Number(raw);
    return parsed < min || parsed > max ? problem(`must be from ${min} to ${max}, got ${parsed}`) : value(parsed);
  };
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** A number and a unit, as milliseconds: 90s, 30m, 12h, 30d. `why`: a sentence on the minimum. */
export function duration(minMs: number, maxMs: number, why: string): Parser<number> {
  return (raw) => {
    const [, count, unit] = /^(\d{1,9})([smhd])$/.exec(raw) ?? [];
    const ms = Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
    if (Number.isNaN(ms))
      return problem(`is ${quoted(raw)}, which ${/^\d+$/.test(raw) ? 'has no unit' : 'is no time'}`);
    if (ms < minMs) return problem(`is ${quoted(raw)}, which is too short. ${why}`);
    return ms > maxMs ? problem(`is ${quoted(raw)}, which is too long`) : value(ms);
  };
}

export function oneOf<const T extends string>(allowed: readonly T[]): Parser<T> {
  return (raw) => {
    const found = allowed.find((entry) => entry === raw.toLowerCase());
    return found === undefined ? problem(`must be one of ${allowed.join(', ')}, got ${quoted(raw)}`) : value(found);
  };
}

export const toggle: Parser<boolean> = (raw) => {
  if (['1', 'true', 'yes', 'on'].includes(raw.toLowerCase())) return value(true);
  if (['0', 'false', 'no', 'off'].includes(raw.toLowerCase())) return value(false);
  return problem(`must be true or false, got ${quoted(raw)}`);
};

const MEMORY_UNITS: Readonly<Record<string, number>> = { kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30 };

/** `512mb`, `2gb` or a share of the machine, such as `40%`. */
export function memorySize(bytesMin: number): Parser<MemorySize> {
  return (raw) => {
    const [, digits, unit = ''] = /^(\d{1,9})\s?(kb|mb|gb|%)$/i.exec(raw) ?? [];
    const amount = Number(digits);
    if (digits === undefined) return problem(`must be a size such as 512mb, 2gb or 40%, got ${quoted(raw)}`);
    if (unit === '%') {
      const isShare = amount >= 1 && amount <= 90;
      return isShare
        ? value(Object.freeze({ share: amount / 100 }))
        : problem(`must be from 1% to 90%, got ${quoted(raw)}`);
    }
    const bytes = amount * (MEMORY_UNITS[unit.toLowerCase()] as number);
    return bytes >= bytesMin && Number.isSafeInteger(bytes)
      ? value(Object.freeze({ bytes }))
      : problem(`must be at least ${bytesMin / 2 ** 20}mb, got ${quoted(raw)}`);
  };
}

export function matching(pattern: RegExp, rule: string): Parser<string> {
  return (raw) => (pattern.test(raw) ? value(raw) : problem(`must be ${rule}, got ${quoted(raw)}`));
}

const parts = (raw: string): string[] =>
  raw
    .split(/[,\n]/)
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** Comma-separated, not empty, without repetitions. */
export function listOf<T>(parse: Parser<T>): Parser<readonly T[]> {
  return (raw) => {
    const texts = parts(raw);
    if (texts.length === 0) return problem('must not be an empty list');
    const values: T[] = [];
    for (const text of texts) {
      const parsed = parse(text);
      if ('problem' in parsed) return parsed;
      if (values.includes(parsed.value)) return problem(`names ${quoted(text)} twice`);
      values.push(parsed.value);
    }
    return value(Object.freeze(values));
  };
}

/** A web origin as a browser sends it: scheme and host, no path. */
export const origin: Parser<string> = (raw) => {
  const read = readOrigin(raw);
  return read === null
    ? problem(`must be an origin such as https://shop.example or https://*.shop.example (no path), got ${quoted(raw)}`)
    : value(read);
};

/** `*` = any origin, parsed as null. */
export const originsOrAny: Parser<readonly string[] | null> = (raw) =>
  raw.trim() === '*' ? value(null) : listOf(origin)(raw);

/** An IP address or a CIDR network. */
export const network: Parser<string> = (raw) => {
  const [address = '', prefix, ...rest] = raw.split('/');
  const bits = isIP(address) === 6 ? 128 : 32;
  const fits =
    isIP(address) !== 0 &&
    rest.length === 0 &&
    (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits));
  return fits ? value(raw) : problem(`must be an IP address or a network such as 10.0.0.0/8, got ${quoted(raw)}`);
};

export function urlWithScheme(...schemes: string[]): Parser<string> {
  return (raw) => {
    const url = parseUrl(raw);
    const fits =
      url !== null &&
      schemes.includes(url.protocol.slice(0, -1)) &&
      url.hostname !== '' &&
      url.search === '' &&
      url.hash === '';
    return fits
      ? value(raw.replace(/\/+$/, ''))
      : problem(
          `must be a URL that starts with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}, without query`,
        );
  };
}

const CONTROL = /\p{Cc}/u;
const NO_CONTROL = 'must not contain line breaks or other control characters';
const KEY_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/**
 * `name:secret` pairs, one per line or separated by commas. The ledger contains the names; no
 * problem contains a secret.
 */
export function apiKeys(secretCharsMin: number, secretCharsMax: number): Parser<Readonly<Record<string, string>>> {
  return (raw) => {
    const keys: Record<string, string> = {};
    const pairs = parts(raw);
    if (pairs.length === 0) return problem('must not be an empty list');
    for (const [at, pair] of pairs.entries()) {
      const colon = pair.indexOf(':');
      const [name, secret] = [pair.slice(0, Math.max(colon, 0)), pair.slice(colon + 1)];
      if (colon < 1 || !KEY_NAME.test(name))
        return problem(`entry ${at + 1} must be name:secret, with a name of letters, digits, "_", "." or "-"`);
      if (secret.length < secretCharsMin || secret.length > secretCharsMax)
        return problem(
          `the secret of "${name}" must be ${secretCharsMin} to ${secretCharsMax} characters long, ` +
            `got ${secret.length}`,
        );
      if (CONTROL.test(secret)) return problem(`the secret of "${name}" ${NO_CONTROL}`);
      if (Object.hasOwn(keys, name)) return problem(`names "${name}" twice`);
      if (Object.values(keys).includes(secret)) return problem(`gives "${name}" the secret of another key`);
      keys[name] = secret;
    }
    return value(Object.freeze(keys));
  };
}

export function secretText(bytesMin: number, bytesMax = Number.POSITIVE_INFINITY): Parser<string> {
  return (raw) => {
    const bytes = Buffer.byteLength(raw);
    if (CONTROL.test(raw)) return problem(NO_CONTROL);
    if (bytes > bytesMax) return problem(`must be at most ${bytesMax} bytes long, got ${bytes}`);
    return bytes < bytesMin
      ? problem(`must be at least ${bytesMin} bytes long, got ${bytes}: try "openssl rand -hex 32"`)
      : value(raw);
  };
}

function parseUrl(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}
