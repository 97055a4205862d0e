/** The files of a gateway's TLS: what the configuration has read and found to fit together, and the gateway opens by path. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly passphrase: string | null;
}
