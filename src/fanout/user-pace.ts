/**
 * How often each user does something in one room, over all connections and nodes: what other nodes
 * accepted is charged here, too. Kept apart from connections, so that reconnecting gains nothing.
 */
import { type Rate, type TokenBucket, takeTokens } from '../domain/token-bucket.ts';
import { LIMITS } from '../limits.ts';
import { unpackValues } from '../protocol/codec.ts';

interface UserState extends TokenBucket {
  lastMs: number;
  /** When the user was last moved to the end of the map. */
  orderedMs: number;
  /** Accepted on this node since then. */
  count: number;
}

/** Called for users who are so busy that other nodes must know: what this node accepted. */
type Share = (user: string, count: number) => void;

/** Moving a user to the end is the largest cost here, so it is not done for each message. */
const ORDER_EVERY_MS = 1_000;

export class UserPace {
  private readonly rate: Rate;
  private readonly share: Share | null;
  /** Ordered by the last message, to within `ORDER_EVERY_MS`. */
  private readonly users = new Map<string, UserState>();

  constructor(rate: Rate, share: Share | null = null) {
    this.rate = rate;
    this.share = share;
  }

  /** Returns true if anything was counted recently. */
  has(user: string): boolean {
    return this.users.has(user);
  }

  /** Returns the milliseconds until slow mode lets this user write again, 0 = now. */
  slowModeWaitMs(user: string, slowModeMs: number, nowMs: number): number {
    const state = this.users.get(user);
    return state === undefined ? 0 : Math.max(0, Math.ceil(state.lastMs + slowModeMs - nowMs));
  }

  /** Counts a message and returns 0, or returns the milliseconds until it would be accepted. */
  take(user: string, nowMs: number, slowModeMs = 0): number {
    const state = this.stateOf(user, nowMs);
    const waitMs = takeTokens(state, this.rate, nowMs);
    if (waitMs > 0) return waitMs;
    this.onMessage(user, state, nowMs, slowModeMs);
    state.count += 1;
    // Nearly all users do too little in a second for other nodes to know.
    if (this.share !== null && state.count >= LIMITS.sharedRequestsMin)
      this.share(user, state.count === LIMITS.sharedRequestsMin ? state.count : 1);
    return 0;
  }

  /** Charges chat of another node. `authors`: a packed array of users. */
  chargeChat(authors: Uint8Array, nowMs: number, slowModeMs: number): void {
    const [users] = unpackValues(authors) as [readonly string[] | undefined];
    for (const user of users ?? []) this.charge(user, 1, nowMs, slowModeMs);
  }

  /** Charges what another node accepted, into debt if necessary. */
  charge(user: string, count: number, nowMs: number, slowModeMs = 0): void {
    const state = this.stateOf(user, nowMs);
    takeTokens(state, this.rate, nowMs, 0);
    state.tokens -= count;
    this.onMessage(user, state, nowMs, slowModeMs);
  }

  /** No spread for a new user: the object would take three times the memory. */
  private stateOf(user: string, nowMs: number): UserState {
    const { burst } = this.rate;
    const known = this.users.get(user);
    return known ?? { tokens: burst, atMs: nowMs, lastMs: nowMs, orderedMs: Number.NEGATIVE_INFINITY, count: 0 };
  }

  private onMessage(user: string, state: UserState, nowMs: number, slowModeMs: number): void {
    state.lastMs = nowMs;
    if (nowMs - state.orderedMs < ORDER_EVERY_MS) return;
    state.orderedMs = nowMs;
    state.count = 0;
    this.users.delete(user);
    this.users.set(user, state);
    const { perSecond, burst } = this.rate;
    for (const [oldest, { lastMs, tokens }] of this.users) {
      const owesMs = Math.max(slowModeMs, ((burst - Math.min(0, tokens)) / perSecond) * 1000);
      if (this.users.size <= LIMITS.pacedUsersKeptMax && lastMs + owesMs > nowMs) return;
      this.users.delete(oldest);
    }
  }
}
