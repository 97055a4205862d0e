/** All error codes of Stampede. Tests compare SPEC.md and the OpenAPI page with them. */
import type { Policy } from './close-codes.ts';

export * from './close-codes.ts';

export interface CodeEntry {
  /** HTTP status, if the code is sent over HTTP. */
  readonly status: number;
  readonly policy: Policy;
  /** Short, stable, human-readable title (RFC 9457 `title`). */
  readonly title: string;
}

const entry = (status: number, policy: Policy, title: string): CodeEntry => Object.freeze({ status, policy, title });

export const ERRORS = Object.freeze({
  // Frames and requests
  bad_frame: entry(400, 'fix', 'The frame is not a message in the negotiated encoding'),
  frame_too_large: entry(413, 'fix', 'The message is larger than allowed'),
  unknown_type: entry(400, 'fix', 'The message type is not known'),
  invalid_message: entry(400, 'fix', 'A field is missing or has a wrong type or value'),
  invalid_request: entry(400, 'fix', 'The request does not fit its schema'),
  unsupported_protocol: entry(400, 'fix', 'None of the offered protocols is supported'),
  not_found: entry(404, 'fix', 'No such route or object'),
  method_not_allowed: entry(405, 'fix', 'The route does not know this method'),
  unsupported_media_type: entry(415, 'fix', 'The body must be application/json'),
  too_many_in_flight: entry(429, 'retry', 'Too many requests are waiting on this connection'),

  // Authentication and roles
  unauthenticated: entry(401, 'fix', 'A valid token or API key is required'),
  token_expired: entry(401, 'fix', 'The token has expired'),
  forbidden: entry(403, 'stop', 'Your role does not allow this'),
  muted: entry(403, 'retry', 'You may not chat in this show for now'),
  origin_not_allowed: entry(403, 'stop', 'This origin is not allowed'),

  // Shows, products, sales
  show_not_found: entry(404, 'stop', 'No such show'),
  show_ended: entry(409, 'stop', 'The show has ended'),
  show_archived: entry(410, 'stop', 'The show is archived'),
  not_archived: entry(404, 'fix', 'The show is not archived'),
  archive_conflict: entry(409, 'fix', 'Another folder has the place of the archive'),
  product_not_found: entry(404, 'fix', 'No such product in this show'),
  sale_not_found: entry(404, 'fix', 'No such sale in this show'),
  sku_not_found: entry(404, 'fix', 'The sale has no such SKU'),
  sku_not_in_product: entry(409, 'fix', 'The product has no such SKU'),
  product_in_use: entry(409, 'fix', 'A sale that is not over sells this product'),
  already_exists: entry(409, 'fix', 'An object with this id exists and differs'),
  limit_reached: entry(409, 'fix', 'The show holds as many of these as it may'),
  illegal_move: entry(409, 'fix', 'The object is not in a state that allows this'),
  insufficient_units: entry(409, 'fix', 'Fewer units are free than asked for'),

  // Reservations
  sale_not_open: entry(409, 'retry', 'The sale has not opened yet'),
  sale_paused: entry(409, 'retry', 'The sale is paused'),
  sale_ended: entry(409, 'stop', 'The sale has ended'),
  sale_cancelled: entry(409, 'stop', 'The sale was cancelled'),
  sold_out: entry(409, 'stop', 'Not enough units are left'),
  limit_exceeded: entry(409, 'stop', 'The per-buyer limit would be exceeded'),
  reservation_not_found: entry(404, 'fix', 'No such reservation'),
  reservation_confirmed: entry(409, 'stop', 'The reservation is already confirmed'),
  reservation_released: entry(409, 'stop', 'The reservation was released'),
  reservation_expired: entry(409, 'stop', 'The hold has expired'),
  reservation_refunded: entry(409, 'stop', 'The order was refunded'),
  amount_mismatch: entry(409, 'fix', 'The amount charged is not the amount of the reservation'),
  order_ref_taken: entry(409, 'fix', 'Another reservation of the show has this order reference'),
  already_waiting: entry(409, 'stop', 'You are on the waitlist for this SKU already'),
  not_waiting: entry(409, 'fix', 'You are not on the waitlist for this SKU'),
  units_free: entry(409, 'fix', 'Units are free: reserve instead of waiting'),
  idempotency_conflict: entry(409, 'fix', 'The key was used before with another body'),
  idempotency_in_progress: entry(409, 'retry', 'The first request with this key is still running'),

  // Rates and health
  rate_limited: entry(429, 'retry', 'Too many requests'),
  overloaded: entry(503, 'retry', 'The engine sheds load'),
  redis_unavailable: entry(503, 'retry', 'Redis does not respond; repeat with the same key'),
  redis_full: entry(503, 'retry', 'Redis is out of memory; nothing was changed'),
  redis_readonly: entry(503, 'retry', 'Redis accepts no writes; nothing was changed'),
  draining: entry(503, 'resume', 'This node is stopping; connect again'),
  format_newer: entry(503, 'resume', 'A newer release has written this show; connect to another node'),
  at_capacity: entry(503, 'retry', 'This node serves as many connections as it may'),
  archive_failed: entry(503, 'retry', 'The archive could not be written or read'),
  internal: entry(500, 'retry', 'Something unexpected went wrong; repeat with the same key'),
} as const);

/** Why a server refused. SPEC.md, section 9, has the meaning of each, and what to do. */
export type ErrorCode = keyof typeof ERRORS;

/** Returns true for a show that viewers can no longer open. */
export const isGone = (code: ErrorCode): boolean => code === 'show_not_found' || code === 'show_archived';

/** Returns true for a show that viewers cannot open on this node. */
export const isClosed = (code: ErrorCode): boolean => isGone(code) || code === 'format_newer';

/** An error as a value. */
export interface Failure {
  readonly code: ErrorCode;
  /** What happened and what to do, for a person. */
  readonly message: string;
  /** The caller should wait this long before it tries again. */
  readonly retryAfterMs?: number;
  /** Facts for programs, such as `opensAt` or the field that is wrong. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: Failure };

export const ok = <T>(value: T): Result<T> => ({ ok: true, value });

export function fail(
  code: ErrorCode,
  message?: string,
  more: { retryAfterMs?: number; details?: Record<string, unknown> } = {},
): { readonly ok: false; readonly error: Failure } {
  return { ok: false, error: failure(code, message, more) };
}

export function failure(
  code: ErrorCode,
  message?: string,
  more: { retryAfterMs?: number; details?: Record<string, unknown> } = {},
): Failure {
  return { code, message: message ?? `${ERRORS[code].title}.`, ...more };
}

/** A failure for code that throws: Fastify handlers and the CLI. */
export class StampedeError extends Error {
  readonly failure: Failure;
  constructor(failure: Failure, options?: { cause?: unknown }) {
    super(`${failure.code}: ${failure.message}`, options);
    this.name = 'StampedeError';
    this.failure = failure;
  }
}
