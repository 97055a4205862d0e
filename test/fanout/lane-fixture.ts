/** Lanes of a room with one JSON viewer, chat batches, and what was published. */
import type { ChatBatch } from '../../src/domain/chat.ts';
import { MessagePackWriter, writeChatItem } from '../../src/domain/message-pack.ts';
import { BroadcastGroups } from '../../src/fanout/broadcast-groups.ts';
import { Broadcaster } from '../../src/fanout/broadcaster.ts';
import type { LaneOptions } from '../../src/fanout/chat-lane.ts';
import type { Frame } from '../../src/protocol/messages.ts';
import { newEncodeCounts } from '../support/encode-counts.ts';
import { ManualClock } from '../support/manual-clock.ts';

export type Published = { readonly topic: string; readonly frame: Frame };

export function laneFixture() {
  const clock = new ManualClock();
  const sent: Published[] = [];
  const publish = (topic: string, bytes: Uint8Array) =>
    void sent.push({ topic, frame: JSON.parse(Buffer.from(bytes).toString()) });
  const groups = new BroadcastGroups('show', new Broadcaster({ publish, onFrame: () => {} }, clock));
  groups.viewers = 1;
  groups.join('json');
  const afterWrites = (run: () => void): void => clock.afterWrites(run);
  const options: LaneOptions = { clock, groups, afterWrites, encodes: newEncodeCounts(), now: () => clock.time };
  return { clock, sent, groups, options };
}

/** Messages m1, m2, … with these indexes, of `taken` that the log accepted. */
export function sampled(firstId: number, taken: number, shown: readonly number[], padding = ''): ChatBatch {
  const writer = new MessagePackWriter();
  for (const i of shown) writeChatItem(writer, i, 0, 'ann', `m${firstId + i}${padding}`, 0);
  const batch = { node: 'n', firstId, at: 5, count: shown.length, items: writer.take() };
  return shown.length === taken ? batch : { ...batch, taken, last: shown.at(-1) ?? -1 };
}

export const batch = (firstId: number, count: number, padding = ''): ChatBatch =>
  sampled(firstId, count, [...Array(count).keys()], padding);

export const texts = (sent: readonly Published[]): string[] =>
  sent.flatMap(({ frame }) => (frame.chat ?? []).flatMap(([, , items]) => items.map(([, , , text]) => text)));

export const missed = (sent: readonly Published[]): number =>
  sent.reduce((sum, { frame }) => sum + (frame.missed ?? 0), 0);
