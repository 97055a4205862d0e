/**
 * Refusals as values: those of the server by their catalogue code, and the few that only a client
 * can state.
 */
import type { ErrorCode, Failure } from '../protocol/codes.ts';

/**
 * `unknown_outcome`: sent, but no answer came in time; it may have happened (repeat it with the
 * same key). `disconnected`: not sent. `closed`: this client was closed. `queue_full`: too many
 * requests wait already.
 */
export type ClientErrorCode = ErrorCode | 'unknown_outcome' | 'disconnected' | 'closed' | 'queue_full';

export interface ClientFailure extends Omit<Failure, 'code'> {
  readonly code: ClientErrorCode;
}

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: ClientFailure };

export const refused = (
  code: ClientErrorCode,
  message: string,
): { readonly ok: false; readonly error: ClientFailure } => ({
  ok: false,
  error: { code, message },
});
