/** More chat than a viewer may send: appended to the log as by another node. */
import { MessagePackWriter, writeChatItem } from '../../src/domain/message-pack.ts';
import { unwrap } from '../support/store-fixture.ts';
import type { Client } from './client.ts';
import type { Engine } from './harness.ts';

export const FLOOD_MESSAGES = 200;

/** Appends `FLOOD_MESSAGES` messages, 60 kB. */
export async function flood({ store, show }: Engine, round: number): Promise<void> {
  const writer = new MessagePackWriter();
  for (let i = 0; i < FLOOD_MESSAGES; i += 1)
    writeChatItem(writer, i, 0, 'flood', `${round}/${i} `.padEnd(280, '.'), 0);
  const batch = { node: 'flooder', at: store.now(), count: FLOOD_MESSAGES, items: writer.take() };
  unwrap(await store.appendChat(show, batch, Array(FLOOD_MESSAGES).fill('flood')));
}

export const hasFlood = (client: Client, round: number): boolean =>
  client.lastText().startsWith(`${round}/${FLOOD_MESSAGES - 1} `);
