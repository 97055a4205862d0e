/** URLs of a gateway, as plain text: the `URL` of React Native has no setters. */

/** Where the client is in the log of the show (SPEC H-7). */
export interface Position {
  /** null = nowhere yet. */
  readonly epoch: string | null;
  readonly offset: number;
  readonly lastChat: number;
}

/** Returns the URL without a slash at its end, http as ws. Throws a TypeError for other schemes. */
export function gatewayBase(url: string): string {
  const [, scheme = '', secure = '', rest = ''] = /^(http|ws)(s?):(\/\/[^/?#\s]+[^?#\s]*)$/i.exec(url) ?? [];
  if (scheme === '') throw new TypeError(`${url} is not a WebSocket URL. Use ws:// or wss://, without a query.`);
  return `ws${secure.toLowerCase()}:${rest.replace(/\/+$/, '')}`;
}

/** Returns null for an invalid URL, which a server may have sent. */
export function gatewayBaseOrNull(url: string): string | null {
  try {
    return gatewayBase(url);
  } catch {
    return null;
  }
}

export function showAddress(base: string, show: string, { epoch, offset, lastChat }: Position): string {
  const address = `${base}/v1/shows/${encodeURIComponent(show)}`;
  return epoch === null ? address : `${address}?epoch=${encodeURIComponent(epoch)}&offset=${offset}&chat=${lastChat}`;
}
