/** Reads that serve all who ask within a time. */

/** Returns a function that reads at most every `everyMs`, which counts from the end of a read. */
export function sharedRead<T>(read: () => Promise<T>, everyMs: number, nowMs = () => performance.now()) {
  let last: Promise<T> | null = null;
  let freshUntil = Number.POSITIVE_INFINITY;
  return (): Promise<T> => {
    if (last !== null && nowMs() < freshUntil) return last;
    freshUntil = Number.POSITIVE_INFINITY;
    last = read().finally(() => {
      freshUntil = nowMs() + everyMs;
    });
    return last;
  };
}

/** The same for each name. Remembers at most `keptMax` names; the oldest are forgotten. */
export function sharedReads<T>(read: (name: string) => Promise<T>, everyMs: number, keptMax: number) {
  const known = new Map<string, () => Promise<T>>();
  return (name: string): Promise<T> => {
    const found = known.get(name) ?? sharedRead(() => read(name), everyMs);
    known.set(name, found);
    const [oldest = name] = known.keys();
    if (known.size > keptMax) known.delete(oldest);
    return found();
  };
}
