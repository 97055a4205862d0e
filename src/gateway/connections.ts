/** All connections of this node, and their limits: per node, address and second. */
import { newBucket, type Rate, type TokenBucket, takeTokens } from '../domain/token-bucket.ts';
import { UserPace } from '../fanout/user-pace.ts';
import { LIMITS } from '../limits.ts';
import { type Failure, fail, failure, ok, type Result } from '../protocol/codes.ts';
import type { Connection, Source } from './connection.ts';

export interface ConnectionLimits {
  readonly perNodeMax: number;
  readonly perAddressMax: number;
  readonly joinsPerSecond: number;
  readonly joinsPerSecondPerAddress: number;
}

export class Connections {
  private readonly limits: Omit<ConnectionLimits, 'joinsPerSecondPerAddress'>;
  private readonly joinRate: Rate;
  private readonly joins: TokenBucket;
  /** By address, also of those without a connection now. null: the limit of the node is lower. */
  private readonly addressJoins: UserPace | null;
  private readonly table: Connection[] = [];
  private readonly sources = new Map<string, Source>();
  /** Slots of upgrades whose socket is not open yet. */
  private reserved = 0;

  constructor({
    perNodeMax = LIMITS.connectionsPerNodeMax,
    perAddressMax = LIMITS.connectionsPerAddressMax,
    joinsPerSecond = LIMITS.joinsPerSecondPerNode,
    joinsPerSecondPerAddress = joinsPerSecond,
  }: Partial<ConnectionLimits> = {}) {
    this.limits = { perNodeMax, perAddressMax, joinsPerSecond };
    this.joinRate = { perSecond: joinsPerSecond, burst: joinsPerSecond };
    this.joins = newBucket(this.joinRate, performance.now());
    const burst = LIMITS.addressJoinsBurstSeconds * joinsPerSecondPerAddress;
    const isLower = joinsPerSecondPerAddress < joinsPerSecond;
    this.addressJoins = isLower ? new UserPace({ perSecond: joinsPerSecondPerAddress, burst }) : null;
  }

  get size(): number {
    return this.table.length;
  }

  at(index: number): Connection | undefined {
    return this.table[index];
  }

  /** Returns an error if the node is full. Checked first, before any work for an upgrade. */
  capacityError(): Failure | null {
    return this.table.length + this.reserved >= this.limits.perNodeMax
      ? failure('at_capacity', undefined, { retryAfterMs: retryAfterMs() })
      : null;
  }

  /** Reserves a slot before the token is checked. End with `releaseSlot`, or with `add`. */
  reserveSlot(address: string): Result<Source> {
    const { perAddressMax, joinsPerSecond } = this.limits;
    const source = this.sources.get(address) ?? { address, connections: 0 };
    if (source.connections >= perAddressMax)
      return fail('rate_limited', 'This address has too many connections.', { retryAfterMs: retryAfterMs() });
    const waitMs = this.addressJoins?.take(address, performance.now()) ?? 0;
    if (waitMs > 0) return fail('rate_limited', 'This address connects too often.', { retryAfterMs: waitMs });
    if (takeTokens(this.joins, this.joinRate, performance.now()) > 0) {
      const message = `More than ${joinsPerSecond} viewers per second are connecting. Try again later.`;
      return fail('overloaded', message, { retryAfterMs: retryAfterMs() });
    }
    if (source.connections === 0) this.sources.set(address, source);
    source.connections += 1;
    this.reserved += 1;
    return ok(source);
  }

  /** The upgrade was refused. */
  releaseSlot(source: Source): void {
    this.reserved -= 1;
    this.releaseSource(source);
  }

  /** The upgrade is complete: its reserved slot becomes a connection. */
  add(connection: Connection): void {
    this.reserved -= 1;
    connection.index = this.table.length;
    this.table.push(connection);
  }

  /** Moves the last connection to the free index. */
  remove(connection: Connection): void {
    const last = this.table.pop();
    if (last !== undefined && last !== connection) {
      this.table[connection.index] = last;
      last.index = connection.index;
    }
    this.releaseSource(connection.source);
  }

  /** Returns a copy, for loops during which connections close. */
  all(): Connection[] {
    return [...this.table];
  }

  private releaseSource(source: Source): void {
    source.connections -= 1;
    if (source.connections === 0) this.sources.delete(source.address);
  }
}

/** Returns a random delay, so that refused clients do not retry together. */
export function retryAfterMs(): number {
  const { refusedRetryMinMs, refusedRetryMaxMs } = LIMITS;
  return Math.round(refusedRetryMinMs + Math.random() * (refusedRetryMaxMs - refusedRetryMinMs));
}
