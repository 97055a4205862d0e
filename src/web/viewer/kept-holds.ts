/**
 * Holds of a sign-in that has ended: their links to pay work until their time is up. The tab
 * remembers them, so they are also there after a reload, and while the viewer is a guest.
 */
import { signal } from '@preact/signals';
import { tabStorage } from '../shared/api.ts';

export interface KeptHold {
  readonly id: string;
  readonly items: string;
  readonly amount: number;
  readonly currency: string;
  readonly createdAt: number;
  readonly heldUntil: number;
  /** null: the show does not say where. */
  readonly payUrl: string | null;
}

interface Kept {
  readonly holds: readonly KeptHold[];
  /** From the clock of this machine to that of the server. */
  readonly offsetMs: number;
}

/** One whose time is up is shown for as long, so that it does not just vanish. */
const SHOWN_AFTER_MS = 60_000;
const NONE: Kept = { holds: [], offsetMs: 0 };

const kept = signal<Kept>(NONE);
const keyOf = (show: string): string => `holds.${show}`;

/** Remembers the holds of a viewer who is signed in. */
export function keepHolds(show: string, next: Kept): void {
  kept.value = next;
  tabStorage.set(keyOf(show), next.holds.length === 0 ? null : JSON.stringify(next));
}

/** Reads what an earlier visit of this tab remembered. */
export function loadKeptHolds(show: string): void {
  kept.value = parse(tabStorage.get(keyOf(show)));
}

/** Other scripts of this origin can write to the storage of the tab, too. */
function parse(text: string | null): Kept {
  try {
    const value: Partial<Kept> | null = JSON.parse(text ?? 'null');
    return Array.isArray(value?.holds) ? { ...NONE, ...value } : NONE;
  } catch {
    return NONE;
  }
}

export const keptNow = (): number => Date.now() + kept.peek().offsetMs;

/** Returns the holds to show at this time of the server. */
export const keptHolds = (now: number): readonly KeptHold[] =>
  kept.value.holds.filter(({ heldUntil }) => now < heldUntil + SHOWN_AFTER_MS);

export const canPayKept = (): boolean =>
  keptHolds(keptNow()).some(({ heldUntil, payUrl }) => payUrl !== null && keptNow() < heldUntil);
