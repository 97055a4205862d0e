/**
 * Signs that a page may have lost its connection without noticing: it was hidden, frozen or
 * offline, or the machine was suspended. Platforms without a document, such as React Native, call
 * `client.wake()` themselves.
 */

const TICK_MS = 5_000;
/** A tick that is later than this missed its time: the machine or the page was suspended. */
const LATE_MS = 3_000;

/** Calls `wake` after each sign. Returns a function that ends it. */
export function watchForWake(wake: () => void): () => void {
  const { document, addEventListener } = globalThis as {
    document?: { readonly visibilityState?: string };
    addEventListener?: (type: string, listener: (event: { type: string }) => void, options: object) => void;
  };
  if (!document || !addEventListener) return () => {};
  const ending = new AbortController();
  const onSign = (event?: { type: string }): void => {
    if (event?.type === 'online' || document.visibilityState !== 'hidden') wake();
  };
  // Events of the document pass the window on their way.
  for (const type of ['visibilitychange', 'resume', 'online', 'pageshow'])
    addEventListener(type, onSign, { signal: ending.signal, capture: true });
  let tickedAt = Date.now();
  const ticks = setInterval(() => {
    const lateMs = Date.now() - tickedAt - TICK_MS;
    tickedAt = Date.now();
    if (lateMs > LATE_MS) onSign();
  }, TICK_MS);
  return () => {
    clearInterval(ticks);
    ending.abort();
  };
}
