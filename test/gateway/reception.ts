/**
 * Judges what one client was told, message by message: whatever is missing must have been announced
 * (E-5, B-2, R-6).
 */
import type { Message } from './harness.ts';

export interface Reception {
  /** Holes that nobody announced, in words. */
  readonly problems: readonly string[];
  /** Epochs in the order they came. */
  readonly epochs: readonly string[];
  /** Frames that replaced everything; the one of the first welcome is not among them. */
  readonly snapshots: number;
  readonly texts: ReadonlySet<string>;
  /** Chat left out under the last epoch and told so. */
  readonly missed: number;
}

/**
 * @param received all messages of one connection, or of a connection and those that took its place.
 */
export function judge(received: readonly Message[]): Reception {
  const problems: string[] = [];
  const epochs: string[] = [];
  const texts = new Set<string>();
  let snapshots = -1;
  let offset = -1;
  /** Null: nothing was said about chat under this epoch yet. */
  let chat: number | null = null;
  let holes = 0;
  let missed = 0;
  for (const message of received) {
    if (message.snapshot) {
      snapshots += 1;
      ({ offset } = message.snapshot);
      const anew = message.snapshot.epoch !== epochs.at(-1);
      if (anew) epochs.push(message.snapshot.epoch);
      // A newcomer's history begins where it begins.
      if (anew || message.t === 'welcome') {
        if (holes !== missed) problems.push(`${holes} messages left out, ${missed} announced`);
        [chat, holes, missed] = [null, 0, 0];
      }
    }
    for (const event of message.events ?? []) {
      if (message.epoch !== epochs.at(-1)) problems.push(`an event of epoch ${message.epoch} in ${epochs.at(-1)}`);
      if (event.offset > offset + 1) problems.push(`event ${event.offset} after ${offset}`);
      offset = Math.max(offset, event.offset);
    }
    missed += message.missed ?? 0;
    for (const [firstId, , items] of message.chat ?? []) {
      if (items.length === 0 && chat !== null && firstId - 1 > chat) {
        holes += firstId - 1 - chat;
        chat = firstId - 1;
      }
      for (const [i, , , text] of items) {
        const id = firstId + i;
        texts.add(text);
        if (chat !== null && id <= chat) continue;
        if (chat !== null) holes += id - chat - 1;
        chat = id;
      }
    }
  }
  if (holes !== missed) problems.push(`${holes} messages left out, ${missed} announced`);
  return { problems, epochs, snapshots, texts, missed };
}
