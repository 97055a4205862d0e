/** The answers to requests, as messages and as bytes. */

import { MessagePackWriter } from '../domain/message-pack.ts';
import { encodeFor } from '../fanout/frames.ts';
import { packValue } from '../protocol/codec.ts';
import type { Result } from '../protocol/codes.ts';
import type { ServerMessage, Variant } from '../protocol/messages.ts';
import type { RequestId } from '../protocol/validate.ts';

export type Reply = Result<Record<string, unknown> | undefined>;

export function replyMessage(id: RequestId, at: number, result: Reply): ServerMessage {
  if (!result.ok) return { t: 'error', id, at, ...result.error };
  return result.value === undefined ? { t: 'ok', id, at } : { t: 'ok', id, at, data: result.value };
}

/**
 * The bytes of a MessagePack map with so many fields that begin with `names`, back to back; a
 * field's value follows its name.
 */
const mapBytes = (fields: number, ...names: string[]): Buffer =>
  Buffer.concat([Buffer.of(0x80 | fields), ...names.map((name) => packValue(name))]);
const OK_ID = mapBytes(4, 't', 'ok', 'id');
const AT = Buffer.from(packValue('at'));
const DATA_CHAT = Buffer.concat([packValue('data'), mapBytes(1, 'chat')]);
const writer = new MessagePackWriter();

/**
 * As `encodeFor`. The `ok` of a chat message, the most frequent of all answers, is written by hand:
 * the library takes twice as long.
 */
export function encodeReply(variant: Variant, id: RequestId, at: number, result: Reply): Uint8Array | string {
  const chat = variant !== 'json' && result.ok ? onlyChat(result.value) : null;
  if (chat === null || typeof id !== 'number' || id < 0) return encodeFor(variant, replyMessage(id, at, result));
  return writer.raw(OK_ID).number(id).raw(AT).number(at).raw(DATA_CHAT).number(chat).take();
}

/** The id of a chat message when the answer says nothing else. */
function onlyChat(data: Record<string, unknown> | undefined): number | null {
  const chat = data?.['chat'];
  return typeof chat === 'number' && Object.keys(data ?? {}).length === 1 ? chat : null;
}
