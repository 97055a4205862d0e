/** Results of requests: a value, or a failure with a code of the server or of the client. */
import type { ErrorCode, Failure } from '../protocol/codes.ts';

/**
 * A code of the server, or of the client. `unknown_outcome`: sent, but no reply arrived in time; it
 * may have succeeded, so repeat it with the same key. `disconnected`: not sent. `closed`: this
 * client was closed. `queue_full`: too many requests are pending.
 */
export type ClientErrorCode = ErrorCode | 'unknown_outcome' | 'disconnected' | 'closed' | 'queue_full';

/** Why a request failed. */
export interface ClientFailure extends Omit<Failure, 'code'> {
  readonly code: ClientErrorCode;
}

/** The result of a request. No promise of it rejects: wrong arguments get `invalid_message`. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | Failed;

export interface Failed {
  readonly ok: false;
  readonly error: ClientFailure;
}

export const failed = (code: ClientErrorCode, message: string): Failed => ({ ok: false, error: { code, message } });

export const NOT_CONNECTED = failed('disconnected', 'Not connected: nothing was sent.');
