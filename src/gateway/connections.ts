/** Every connection of this node, how many each address has, and who may still come in. */

import { newBucket, type Rate, type TokenBucket, takeTokens } from '../domain/token-bucket.ts';
import { LIMITS } from '../limits.ts';
import { type Failure, fail, failure, ok, type Result } from '../protocol/codes.ts';
import type { Connection, Source } from './connection.ts';

export interface ConnectionLimits {
  readonly perNodeMax: number;
  readonly perAddressMax: number;
  readonly joinsPerSecond: number;
}

export class Connections {
  private readonly limits: ConnectionLimits;
  private readonly joinRate: Rate;
  private readonly joins: TokenBucket;
  private readonly table: Connection[] = [];
  private readonly sources = new Map<string, Source>();
  /** Upgrades that were let in and are not open yet. */
  private pending = 0;

  constructor({
    perNodeMax = LIMITS.connectionsPerNodeMax,
    perAddressMax = LIMITS.connectionsPerAddressMax,
    joinsPerSecond = LIMITS.joinsPerSecondPerNode,
  }: Partial<ConnectionLimits> = {}) {
    this.limits = { perNodeMax, perAddressMax, joinsPerSecond };
    this.joinRate = { perSecond: joinsPerSecond, burst: joinsPerSecond };
    this.joins = newBucket(this.joinRate, performance.now());
  }

  get size(): number {
    return this.table.length;
  }

  at(index: number): Connection | undefined {
    return this.table[index];
  }

  /**
   * Why nobody more comes in, null while there is a place: asked before anything is done for an
   * upgrade.
   */
  full(): Failure | null {
    return this.table.length + this.pending >= this.limits.perNodeMax
      ? failure('at_capacity', undefined, { retryAfterMs: retryAfterMs() })
      : null;
  }

  /**
   * Takes a place for an upgrade, before its token is looked at. `withdraw` gives it back, `add`
   * hands it to the connection.
   */
  admit(address: string): Result<Source> {
    const source = this.sources.get(address) ?? { address, connections: 0 };
    if (source.connections >= this.limits.perAddressMax) {
      return fail('rate_limited', 'Too many connections come from this address.', { retryAfterMs: retryAfterMs() });
    }
    if (takeTokens(this.joins, this.joinRate, performance.now()) > 0) {
      return fail(
        'overloaded',
        `More than ${this.limits.joinsPerSecond} viewers a second want in; come back a little later.`,
        {
          retryAfterMs: retryAfterMs(),
        },
      );
    }
    if (source.connections === 0) this.sources.set(address, source);
    source.connections += 1;
    this.pending += 1;
    return ok(source);
  }

  /** An admitted upgrade came to nothing. */
  withdraw(source: Source): void {
    this.pending -= 1;
    this.release(source);
  }

  /** An admitted upgrade is open. */
  add(connection: Connection): void {
    this.pending -= 1;
    connection.index = this.table.length;
    this.table.push(connection);
  }

  remove(connection: Connection): void {
    const last = this.table.pop();
    if (last !== undefined && last !== connection) {
      this.table[connection.index] = last;
      last.index = connection.index;
    }
    connection.index = -1;
    this.release(connection.source);
  }

  /** A copy, for walks during which connections close. */
  all(): Connection[] {
    return [...this.table];
  }

  private release(source: Source): void {
    source.connections -= 1;
    if (source.connections === 0) this.sources.delete(source.address);
  }
}

/**
 * Everybody who is refused gets a time of their own: those who came together must not come back
 * together.
 */
export function retryAfterMs(): number {
  const { refusedRetryMinMs, refusedRetryMaxMs } = LIMITS;
  return Math.round(refusedRetryMinMs + Math.random() * (refusedRetryMaxMs - refusedRetryMinMs));
}
