/**
 * The files of the gateway's TLS, proven to be what the socket server needs: it only says that it
 * cannot start, not why.
 */
import { createSecureContext } from 'node:tls';
import { SETTINGS } from './settings.ts';

/**
 * Files of the gateway's TLS, read and checked by the configuration; the gateway opens them by
 * path.
 */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly passphrase: string | null;
}

export interface TlsAsked {
  readonly certFile: string | null;
  readonly keyFile: string | null;
  readonly passphrase: string | null;
}

const CERT = SETTINGS.tlsCertFile.variable;
const KEY = SETTINGS.tlsKeyFile.variable;
const PASSPHRASE = SETTINGS.tlsKeyPassphrase.variable;

/** Null when TLS is not asked for, or when `say` was told what is wrong. */
export function readTls(
  { certFile, keyFile, passphrase }: TlsAsked,
  readFile: (path: string) => string,
  say: (where: string, problem: string) => void,
): TlsFiles | null {
  if (certFile === null || keyFile === null) {
    if (certFile !== null) say(KEY, `is needed with ${CERT}. Allowed: ${SETTINGS.tlsKeyFile.range}.`);
    if (keyFile !== null) say(CERT, `is needed with ${KEY}. Allowed: ${SETTINGS.tlsCertFile.range}.`);
    if (certFile === null && keyFile === null && passphrase !== null) say(PASSPHRASE, `opens nothing without ${KEY}.`);
    return null;
  }
  const cert = readNamed(certFile, CERT, readFile, say);
  const key = readNamed(keyFile, KEY, readFile, say);
  if (cert === null || key === null) return null;
  const unlocked = passphrase === null ? {} : { passphrase };
  if (!works({ cert }, CERT, `${certFile} is not a PEM certificate`, say)) return null;
  if (
    !works(
      { key, ...unlocked },
      KEY,
      `${keyFile} is not a PEM private key that ${passphrase === null ? 'opens without a passphrase' : `${PASSPHRASE} opens`}`,
      say,
    )
  )
    return null;
  if (!works({ cert, key, ...unlocked }, KEY, `${keyFile} is not the key of the certificate in ${certFile}`, say))
    return null;
  return Object.freeze({ certFile, keyFile, passphrase });
}

function readNamed(
  path: string,
  variable: string,
  readFile: (path: string) => string,
  say: (where: string, problem: string) => void,
): string | null {
  try {
    return readFile(path);
  } catch (cause) {
    say(variable, `${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'unknown reason'}).`);
    return null;
  }
}

function works(
  options: Parameters<typeof createSecureContext>[0],
  variable: string,
  problem: string,
  say: (where: string, problem: string) => void,
): boolean {
  try {
    createSecureContext(options);
    return true;
  } catch (cause) {
    say(variable, `${problem} (${(cause as NodeJS.ErrnoException).code ?? 'unknown reason'}).`);
    return false;
  }
}
