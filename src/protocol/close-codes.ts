/** All close codes of Stampede. A separate file: the SDK needs them and not the texts of errors. */

/** What the caller does next: `fix` the request, `retry` later, `resume` (reconnect), `stop`. */
export type Policy = 'fix' | 'retry' | 'resume' | 'stop';

// Those that the SDK uses are constants, because a bundler keeps all of an object.
export const OVERLOADED = 4100;
export const TOKEN_EXPIRED = 4201;
export const FORBIDDEN = 4202;

/** WebSocket close codes (private range of RFC 6455). Their hundreds are the policy. */
export const CLOSE = /* @__PURE__ */ Object.freeze({
  draining: 4000,
  too_slow: 4001,
  resync: 4002,
  format_newer: 4003,
  overloaded: OVERLOADED,
  redis_unavailable: 4101,
  bad_frames: 4200,
  token_expired: TOKEN_EXPIRED,
  forbidden: FORBIDDEN,
  show_gone: 4203,
  replaced: 4204,
} as const);

export type CloseReason = keyof typeof CLOSE;

/** Returns the policy of a close code, including those of WebSocket itself (1000 to 1015). */
export function closePolicy(code: number): Policy {
  if (code >= 4200 && code < 4300) return 'stop';
  if (code >= 4100 && code < 4200) return 'retry';
  if (code === 1009) return 'fix';
  return 'resume';
}
