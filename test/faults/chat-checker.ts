/** Checks that no chat message was lost without an announcement (C-1 to C-5, B-2, R-2, R-6). */
import type { Books } from './books.ts';
import type { PlainClient } from './plain-client.ts';
import type { AcceptedMessage } from './virtual-users.ts';

type Accepted = readonly AcceptedMessage[];

/** Each client received each message, the number of missed ones, or a snapshot in their place. */
export function checkChat({ epoch, chatLast: last }: Books, accepted: Accepted, clients: readonly PlainClient[]) {
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
  for (const { heard, node } of clients)
    for (const [place, text] of heard)
      if (place.startsWith(`${epoch}/`)) compare(Number(place.slice(epoch.length + 1)), text, `a client on ${node}`);
  for (const client of clients) {
    if (client.epoch !== epoch) continue;
    const leftOut = client.chatLeftOut(last);
    const who = `a client on ${client.node} (at ${client.chatAt}, ${client.losses} connections lost)`;
    if (leftOut > 0) wrong.push(`chat: ${leftOut} messages up to ${last} never came to ${who}, unannounced`);
    if (leftOut < 0) wrong.push(`chat: ${who} received an announcement of ${-leftOut} missed messages too many (B-2)`);
  }
  return wrong;
}
