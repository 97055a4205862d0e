/** Checks the TLS files of the gateway: the socket server does not say why it cannot start. */
import { createSecureContext } from 'node:tls';
import type { ReadFile, ReportError } from './load.ts';
import { SETTINGS } from './settings.ts';

/** Checked files; the gateway opens them by path. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly passphrase: string | null;
}

const CERT = SETTINGS.tlsCertFile.variable;
const KEY = SETTINGS.tlsKeyFile.variable;
const PASSPHRASE = SETTINGS.tlsKeyPassphrase.variable;

/** Returns null without TLS settings, and after an error was reported. */
export function readTls(
  { certFile, keyFile, passphrase }: { readonly [Field in keyof TlsFiles]: TlsFiles[Field] | null },
  readFile: ReadFile,
  report: ReportError,
): TlsFiles | null {
  if (certFile === null || keyFile === null) {
    if (certFile !== null) report(KEY, `is needed with ${CERT}. Allowed: ${SETTINGS.tlsKeyFile.range}.`);
    if (keyFile !== null) report(CERT, `is needed with ${KEY}. Allowed: ${SETTINGS.tlsCertFile.range}.`);
    if (certFile === null && keyFile === null && passphrase !== null)
      report(PASSPHRASE, `opens nothing without ${KEY}. Set ${KEY} or remove the passphrase.`);
    return null;
  }
  const read = (variable: string, path: string): string | null =>
    attempt(() => readFile(path), report, variable, `${path} cannot be read`);
  const cert = read(CERT, certFile);
  const key = read(KEY, keyFile);
  if (cert === null || key === null) return null;

  const secret = passphrase === null ? {} : { passphrase };
  const opener = passphrase === null ? 'opens without a passphrase' : `${PASSPHRASE} opens`;
  const checks = [
    [CERT, { cert }, `${certFile} is not a PEM certificate`],
    [KEY, { key, ...secret }, `${keyFile} is not a PEM private key that ${opener}`],
    [KEY, { cert, key, ...secret }, `${keyFile} is not the key of the certificate in ${certFile}`],
  ] as const;
  for (const [variable, options, problem] of checks)
    if (attempt(() => createSecureContext(options), report, variable, problem) === null) return null;
  return Object.freeze({ certFile, keyFile, passphrase });
}

/** Returns the result of `action`, or null after its error was reported. */
function attempt<T>(action: () => T, report: ReportError, variable: string, problem: string): T | null {
  try {
    return action();
  } catch (cause) {
    report(variable, `${problem} (${(cause as NodeJS.ErrnoException).code ?? 'unknown reason'}).`);
    return null;
  }
}
