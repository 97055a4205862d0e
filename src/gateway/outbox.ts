/**
 * Replies that waited for Redis, written once per turn of the event loop: Redis replies to many
 * requests at a time, and all replies to one connection then leave with one system call, which is
 * most of their cost. An idle event loop turns at once.
 */
import type { Connection } from './connection.ts';

export class Outbox {
  private waiting: Connection[] = [];

  /** `bytes` in the encoding of the connection. */
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
