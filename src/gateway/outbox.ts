/**
 * Answers that had to wait for Redis, written once a turn of the event loop. Redis answers many
 * requests at a time; all answers to one connection then leave with one system call, which is most
 * of what an answer costs. An idle loop turns at once, so nobody waits for company.
 */
import type { Connection } from './connection.ts';

export class Outbox {
  private waiting: Connection[] = [];

  /** `bytes` as the connection's encoding has them. */
  put(connection: Connection, bytes: Uint8Array | string): void {
    if (connection.outbox !== null) {
      connection.outbox.push(bytes);
      return;
    }
    connection.outbox = [bytes];
    if (this.waiting.length === 0) setImmediate(() => this.flush());
    this.waiting.push(connection);
  }

  private flush(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const connection of waiting) connection.flushOutbox();
  }
}
