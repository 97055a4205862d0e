/** Releases of holds that can still be undone. Units that are released may be gone for good. */
import { type ReadonlySignal, signal } from '@preact/signals';

/** Long enough to hear or read what happens, and to press again. */
export const UNDO_MS = 5_000;

export interface Releases {
  /** When the release of each hold is sent, on the server's clock. Until then it can be undone. */
  readonly at: ReadonlySignal<ReadonlyMap<string, number>>;
  readonly start: (reservation: string) => void;
  readonly undo: (reservation: string) => void;
  /** Does not wait any longer: the page is left. */
  readonly sendAll: () => void;
}

/** `send`: sends the release of a hold. */
export function createReleases(serverNow: () => number, send: (reservation: string) => void): Releases {
  const at = signal<ReadonlyMap<string, number>>(new Map());
  const timers = new Map<string, ReturnType<typeof setTimeout>>();
  const undo = (reservation: string): void => {
    clearTimeout(timers.get(reservation));
    timers.delete(reservation);
    at.value = new Map([...at.value].filter(([id]) => id !== reservation));
  };
  const sendNow = (reservation: string): void => {
    undo(reservation);
    send(reservation);
  };
  return {
    at,
    undo,
    start(reservation) {
      if (timers.has(reservation)) return;
      at.value = new Map(at.value).set(reservation, serverNow() + UNDO_MS);
      timers.set(reservation, setTimeout(sendNow, UNDO_MS, reservation));
    },
    sendAll() {
      for (const reservation of [...timers.keys()]) sendNow(reservation);
    },
  };
}
