/** The replies to requests, as messages and as bytes. */
import { MessagePackWriter } from '../domain/message-pack.ts';
import { encodeFor } from '../fanout/frames.ts';
import { packValue } from '../protocol/codec.ts';
import type { Result } from '../protocol/codes.ts';
import type { ServerMessage, Variant } from '../protocol/messages.ts';
import type { RequestId } from '../protocol/validate.ts';

/** The data of an `ok`, or the error. */
export type Reply = Result<Record<string, unknown> | undefined>;

export function replyMessage(id: RequestId, at: number, reply: Reply): ServerMessage {
  if (!reply.ok) return { t: 'error', id, at, ...reply.error };
  return reply.value === undefined ? { t: 'ok', id, at } : { t: 'ok', id, at, data: reply.value };
}

/** Returns the header of a MessagePack map and its `names` without values between them. */
const mapBytes = (fields: number, ...names: string[]): Buffer =>
  Buffer.concat([Buffer.of(0x80 | fields), ...names.map((name) => packValue(name))]);
const OK_ID = mapBytes(4, 't', 'ok', 'id');
const AT = Buffer.from(packValue('at'));
const DATA_CHAT = Buffer.concat([packValue('data'), mapBytes(1, 'chat')]);
const writer = new MessagePackWriter();

/**
 * As `encodeFor`. The `ok` of a chat message, the most frequent reply, is written by hand: the
 * library takes twice as long.
 */
export function encodeReply(variant: Variant, id: RequestId, at: number, reply: Reply): Uint8Array | string {
  const chat = variant !== 'json' && reply.ok ? onlyChat(reply.value) : null;
  if (chat === null || typeof id !== 'number' || id < 0) return encodeFor(variant, replyMessage(id, at, reply));
  return writer.raw(OK_ID).number(id).raw(AT).number(at).raw(DATA_CHAT).number(chat).take();
}

/** Returns an `ok` with `data` that is encoded already: JSON as a string, or MessagePack. */
export function encodeReplyAround(id: RequestId, at: number, data: string | Uint8Array): Uint8Array | string {
  if (typeof data === 'string') return `{"t":"ok","id":${JSON.stringify(id)},"at":${at},"data":${data}}`;
  return writer.raw(OK_ID).raw(packValue(id)).raw(AT).number(at).string('data').raw(data).take();
}

/** Returns the id of a chat message if the reply has no other data. */
function onlyChat(data: Record<string, unknown> | undefined): number | null {
  const chat = data?.['chat'];
  return typeof chat === 'number' && Object.keys(data ?? {}).length === 1 ? chat : null;
}
