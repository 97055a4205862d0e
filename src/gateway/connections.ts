/** Every connection of this node, and how many each address has. */

import { fail, ok, type Result } from '../protocol/codes.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Connection } from './connection.ts';

const FULL_RETRY_MS = 2_000;

export class Connections {
  private readonly table: Connection[] = [];
  private readonly perAddress = new Map<string, number>();
  /** Upgrades that were let in and are not open yet. */
  private pending = 0;

  get size(): number {
    return this.table.length;
  }

  at(index: number): Connection | undefined {
    return this.table[index];
  }

  /** Takes a place for an upgrade, before any work is done for it. `settle` gives it back or hands it to the connection. */
  admit(address: string): Result<null> {
    if (this.table.length + this.pending >= LIMITS.connectionsPerNodeMax) {
      return fail('at_capacity', undefined, { retryAfterMs: FULL_RETRY_MS });
    }
    const fromAddress = this.perAddress.get(address) ?? 0;
    if (fromAddress >= LIMITS.connectionsPerAddressMax) {
      return fail('rate_limited', 'Too many connections come from this address.', { retryAfterMs: FULL_RETRY_MS });
    }
    this.perAddress.set(address, fromAddress + 1);
    this.pending += 1;
    return ok(null);
  }

  /** An admitted upgrade came to nothing. */
  withdraw(address: string): void {
    this.pending -= 1;
    this.release(address);
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
    this.release(connection.address);
  }

  /** A copy, for walks during which connections close. */
  all(): Connection[] {
    return [...this.table];
  }

  private release(address: string): void {
    const left = (this.perAddress.get(address) ?? 1) - 1;
    if (left > 0) this.perAddress.set(address, left);
    else this.perAddress.delete(address);
  }
}
