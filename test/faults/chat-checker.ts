/** Checks that no chat message was lost without an announcement (C-1 to C-5, B-2, R-2, R-6). */
import type { PlainClient } from './plain-client.ts';
import type { AcceptedMessage } from './virtual-users.ts';

export interface Conversation {
  readonly epoch: string;
  /** Id of the last message in the show's history. */
  readonly last: number;
  readonly accepted: readonly AcceptedMessage[];
  readonly clients: readonly PlainClient[];
}

/**
 * Returns the violations. Each client received each message under its id, or the number of missed
 * messages, or a snapshot in their place.
 */
export function checkChat({ epoch, last, accepted, clients }: Conversation): string[] {
  const wrong: string[] = [];
  const texts = new Map<number, string>();
  const compare = (id: number, text: string, owner: string): void => {
    const known = texts.get(id);
    if (known !== undefined && known !== text)
      wrong.push(`chat: ${owner} has ${JSON.stringify(text)} as ${id}, which is ${JSON.stringify(known)} elsewhere`);
    texts.set(id, text);
  };
  for (const message of accepted) {
    if (message.epoch !== epoch) continue;
    compare(message.id, message.text, 'its sender');
    if (message.id > last) wrong.push(`chat: ${message.id} was accepted, the history ends at ${last}`);
  }
  for (const client of clients)
    for (const [place, text] of client.heard)
      if (place.startsWith(`${epoch}/`))
        compare(Number(place.slice(epoch.length + 1)), text, `a client on ${client.node}`);
  for (const client of clients) {
    const leftOut = client.chatLeftOut(last);
    if (client.epoch !== epoch || leftOut === 0) continue;
    wrong.push(
      leftOut > 0
        ? `chat: ${leftOut} messages up to ${last} never came to a client on ${client.node}, without an ` +
            `announcement (last one ${client.chatAt}, ${client.losses} connections lost)`
        : `chat: a client on ${client.node} received an announcement of ${-leftOut} missed messages too many (B-2)`,
    );
  }
  return wrong;
}
