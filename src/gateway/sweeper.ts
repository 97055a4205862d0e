/**
 * One timer for all connections of the node, while there are any. Each is looked at about once a
 * second, a slice at a time; more often when so much is published that a viewer who takes nothing
 * would go from no backlog to the hard limit between two looks.
 */
import { LIMITS } from '../limits.ts';
import type { Connection } from './connection.ts';
import type { Connections } from './connections.ts';

const SLICE_EVERY_MS = 100;
const ROUND_MS = 1_000;
/**
 * A full round at least once per this much published: the most a viewer's backlog can have grown
 * unseen.
 */
const ROUND_BYTES = LIMITS.backpressureHardBytes / 4;

export class Sweeper {
  private readonly connections: Connections;
  private readonly visit: (connection: Connection) => void;
  private readonly bytesPublished: () => number;
  private bytesBefore = 0;
  private timer: NodeJS.Timeout | null = null;
  private next = 0;

  /** `visit` may close the connection it is given, and no other. `bytesPublished` only grows. */
  constructor(connections: Connections, visit: (connection: Connection) => void, bytesPublished: () => number) {
    this.connections = connections;
    this.bytesPublished = bytesPublished;
    this.visit = visit;
  }

  start(): void {
    this.timer ??= setInterval(() => this.slice(), SLICE_EVERY_MS);
  }

  stop(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  private slice(): void {
    const { connections } = this;
    if (connections.size === 0) return this.stop();
    // Downwards: a connection that closes is replaced by the last one, which this round has seen.
    const bytes = this.bytesPublished();
    const share = Math.min(1, Math.max(SLICE_EVERY_MS / ROUND_MS, (bytes - this.bytesBefore) / ROUND_BYTES));
    this.bytesBefore = bytes;
    const count = Math.ceil(connections.size * share);
    for (let i = 0; i < count; i += 1) {
      this.next -= 1;
      if (this.next < 0) this.next = connections.size - 1;
      const connection = connections.at(Math.min(this.next, connections.size - 1));
      if (connection !== undefined) this.visit(connection);
    }
  }
}
