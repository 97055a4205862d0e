/** Certificates for tests: one that vouches for itself, or is signed by another one. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface CertificateOptions {
  /** Names and addresses, as OpenSSL writes them. */
  readonly names?: string;
  readonly signedBy?: CertificateFiles;
}

/** Writes `<name>.pem` and `<name>-key.pem` into the folder. Without options: for 127.0.0.1. */
export function selfSigned(
  folder: string,
  name = 'cert',
  { names = 'IP:127.0.0.1', signedBy }: CertificateOptions = {},
): CertificateFiles {
  const [certFile, keyFile] = [join(folder, `${name}.pem`), join(folder, `${name}-key.pem`)];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  const subject = ['-subj', '/CN=stampede.test', '-addext', `subjectAltName=${names}`, '-days', '2'];
  const signer = signedBy ? ['-CA', signedBy.certFile, '-CAkey', signedBy.keyFile] : [];
  const constraint = signedBy ? ['-addext', 'basicConstraints=critical,CA:FALSE'] : [];
  const args = ['req', '-x509', ...key, ...subject, ...signer, ...constraint, '-out', certFile];
  execFileSync('openssl', args, { stdio: 'ignore' });
  return { certFile, keyFile };
}
