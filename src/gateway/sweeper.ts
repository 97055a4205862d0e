/**
 * One timer that inspects every connection about once a second, in slices. It runs faster while
 * much is published, so that no viewer's backlog grows to the hard limit between two inspections.
 */
import { LIMITS } from '../limits.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';

const SLICE_EVERY_MS = 100;
const ROUND_MS = 1_000;
/** A round is complete after this many published bytes: the most that a backlog grows unseen. */
const ROUND_BYTES = LIMITS.backpressureHardBytes / 4;

export class Sweeper {
  private readonly connections: Connections;
  private readonly inspect: (connection: Connection) => void;
  private readonly bytesPublished: () => number;
  private bytesBefore = 0;
  private timer: NodeJS.Timeout | null = null;
  private next = 0;

  /** `inspect` may close the connection it gets, and no other. `bytesPublished` only grows. */
  constructor(connections: Connections, inspect: (connection: Connection) => void, bytesPublished: () => number) {
    this.connections = connections;
    this.inspect = inspect;
    this.bytesPublished = bytesPublished;
  }

  /** Runs until there are no connections. */
  start(): void {
    this.timer ??= setInterval(() => this.inspectSlice(), SLICE_EVERY_MS);
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  private inspectSlice(): void {
    const { connections } = this;
    if (connections.size === 0) return this.stop();
    const bytes = this.bytesPublished();
    const share = Math.min(1, Math.max(SLICE_EVERY_MS / ROUND_MS, (bytes - this.bytesBefore) / ROUND_BYTES));
    this.bytesBefore = bytes;
    const count = Math.ceil(connections.size * share);
    // Downward: the last connection, already inspected, replaces one that closes.
    for (let i = 0; i < count; i += 1) {
      this.next -= 1;
      if (this.next < 0) this.next = connections.size - 1;
      const connection = connections.at(Math.min(this.next, connections.size - 1));
      if (connection !== undefined) this.inspect(connection);
    }
  }
}
