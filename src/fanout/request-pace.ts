/** How often each user sends what Redis may have to record: quickly for a while, then slowly. */
import type { Rate } from '../domain/token-bucket.ts';
import { LIMITS } from '../limits.ts';
import { UserPace } from './user-pace.ts';

export class RequestPace {
  private readonly brief: UserPace;
  /** Bounds what one user adds to the ledger in an evening: each accepted request is an entry. */
  private readonly lasting: UserPace;

  /** `share` receives users who are so busy that other nodes must know. */
  constructor(rate: Rate, share: (user: string, count: number) => void) {
    this.brief = new UserPace(rate, share);
    this.lasting = new UserPace({
      perSecond: rate.perSecond * LIMITS.lastingRequestsPart,
      burst: rate.perSecond * LIMITS.lastingRequestsBurstSeconds,
    });
  }

  /** Counts a request and returns 0, or returns the milliseconds until it would be accepted. */
  take(user: string, nowMs: number): number {
    return this.brief.take(user, nowMs) || this.lasting.take(user, nowMs);
  }

  /** Charges what another node accepted, into debt if necessary. */
  charge(user: string, count: number, nowMs: number): void {
    this.brief.charge(user, count, nowMs);
    this.lasting.charge(user, count, nowMs);
  }
}
