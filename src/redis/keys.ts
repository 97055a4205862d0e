/**
 * Every Redis key and channel of Stampede is built here. All keys of a show carry the hash tag
 * `{showId}`: a show is one Cluster slot, so a script may touch everything of one show atomically.
 * Scripts get the whole set, always in this order (`lua/lib/show.lua` names them).
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
] as const;
export type ShowKey = (typeof SHOW_KEYS)[number];

export interface ShowKeys {
  /** In the order of SHOW_KEYS. */
  readonly all: readonly string[];
  readonly of: Readonly<Record<ShowKey, string>>;
}

export interface Keys {
  show(showId: string): ShowKeys;
  /** Marks one running command of a show; lives a moment, and no script touches it. */
  running(showId: string, command: string): string;
  /** The kept answer of one command that no script records; lives a day. */
  answer(showId: string, command: string): string;
  /** Sorted set of show ids by creation time. */
  readonly shows: string;
  /** Set of shows that may have something falling due. */
  readonly live: string;
}

const CACHE_ENTRIES_MAX = 4096;

export function createKeys(prefix: string): Keys {
  if (/[{}\s]/.test(prefix))
    throw new Error(`the key prefix must not contain braces or blanks, got ${JSON.stringify(prefix)}`);
  const cache = new Map<string, ShowKeys>();
  return {
    shows: `${prefix}shows`,
    live: `${prefix}live`,
    running: (showId, command) => `${prefix}{${showId}}:running:${command}`,
    answer: (showId, command) => `${prefix}{${showId}}:answer:${command}`,
    show(showId) {
      const known = cache.get(showId);
      if (known) return known;
      const of = Object.fromEntries(SHOW_KEYS.map((name) => [name, `${prefix}{${showId}}:${name}`])) as Record<
        ShowKey,
        string
      >;
      const made: ShowKeys = { all: SHOW_KEYS.map((name) => of[name]), of };
      if (cache.size >= CACHE_ENTRIES_MAX) cache.clear();
      cache.set(showId, made);
      return made;
    },
  };
}
