/** A certificate for 127.0.0.1 that vouches for itself. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** Writes `<name>.pem` and `<name>-key.pem` into the folder. */
export function selfSigned(folder: string, name = 'cert') {
  const [certFile, keyFile] = [join(folder, `${name}.pem`), join(folder, `${name}-key.pem`)];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  const subject = ['-subj', '/CN=stampede.test', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  execFileSync('openssl', ['req', '-x509', ...key, ...subject, '-out', certFile], { stdio: 'ignore' });
  return { certFile, keyFile };
}
