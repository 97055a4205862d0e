/** Tokens of users who connect too often: refused without a verification until they may join. */
import { LIMITS } from '../limits.ts';
import { fail, type Result } from '../protocol/codes.ts';

export class DelayedTokens {
  /** Times until which each token is refused, oldest first. */
  private readonly untilMs = new Map<string, number>();

  /** Refuses the token for this time. Returns the refusal. */
  delay(token: string, waitMs: number): Result<never> {
    this.untilMs.delete(token);
    this.untilMs.set(token, performance.now() + waitMs);
    const [oldest] = this.untilMs.keys();
    if (this.untilMs.size > LIMITS.delayedTokensKeptMax && oldest !== undefined) this.untilMs.delete(oldest);
    return refusal(waitMs);
  }

  /** Returns the refusal of this token, or null. */
  refuse(token: string): Result<never> | null {
    const untilMs = this.untilMs.get(token);
    if (untilMs === undefined) return null;
    const waitMs = Math.ceil(untilMs - performance.now());
    if (waitMs > 0) return refusal(waitMs);
    this.untilMs.delete(token);
    return null;
  }
}

const refusal = (retryAfterMs: number): Result<never> =>
  fail('rate_limited', 'You connect too often, and have many connections to this show.', { retryAfterMs });
