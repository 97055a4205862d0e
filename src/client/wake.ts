/**
 * Signs that a page may have lost its connection without noticing: it was hidden, frozen or
 * offline, or the machine was suspended. Platforms without a document, such as React Native, call
 * `client.wake()` themselves.
 */

interface Page {
  addEventListener(type: string, listener: () => void): void;
  removeEventListener(type: string, listener: () => void): void;
}

const TICK_MS = 5_000;
/** A tick that is later than this missed its time: the machine or the page was suspended. */
const LATE_MS = 3_000;

/** Calls `wake` after each sign. Returns a function that ends it. */
export function watchForWake(wake: () => void): () => void {
  const { document, addEventListener, removeEventListener } = globalThis as {
    document?: Page & { readonly visibilityState?: string };
    addEventListener?: Page['addEventListener'];
    removeEventListener?: Page['removeEventListener'];
  };
  if (document === undefined || addEventListener === undefined || removeEventListener === undefined) return () => {};
  const onVisible = (): void => {
    if (document.visibilityState !== 'hidden') wake();
  };
  document.addEventListener('visibilitychange', onVisible);
  document.addEventListener('resume', wake);
  addEventListener('online', wake);
  addEventListener('pageshow', wake);
  let tickedAt = Date.now();
  const ticks = setInterval(() => {
    const lateMs = Date.now() - tickedAt - TICK_MS;
    tickedAt = Date.now();
    if (lateMs > LATE_MS) onVisible();
  }, TICK_MS);
  return () => {
    clearInterval(ticks);
    document.removeEventListener('visibilitychange', onVisible);
    document.removeEventListener('resume', wake);
    removeEventListener('online', wake);
    removeEventListener('pageshow', wake);
  };
}
