/** URLs of a gateway, as plain text: the `URL` of React Native has no setters. */

/** Where the client is in the log of the show (SPEC H-7). */
export interface Position {
  /** null = nowhere yet. */
  readonly epoch: string | null;
  readonly offset: number;
  readonly lastChat: number;
}

/**
 * Returns the URL without a slash at its end, http as ws. Returns null for other schemes, a query,
 * and the whole address of a show, which the client makes itself.
 */
export function gatewayBase(url: unknown): string | null {
  const [, secure, rest] = /^(?!.*\/v1\/shows\/)(?:http|ws)(s?):(\/\/[^/?#\s][^?#\s]*?)\/*$/i.exec(url as string) ?? [];
  return rest ? `ws${secure}:${rest}` : null;
}

export function showAddress(base: string, show: string, { epoch, offset, lastChat }: Position): string {
  const address = `${base}/v1/shows/${encodeURIComponent(show)}`;
  return epoch === null ? address : `${address}?epoch=${encodeURIComponent(epoch)}&offset=${offset}&chat=${lastChat}`;
}
