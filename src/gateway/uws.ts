/** uWebSockets.js with types that it lacks, and a check of the address to listen on. */
import {
  App,
  LIBUS_LISTEN_EXCLUSIVE_PORT,
  SSLApp,
  type TemplatedApp,
  type us_listen_socket,
  us_listen_socket_close,
  us_socket_local_port,
} from 'uWebSockets.js';
import type { TlsFiles } from '../config/tls.ts';
import { failure, StampedeError } from '../protocol/codes.ts';

declare module 'uWebSockets.js' {
  interface TemplatedApp {
    listen(
      host: string,
      port: number,
      options: number,
      cb: (listenSocket: us_listen_socket | false) => void,
    ): TemplatedApp;
  }
  const LIBUS_LISTEN_EXCLUSIVE_PORT: number;
}

export type {
  HttpRequest,
  HttpResponse,
  TemplatedApp,
  us_listen_socket,
  us_socket_context_t,
  WebSocket,
  WebSocketBehavior,
} from 'uWebSockets.js';
export { App, LIBUS_LISTEN_EXCLUSIVE_PORT, us_listen_socket_close, us_socket_local_port };

/** The configuration has checked the TLS files, because uWebSockets.js gives no reason. */
export function createApp(tls: TlsFiles | null): TemplatedApp {
  if (tls === null) return App();
  const { certFile, keyFile, passphrase } = tls;
  return SSLApp({ cert_file_name: certFile, key_file_name: keyFile, ...(passphrase === null ? {} : { passphrase }) });
}

/** Throws on values for which uWebSockets.js would end the process. */
export function checkListenOptions({ host, port }: { host: string; port: number }): void {
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw invalidOption(`The gateway port must be an integer from 0 to 65535, not ${port}.`);
  if (host.length === 0) throw invalidOption('The gateway host must not be empty.');
}

const invalidOption = (message: string): StampedeError => new StampedeError(failure('invalid_request', message));
