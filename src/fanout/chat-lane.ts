/**
 * Chat on its way out: what arrived from the log since the last tick, then one frame a tick and
 * variant.
 */

import type { ChatBatch } from '../domain/chat.ts';
import { ChatPiece } from '../domain/chat-piece.ts';
import type { Clock, Timer } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import type { BroadcastGroups } from './broadcast-groups.ts';
import { Coalescer } from './coalescer.ts';
import { chatBytesMax, chatFrames, type EncodeCounts, GROUP_HEAD_BYTES_MAX, splicedFrame } from './frames.ts';
import { ChatRing } from './rings.ts';

export interface ChatLaneOptions {
  readonly clock: Clock;
  readonly groups: BroadcastGroups;
  /** Runs once what was published has been written. */
  readonly afterWrites: (run: () => void) => void;
  readonly encodes: EncodeCounts;
  /** Redis time. */
  readonly now: () => number;
  readonly onFlush?: (elapsedMs: number) => void;
  /** Called right before chat is written to everybody. */
  readonly beforeFlush?: () => void;
}

interface Waiting {
  readonly piece: ChatPiece;
  /** When it came to this node. */
  readonly sinceMs: number;
}

const NO_ITEMS = new Uint8Array();
/**
 * At the end of a frame: the head of a second group, and room for a message that no longer fits.
 */
const FRAME_SLACK_BYTES = 350;

export class ChatLane {
  readonly ring = new ChatRing();
  /**
   * Ids sent or told as left out since the room opened: the difference of two readings is what
   * somebody missed in between.
   */
  sentCount = 0;
  private readonly options: ChatLaneOptions;
  private readonly coalescer: Coalescer;
  private waiting: Waiting[] = [];
  private waitingBytes = 0;
  private lastQueuedId = 0;
  /**
   * The newest id taken, shown or not, and the one up to which everybody was sent or told
   * everything.
   */
  private takenId = 0;
  private toldId = 0;
  private tellTimer: Timer | null = null;

  constructor(options: ChatLaneOptions) {
    this.options = options;
    this.coalescer = new Coalescer({
      clock: options.clock,
      tickMinMs: LIMITS.tickMinMs,
      tickMaxMs: LIMITS.tickMaxMs,
      sparseBytes: LIMITS.tickSparseBytes,
      tickSparseMaxMs: LIMITS.tickSparseMaxMs,
      fullBytes: LIMITS.flushFullBytes,
      flushShare: 0.5,
      flush: () => this.flush(),
      afterWrites: options.afterWrites,
      ...(options.onFlush ? { onFlush: options.onFlush } : {}),
    });
  }

  /** Chat comes faster than it can be written: whoever writes more now would only be read late. */
  get isBehind(): boolean {
    return this.waitedTooLong(LIMITS.chatWaitMaxMs);
  }

  get tickMs(): number {
    return this.coalescer.intervalMs();
  }

  /** A batch from the log. One that came before (a reload found it first) is left out. */
  push(batch: ChatBatch): void {
    this.takenId = Math.max(this.takenId, batch.firstId + (batch.taken ?? batch.count) - 1);
    if (batch.count === 0) return this.tellLater();
    const piece = ChatPiece.of(batch).after(this.lastQueuedId);
    if (piece === null) return;
    this.lastQueuedId = piece.lastId;
    this.waiting.push({ piece, sinceMs: this.options.clock.nowMs() });
    this.waitingBytes += piece.items.length;
    this.coalescer.poke(this.waitingBytes);
  }

  /**
   * History at the opening of a room, and the last id taken: nobody is told, it is for those who
   * join.
   */
  reset(batches: readonly ChatBatch[], lastChat: number): void {
    this.stop();
    this.waiting = [];
    this.waitingBytes = 0;
    this.ring.fill(batches);
    this.ring.skipTo(Math.max(lastChat, this.ring.lastId));
    this.lastQueuedId = this.ring.lastId;
    this.takenId = this.ring.lastId;
    this.toldId = this.ring.lastId;
  }

