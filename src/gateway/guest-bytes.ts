/**
 * Bytes of welcomes and missed events that the guests of one address get. Guests have no id, and a
 * new connection has a new budget, so a client that connects in circles needs this one.
 * See "What the guests of an address may cost" in src/README.md.
 */
import type { Clock } from '../domain/clock.ts';
import { type TokenBucket, takeTokens } from '../domain/token-bucket.ts';
import { LIMITS } from '../limits.ts';
import { fail, type Result } from '../protocol/codes.ts';
import type { Connection } from './connection.ts';
import { retryAfterMs } from './connections.ts';

interface Budget extends TokenBucket {
  /** Open connections of guests. */
  connections: number;
  /** The most of them recently: it halves in `guestPeakHalfLifeSeconds`. */
  peak: number;
}

export const bytesIn = (messages: ReadonlyArray<Uint8Array | string>): number =>
  messages.reduce((sum, { length }) => sum + length, 0);

/** An address without connections is forgotten after so many half-lives. */
const FORGOTTEN_HALF_LIVES = 10;

export class GuestBytes {
  private readonly clock: Pick<Clock, 'nowMs'>;
  private readonly perSecond: number;
  /** By address, in the order in which they were last looked at. */
  private readonly budgets = new Map<string, Budget>();

  constructor(clock: Pick<Clock, 'nowMs'>, perSecond: number = LIMITS.guestBytesPerSecond) {
    this.clock = clock;
    this.perSecond = perSecond;
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.budgets.size;
  }

  /** Returns the refusal of a further guest, or null. One more than there were is never refused. */
  refuseJoin(address: string): Result<never> | null {
    const budget = this.refreshed(address);
    // Half a connection: a peak that has just begun to fall does not count as lower.
    if (budget === undefined || budget.connections + 0.5 >= budget.peak) return null;
    const waitMs = this.waitMs(budget);
    if (waitMs === 0) return null;
    return fail('rate_limited', 'The guests of this address connect too often.', {
      retryAfterMs: Math.max(waitMs, retryAfterMs()),
    });
  }

  /** Returns the refusal of a resume, or null. */
  refuseResume({ identity, source }: Connection): Result<never> | null {
    const budget = identity.user === null ? this.refreshed(source.address) : undefined;
    const waitMs = budget === undefined ? 0 : this.waitMs(budget);
    if (waitMs === 0) return null;
    const message = `The guests of this address asked for too much. Try again in ${waitMs} ms.`;
    return fail('rate_limited', message, { retryAfterMs: waitMs });
  }

  /** The connection is open. Each one above the peak brings the bytes of its first welcome. */
  add({ identity, source: { address } }: Connection): void {
    if (identity.user !== null) return;
    const budget = this.refreshed(address) ?? this.remember(address);
    budget.connections += 1;
    const above = budget.connections - budget.peak;
    if (above <= 0) return;
    budget.peak = budget.connections;
    budget.tokens += above * LIMITS.guestBytesPerSecondPerConnection * LIMITS.guestBytesBurstSeconds;
  }

  remove({ identity, source }: Connection): void {
    const budget = identity.user === null ? this.refreshed(source.address) : undefined;
    if (budget !== undefined) budget.connections -= 1;
  }

  /** Charges what was sent, into debt if necessary. */
  charge({ identity, source }: Connection, bytes: number): void {
    const budget = identity.user === null ? this.budgets.get(source.address) : undefined;
    if (budget !== undefined) budget.tokens -= bytes;
  }

  private rateOf({ peak }: Pick<Budget, 'peak'>) {
    const perSecond = this.perSecond + peak * LIMITS.guestBytesPerSecondPerConnection;
    return { perSecond, burst: perSecond * LIMITS.guestBytesBurstSeconds };
  }

  /** 0: something may be sent. What it costs is known only then. */
  private waitMs(budget: Budget): number {
    return budget.tokens > 0 ? 0 : Math.ceil(((1 - budget.tokens) / this.rateOf(budget).perSecond) * 1000);
  }

  /** Returns the budget with what it got since the last look. */
  private refreshed(address: string): Budget | undefined {
    const budget = this.budgets.get(address);
    if (budget === undefined) return undefined;
    const nowMs = this.clock.nowMs();
    const seconds = Math.max(0, nowMs - budget.atMs) / 1000;
    takeTokens(budget, this.rateOf(budget), nowMs, 0);
    if (budget.peak > budget.connections)
      budget.peak = Math.max(budget.connections, budget.peak * 0.5 ** (seconds / LIMITS.guestPeakHalfLifeSeconds));
    return budget;
  }

  private remember(address: string): Budget {
    this.forgetOne();
    const { burst } = this.rateOf({ peak: 0 });
    const budget = { tokens: burst, atMs: this.clock.nowMs(), connections: 0, peak: 0 };
    this.budgets.set(address, budget);
    return budget;
  }

  /** For each new address one is looked at: it is forgotten, or comes last. */
  private forgetOne(): void {
    const [oldest] = this.budgets;
    if (oldest === undefined) return;
    const [address, { connections, atMs }] = oldest;
    const keptMs = FORGOTTEN_HALF_LIVES * LIMITS.guestPeakHalfLifeSeconds * 1000;
    const isOld = this.clock.nowMs() - atMs > keptMs || this.budgets.size >= LIMITS.guestAddressesKeptMax;
    this.budgets.delete(address);
    if (connections > 0 || !isOld) this.budgets.set(address, oldest[1]);
  }
}
