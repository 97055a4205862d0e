/** Chat on its way out: what arrived from the log since the last tick, then one frame a tick and variant. */
import { LIMITS } from '../protocol/limits.ts';
import { ChatPiece } from './chat-piece.ts';
import type { Clock } from './clock.ts';
import { Coalescer } from './coalescer.ts';
import { chatFrames, type EncodeCounts, splicedFrame } from './frames.ts';
import type { ChatBatch } from './ports.ts';
import type { Listeners } from './publisher.ts';
import { ChatRing } from './ring.ts';

export interface ChatLaneOptions {
  readonly clock: Clock;
  readonly listeners: Listeners;
  /** Runs once what was published has been written. */
  readonly afterWrites: (run: () => void) => void;
  readonly encodes: EncodeCounts;
  /** Redis time. */
  readonly now: () => number;
  readonly onFlush?: (elapsedMs: number) => void;
}

export class ChatLane {
  readonly ring = new ChatRing();
  /** Messages sent since the room opened: the difference of two readings is what somebody missed in between. */
  sent = 0;
  private readonly options: ChatLaneOptions;
  private readonly coalescer: Coalescer;
  private waiting: ChatPiece[] = [];
  private waitingBytes = 0;
  private lastQueuedId = 0;

  constructor(options: ChatLaneOptions) {
    this.options = options;
    this.coalescer = new Coalescer({
      clock: options.clock,
      tickMinMs: LIMITS.tickMinMs,
      tickMaxMs: LIMITS.tickMaxMs,
      fullBytes: LIMITS.frameOutBytesTarget,
      flushShare: 0.5,
      flushShareFull: 0.8,
      flush: () => this.flush(),
      afterWrites: options.afterWrites,
      ...(options.onFlush ? { onFlush: options.onFlush } : {}),
    });
  }

  get tickMs(): number {
    return this.coalescer.intervalMs();
  }

  /** A batch from the log. One that came before (a reload found it first) is left out. */
  push(batch: ChatBatch): void {
    if (batch.count === 0) return;
    const piece = ChatPiece.of(batch).after(this.lastQueuedId);
    if (piece === null) return;
    this.lastQueuedId = piece.lastId;
    this.waiting.push(piece);
    this.waitingBytes += piece.items.length;
    this.coalescer.poke(this.waitingBytes);
  }

  /** History at the opening of a room: nobody is told, it is for those who join. */
  fill(batches: readonly ChatBatch[]): void {
    this.stop();
    this.waiting = [];
    this.waitingBytes = 0;
    this.ring.fill(batches);
    this.lastQueuedId = this.ring.lastId;
  }

  /** After a loss of the line: what the log has beyond our position is sent late, what it no longer has is counted. */
  catchUp(batches: readonly ChatBatch[]): void {
    const first = batches.find((batch) => batch.firstId + batch.count - 1 > this.lastQueuedId);
    if (first !== undefined && this.lastQueuedId > 0 && first.firstId > this.lastQueuedId + 1) {
      const { listeners, encodes, now } = this.options;
      this.flushNow();
      listeners.publish('chat', splicedFrame({ at: now(), missed: first.firstId - this.lastQueuedId - 1 }, encodes));
    }
    for (const batch of batches) this.push(batch);
  }

  flushNow(): void {
    this.coalescer.flushNow();
  }

  stop(): void {
    this.coalescer.stop();
  }

  private flush(): void {
    if (this.waiting.length === 0) return;
    const { listeners, encodes, now } = this.options;
    const pieces = this.waiting;
    this.waiting = [];
    this.waitingBytes = 0;
    for (const piece of pieces) {
      this.ring.push(piece);
      this.sent += piece.count;
    }
    if (listeners.total === 0) return;
    for (const frame of chatFrames(pieces, now(), listeners.uses('json'), encodes)) listeners.publish('chat', frame);
  }
}
