/**
 * `resume`: a client that found a gap gets what it missed, or a snapshot when that cannot be had.
 */
import type { OutgoingFrame } from '../../fanout/frames.ts';
import { ok } from '../../protocol/codes.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import type { Connection, Reply } from './context.ts';

export async function onResume(
  connection: Connection,
  { epoch, offset, chat }: Extract<ClientMessage, { t: 'resume' }>,
): Promise<{ answer: Reply; frames: OutgoingFrame[] }> {
  const { resumer, welcomes } = connection.room;
  const position = { epoch, offset, ...(chat === undefined ? {} : { chat }) };
  const frames = resumer.fromRing(position) ?? (await resumer.fromLog(position));
  if (frames !== null) return { answer: ok({ resumed: true }), frames };
  return { answer: ok({ resumed: false }), frames: [welcomes.snapshotFrame(resumer.now())] };
}
