/**
 * All keys and channels in Redis. The keys of a show have the hash tag `{showId}`: a show is one
 * cluster slot, so a script can change all of it in one step. Scripts get all keys in this order
 * (`lua/lib/show.lua`).
 */
export const SHOW_KEYS = [
  'show',
  'products',
  'sales',
  'stock',
  'reservations',
  'buyers',
  'due',
  'log',
  'ledger',
  'chat',
  'idem',
  'idem-old',
  'nodes',
  'waitlist',
  'channel',
  'removed',
  'mutes',
  'uniques',
  'rewrite',
  'orders',
] as const;
export type ShowKey = (typeof SHOW_KEYS)[number];

export interface ShowKeys {
  /** In the order of SHOW_KEYS. */
  readonly all: readonly string[];
  readonly of: Readonly<Record<ShowKey, string>>;
}

export type Keys = ReturnType<typeof createKeys>;

/** An entry has some 3 KB. */
const CACHE_ENTRIES_MAX = 1024;

export function createKeys(prefix: string) {
  if (/[{}\s]/.test(prefix))
    throw new Error(`the key prefix must not contain braces or blanks, got ${JSON.stringify(prefix)}`);
  const cache = new Map<string, ShowKeys>();
  return {
    /** Sorted set of show ids by creation time. */
    shows: `${prefix}shows`,
    /** Sorted set of public shows by the time of their start (public-shows.ts). */
    publicShows: `${prefix}public`,
    /** Set of shows that may have something due. */
    live: `${prefix}live`,
    /** Sorted set of shows in which nothing can happen before a time, by that time. */
    resting: `${prefix}resting`,
    /** Sorted set of shows by when the next step of their end is looked at (retention.ts). */
    retention: `${prefix}retention`,
    /** Exists since the first show was archived (archive-store.ts). */
    archives: `${prefix}archives`,
    /** How live nodes publish (relay-mode.ts). */
    relay: `${prefix}relay`,
    /** Exists while a process lives that knows no newer format of shows (formats.ts). */
    format: (number: number) => `${prefix}format:${number}`,
    /** Exists while jobs of release 0.1.0 run (older-releases.ts). */
    olderJobs: `{${prefix}jobs}:clock:stalled-check`,
    /** Id of the process that used a node name last (node-name.ts). */
    node: (name: string) => `${prefix}node:${name}`,
    /** Hash of users who are being erased, and how far (erasures.ts). */
    erasures: `${prefix}erasures`,
    /** Held by the process that erases users. */
    eraser: `${prefix}eraser`,
    /** What the erasure of a user did, for a day. */
    erased: (userHash: string) => `${prefix}erased:${userHash}`,
    /** Memory of Redis in each hour of the last week (memory.ts). */
    memory: `${prefix}memory`,
    /** Identifies a server that does not allow INFO (facts.ts). */
    server: `${prefix}server`,
    /** Marker of a running command (command-guard.ts). */
    running: (showId: string, command: string) => `${prefix}{${showId}}:running:${command}`,
    /** The kept result of a command without a script (command-guard.ts). */
    result: (showId: string, command: string) => `${prefix}{${showId}}:answer:${command}`,
    show(showId: string): ShowKeys {
      const known = cache.get(showId);
      if (known) return known;
      const all = SHOW_KEYS.map((name) => `${prefix}{${showId}}:${name}`);
      const of = Object.fromEntries(SHOW_KEYS.map((name, i) => [name, all[i]]));
      const made: ShowKeys = { all, of: of as Record<ShowKey, string> };
      if (cache.size >= CACHE_ENTRIES_MAX) cache.clear();
      cache.set(showId, made);
      return made;
    },
  };
}
