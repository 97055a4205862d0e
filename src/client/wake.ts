/**
 * Signs that a page may have lost its connection without noticing: it was hidden, frozen or
 * offline, or the machine was suspended. Platforms without a document, such as React Native, call
 * `client.wake()` themselves.
 */

type Listen = (type: string, listener: () => void, options: { signal: AbortSignal }) => void;

const TICK_MS = 5_000;
/** A tick that is later than this missed its time: the machine or the page was suspended. */
const LATE_MS = 3_000;

/** Calls `wake` after each sign. Returns a function that ends it. */
export function watchForWake(wake: () => void): () => void {
  const { document, addEventListener } = globalThis as {
    document?: { readonly visibilityState?: string; readonly addEventListener: Listen };
    addEventListener?: Listen;
  };
  if (!document || !addEventListener) return () => {};
  const ending = new AbortController();
  const onVisible = (): void => {
    if (document.visibilityState !== 'hidden') wake();
  };
  document.addEventListener('visibilitychange', onVisible, ending);
  document.addEventListener('resume', wake, ending);
  addEventListener('online', wake, ending);
  addEventListener('pageshow', wake, ending);
  let tickedAt = Date.now();
  const ticks = setInterval(() => {
    const lateMs = Date.now() - tickedAt - TICK_MS;
    tickedAt = Date.now();
    if (lateMs > LATE_MS) onVisible();
  }, TICK_MS);
  return () => {
    clearInterval(ticks);
    ending.abort();
  };
}
