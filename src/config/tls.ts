/** Checks certificates and keys at the start: who uses them later does not say what is wrong. */
import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { ReadFile, ReportError } from './load.ts';
import type { Setting } from './setting.ts';
import { SETTINGS } from './settings.ts';

/** Checked files; the gateway opens them by path. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly passphrase: string | null;
}

type Optional<T> = { readonly [Field in keyof T]: T[Field] | null };
/** The settings that name the files, for errors. */
type KeyPairSettings = Readonly<Record<'cert' | 'key' | 'passphrase', Setting<unknown>>>;

const { tlsCertFile: cert, tlsKeyFile: key, tlsKeyPassphrase: passphrase } = SETTINGS;

/** Returns null without TLS settings, and after an error was reported. */
export function readTls(files: Optional<TlsFiles>, readFile: ReadFile, report: ReportError): TlsFiles | null {
  const pair = readKeyPair(files, { cert, key, passphrase }, readFile, report);
  return pair && Object.freeze({ certFile: pair.certFile, keyFile: pair.keyFile, passphrase: files.passphrase });
}

/** Returns certificate and key that fit each other; null without them, and after an error. */
export function readKeyPair(
  { certFile, keyFile, passphrase }: Optional<TlsFiles>,
  settings: KeyPairSettings,
  readFile: ReadFile,
  report: ReportError,
) {
  const { cert: CERT, key: KEY, passphrase: PASSPHRASE } = settings;
  if (certFile === null || keyFile === null) {
    if (certFile !== null) report(KEY.variable, `is needed with ${CERT.variable}`);
    if (keyFile !== null) report(CERT.variable, `is needed with ${KEY.variable}`);
    if (certFile === null && keyFile === null && passphrase !== null)
      report(
        PASSPHRASE.variable,
        `opens nothing without ${KEY.variable}. Set ${KEY.variable} or remove the passphrase.`,
      );
    return null;
  }
  const read = (setting: Setting<unknown>, path: string): string | null =>
    attempt(() => readFile(path), report, setting, `${path} cannot be read`);
  const cert = read(CERT, certFile);
  const key = read(KEY, keyFile);
  if (cert === null || key === null) return null;

  const secret = passphrase === null ? {} : { passphrase };
  const opener = passphrase === null ? 'opens without a passphrase' : `${PASSPHRASE.variable} opens`;
  const checks = [
    [CERT, { cert }, `${certFile} is not a PEM certificate`],
    [KEY, { key, ...secret }, `${keyFile} is not a PEM private key that ${opener}`],
    [KEY, { cert, key, ...secret }, `${keyFile} is not the key of the certificate in ${certFile}`],
  ] as const;
  for (const [setting, options, problem] of checks)
    if (attempt(() => createSecureContext(options), report, setting, problem) === null) return null;
  return { certFile, keyFile, cert, key };
}

/** Returns the PEM text of a file with certificates, or null after an error was reported. */
export function readCertificates(
  file: string,
  setting: Setting<unknown>,
  readFile: ReadFile,
  report: ReportError,
): string | null {
  const pem = attempt(() => readFile(file), report, setting, `${file} cannot be read`);
  if (pem === null) return null;
  const certificates = pem.split(/(?=-----BEGIN )/).filter((part) => part.startsWith('-----BEGIN '));
  const check = () => (certificates.length === 0 ? new X509Certificate(pem) : certificates.map(checkCertificate));
  return attempt(check, report, setting, `${file} is not a file of PEM certificates`) && pem;
}

const checkCertificate = (pem: string): X509Certificate => new X509Certificate(pem);

/** Returns the result of `action`, or null after its error was reported. */
function attempt<T>(action: () => T, report: ReportError, setting: Setting<unknown>, problem: string): T | null {
  try {
    return action();
  } catch (cause) {
    report(setting.variable, `${problem} (${(cause as NodeJS.ErrnoException).code ?? 'unknown reason'}).`);
    return null;
  }
}
