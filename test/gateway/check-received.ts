/** Checks the messages of one viewer: each gap must be reported (E-5, B-2, R-6). */
import type { Message } from './client.ts';

/** Returns whether each number is one more than the number before it. */
export const isConsecutive = (numbers: readonly number[]): boolean =>
  numbers.every((number, i) => number === (numbers[0] ?? 0) + i);

/** @param received all messages of a connection and of those that replaced it. */
export function checkReceived(received: readonly Message[]) {
  /** Unreported gaps and events out of order. */
  const problems: string[] = [];
  const epochs: string[] = [];
  const texts = new Set<string>();
  /** Snapshots after the one of the first welcome. */
  let snapshots = -1;
  let offset = -1;
  /** Id of the last chat message; null before the first one under this epoch. */
  let chat: number | null = null;
  let gap = 0;
  /** Sum of `missed` under the last epoch. */
  let missed = 0;
  const checkMissed = (): void => {
    if (gap !== missed) problems.push(`${gap} messages missing, ${missed} reported`);
  };
  for (const message of received) {
    if (message.snapshot) {
      snapshots += 1;
      ({ offset } = message.snapshot);
      const isNewEpoch = message.snapshot.epoch !== epochs.at(-1);
      if (isNewEpoch) epochs.push(message.snapshot.epoch);
      // The chat history of a new viewer may begin at any id.
      if (isNewEpoch || message.t === 'welcome') {
        checkMissed();
        [chat, gap, missed] = [null, 0, 0];
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
        gap += firstId - 1 - chat;
        chat = firstId - 1;
      }
      for (const [i, , , text] of items) {
        const id = firstId + i;
        texts.add(text);
        if (chat !== null && id <= chat) continue;
        if (chat !== null) gap += id - chat - 1;
        chat = id;
      }
    }
  }
  checkMissed();
  return { problems, epochs, snapshots, texts, missed };
}
