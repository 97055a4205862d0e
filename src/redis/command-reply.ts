/** Reads replies of commands: '+' done, '=' repeated key, or a code, each with a packed value. */
import { type Failure, failure, ok, type Result } from '../protocol/codes.ts';
import type { ShowState, ShowView } from '../protocol/messages.ts';
import { readShow, showView, unpack } from './records.ts';
import { bytesOf, isErrorCode, numberOf, type ScriptRunner, textOf } from './script-runner.ts';
import type { ScriptReply } from './scripts.ts';

const RETRY_MS = 1_000;

function retryAfterMs(code: string, { opensAt, now }: { opensAt?: number; now?: number }): number | undefined {
  if (code === 'sale_paused' || code === 'overloaded') return RETRY_MS;
  return code === 'sale_not_open' && opensAt && now ? Math.max(0, opensAt - now) : undefined;
}

/** Details without fields arrive as an empty array, because Lua has one type for both. */
export function refusal(code: string, details: unknown): Failure {
  if (!isErrorCode(code)) return failure('internal');
  const plain = Array.isArray(details) ? {} : (details as Record<string, unknown>);
  const waitMs = retryAfterMs(code, plain);
  return failure(code, undefined, { ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }), details: plain });
}

type Value = ScriptReply[number] | undefined;
/** Reads a show: its record and two fields. While a show is archived, it is still an ended one. */
export function viewOf(record: Value, state: Value, created: Value): ShowView {
  const word = textOf(state);
  const shown = word === 'archiving' ? 'ended' : (word as ShowState);
  return showView(readShow(bytesOf(record)), shown, numberOf(created));
}

/** Calls `onReplayed` if the value is the recorded one of an earlier command, which `key` has. */
export function commandReply<T>(
  runner: ScriptRunner,
  key: string,
  [tag, packed]: ScriptReply,
  onReplayed?: () => void,
): Result<{ value: T; replayed: boolean }> {
  const word = textOf(tag);
  const read = runner.decoded(key, ok(packed), (bytes) => unpack<T>(bytesOf(bytes)));
  if (!read.ok) return read;
  const { value } = read;
  if (word !== '+' && word !== '=') return { ok: false, error: refusal(word, value) };
  if (word === '=') onReplayed?.();
  return ok({ value, replayed: word === '=' });
}
