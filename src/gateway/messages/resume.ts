/** `resume`: sends what a client missed, or a snapshot if that is no longer available. */
import type { OutgoingFrame } from '../../fanout/frames.ts';
import { ok } from '../../protocol/codes.ts';
import type { ClientMessage } from '../../protocol/messages.ts';
import type { Connection, Reply } from './context.ts';

export async function onResume(
  { room }: Connection,
  { epoch, offset, chat }: Extract<ClientMessage, { t: 'resume' }>,
): Promise<{ reply: Reply; frames: OutgoingFrame[] }> {
  const { resumer, welcomes } = room;
  const position = { epoch, offset, ...(chat === undefined ? {} : { chat }) };
  const frames = resumer.fromRing(position) ?? (await resumer.fromLog(position));
  if (frames !== null) return { reply: ok({ resumed: true }), frames };
  return { reply: ok({ resumed: false }), frames: [welcomes.snapshotFrame(resumer.now())] };
}
