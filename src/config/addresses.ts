/** The addresses of an engine, for clients. */
import type { Config } from './load.ts';

/** Returns the WebSocket URL of the gateway, without path. */
export function gatewayUrl(
  { publicGatewayUrl, tls, host }: Pick<Config, 'publicGatewayUrl' | 'tls' | 'host'>,
  port: number,
): string {
  return publicGatewayUrl ?? `${tls === null ? 'ws' : 'wss'}://${reachableHost(host)}:${port}`;
}

/** Returns the host part of a URL for clients on this machine. */
export function reachableHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost';
  return host.includes(':') ? `[${host}]` : host;
}
