import { signal } from '@preact/signals';
import { ROOT } from '../shared/api.ts';

export interface ListedSale {
  readonly id: string;
  readonly title: string;
  readonly state: 'open' | 'paused' | 'scheduled';
  readonly opensAt: number | null;
  readonly closesAt: number | null;
}

export interface ListedShow {
  readonly id: string;
  readonly title: string;
  readonly state: 'planned' | 'live';
  readonly startsAt: number | null;
  readonly posterUrl?: string;
  readonly viewers: number;
  readonly sales: readonly ListedSale[];
}

export type Listed =
  | { readonly at: 'loading' | 'failed' }
  | { readonly at: 'loaded'; readonly shows: readonly ListedShow[] };

const RELOAD_MS = 5_000;
const TICK_MS = 250;

export const listed = signal<Listed>({ at: 'loading' });
/** Milliseconds since the Unix epoch on the server's clock, to about a second. */
export const now = signal(Date.now());

let offsetMs = 0;

/** Reloads the list while the page is visible. The browser sends the ETag of the list it has. */
export function follow(): void {
  void reload();
  setInterval(() => document.visibilityState === 'visible' && void reload(), RELOAD_MS);
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && void reload());
  setInterval(() => {
    now.value = Date.now() + offsetMs;
  }, TICK_MS);
}

async function reload(): Promise<void> {
  try {
    const response = await fetch(new URL('v1/public/shows', ROOT));
    if (!response.ok) throw new Error(`status ${response.status}`);
    const { shows } = (await response.json()) as { shows: ListedShow[] };
    // A cached response may be old, and so may its time.
    const sentAt = Date.parse(response.headers.get('date') ?? '') + 500;
    if (Number.isFinite(sentAt) && Math.abs(sentAt - Date.now()) > 2 * RELOAD_MS) offsetMs = sentAt - Date.now();
    listed.value = { at: 'loaded', shows };
  } catch {
    if (listed.value.at !== 'loaded') listed.value = { at: 'failed' };
  }
}