  /**
   * After a loss of the line: what the log has beyond our position is sent late, what it no longer
   * has is counted.
   */
  catchUp(batches: readonly ChatBatch[], lastChat: number): void {
    for (const batch of batches) this.push(batch);
    this.takenId = Math.max(this.takenId, lastChat);
    this.tellLater();
  }

  /** Takes messages off: those that wait are not sent, those in the history are forgotten. */
  remove(ids: ReadonlySet<number>): void {
    this.waiting = this.waiting.flatMap(({ piece, sinceMs }) => {
      const left = piece.without(ids);
      return left === null ? [] : { piece: left, sinceMs };
    });
    this.waitingBytes = this.waiting.reduce((sum, { piece }) => sum + piece.items.length, 0);
    this.ring.remove(ids);
    this.tellLater();
  }

  /** Sends everything that waits. */
  flushNow(): void {
    do this.coalescer.flushNow();
    while (this.waiting.length > 0);
  }

  stop(): void {
    this.coalescer.stop();
    if (this.tellTimer !== null) this.options.clock.clearTimer(this.tellTimer);
    this.tellTimer = null;
  }

  private flush(): number {
    if (this.waiting.length === 0) return 0;
    const { groups, encodes, now, beforeFlush } = this.options;
    beforeFlush?.();
    const pieces = this.takeWaiting();
    for (const piece of pieces) this.ring.push(piece);
    const told = this.toldId;
    this.tell(this.ring.lastId);
    if (groups.viewers > 0) {
      for (const frame of chatFrames(pieces, now(), groups.hasVariant('json'), encodes, told))
        groups.publish('chat', frame);
    }
    this.tellLater();
    return this.waitingBytes;
  }

  /**
   * The oldest of what waits, as much as one flush may have. What nobody wants to read any more is
   * left out, and counted.
   */
  private takeWaiting(): ChatPiece[] {
    while (this.waitedTooLong(2 * LIMITS.chatWaitMaxMs))
      this.waitingBytes -= this.waiting.shift()?.piece.items.length ?? 0;
    const pieces: ChatPiece[] = [];
    let room = this.flushBytesMax();
    for (let next = this.waiting[0]; next !== undefined && room > 0; next = this.waiting[0]) {
      const [piece, rest] = next.piece.cut(room - GROUP_HEAD_BYTES_MAX);
      pieces.push(piece);
      room -= piece.items.length + GROUP_HEAD_BYTES_MAX;
      this.waitingBytes -= piece.items.length;
      if (rest === null) this.waiting.shift();
      else this.waiting[0] = { piece: rest, sinceMs: next.sinceMs };
    }
    return pieces;
  }

  private flushBytesMax(): number {
    return LIMITS.flushFramesMax * (chatBytesMax(this.options.groups.hasVariant('json')) - FRAME_SLACK_BYTES);
  }

  /** What one flush takes is never too late: it may have waited for a loop that stood still. */
  private waitedTooLong(ms: number): boolean {
    const oldest = this.waiting[0];
    return (
      oldest !== undefined &&
      this.options.clock.nowMs() - oldest.sinceMs > ms &&
      this.waitingBytes > this.flushBytesMax()
    );
  }

  private tell(id: number): void {
    this.sentCount += id - this.toldId;
    this.toldId = id;
  }

  /** What was left out behind the last message shown: the next chat says it, or this. */
  private tellLater(): void {
    if (this.takenId <= this.toldId || this.waiting.length > 0) return;
    if (this.options.groups.viewers === 0) return this.tellLeftOut();
    this.tellTimer ??= this.options.clock.setTimer(() => {
      this.tellTimer = null;
      this.tellLeftOut();
    }, LIMITS.missedChatReportMs);
  }

  private tellLeftOut(): void {
    const missed = this.takenId - this.toldId;
    if (missed <= 0 || this.waiting.length > 0) return;
    const { groups, encodes, now } = this.options;
    this.tell(this.takenId);
    this.ring.skipTo(this.takenId);
    if (groups.viewers === 0) return;
    const at = now();
    const nothing = new ChatPiece(this.takenId + 1, at, 0, NO_ITEMS);
    groups.publish('chat', splicedFrame({ at, chat: [nothing], missed }, encodes));
  }
}
