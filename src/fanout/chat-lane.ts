/** Outgoing chat: collects what arrives from the log and sends it in frames, once per tick. */
import type { ChatBatch } from '../domain/chat.ts';
import { ChatPiece } from '../domain/chat-piece.ts';
import { Alarm, type Clock } from '../domain/clock.ts';
import { LIMITS } from '../limits.ts';
import type { BroadcastGroups } from './broadcast-groups.ts';
import { Coalescer } from './coalescer.ts';
import { chatBytesMax, chatFrames, type EncodeCounts, GROUP_HEAD_BYTES_MAX, splicedFrame } from './frames.ts';
import { ChatRing, emptyPiece } from './rings.ts';

export interface LaneOptions {
  readonly clock: Clock;
  readonly groups: BroadcastGroups;
  /** Runs once what was published has been written. */
  readonly afterWrites: (run: () => void) => void;
  readonly encodes: EncodeCounts;
  /** Redis time. */
  readonly now: () => number;
  readonly onFlush?: (elapsedMs: number) => void;
}

export interface ChatLaneOptions extends LaneOptions {
  /** Called before chat is published to all viewers. */
  readonly beforeFlush?: () => void;
}

interface QueuedPiece {
  readonly piece: ChatPiece;
  readonly arrivedMs: number;
}

/** Reserved at the end of a frame: the head of a second group, and a message that does not fit. */
const FRAME_SLACK_BYTES = 350;

export class ChatLane {
  readonly ring = new ChatRing();
  /** Ids sent or reported as missed since the room opened. */
  sentCount = 0;
  private readonly options: ChatLaneOptions;
  private readonly coalescer: Coalescer;
  private readonly missedAlarm: Alarm;
  private queue: QueuedPiece[] = [];
  private queuedBytes = 0;
  private lastQueuedId = 0;
  /** The newest id in the log, shown or not. */
  private newestId = 0;
  /** All ids up to this one were sent or reported as missed. */
  private reportedId = 0;

  constructor(options: ChatLaneOptions) {
    this.options = options;
    const { clock, afterWrites, onFlush } = options;
    this.missedAlarm = new Alarm(clock, () => this.reportMissed());
    this.coalescer = new Coalescer({
      clock,
      tickMinMs: LIMITS.tickMinMs,
      tickMaxMs: LIMITS.tickMaxMs,
      sparseBytes: LIMITS.tickSparseBytes,
      tickSparseMaxMs: LIMITS.tickSparseMaxMs,
      fullBytes: LIMITS.flushFullBytes,
      flushShare: 0.5,
      flush: () => this.flush(),
      afterWrites,
      ...(onFlush ? { onFlush } : {}),
    });
  }

  /** Chat arrives faster than it can be written: new messages would be read too late. */
  get isBehind(): boolean {
    return this.hasWaited(LIMITS.chatWaitMaxMs);
  }

  /** Queues a batch from the log, without messages that a reload has already queued. */
  push(batch: ChatBatch): void {
    this.newestId = Math.max(this.newestId, batch.firstId + (batch.taken ?? batch.count) - 1);
    if (batch.count === 0) return this.reportMissedLater();
    const piece = ChatPiece.of(batch).after(this.lastQueuedId);
    if (piece === null) return;
    this.lastQueuedId = piece.lastId;
    this.queue.push({ piece, arrivedMs: this.options.clock.nowMs() });
    this.queuedBytes += piece.items.length;
    this.coalescer.poke(this.queuedBytes);
  }

  /** Replaces the history, for viewers who join. Nothing is sent. */
  reset(batches: readonly ChatBatch[], lastChat: number): void {
    this.stop();
    this.queue = [];
    this.queuedBytes = 0;
    this.ring.fill(batches);
    this.ring.skipTo(Math.max(lastChat, this.ring.lastId));
    this.lastQueuedId = this.ring.lastId;
    this.newestId = this.ring.lastId;
    this.reportedId = this.ring.lastId;
  }

  /** After a gap: sends what the log still has, and reports the rest as missed. */
  catchUp(batches: readonly ChatBatch[], lastChat: number): void {
    for (const batch of batches) this.push(batch);
    this.newestId = Math.max(this.newestId, lastChat);
    this.reportMissedLater();
  }

  /** Removes messages from the queue and the history. */
  remove(ids: ReadonlySet<number>): void {
    this.queue = this.queue.flatMap(({ piece, arrivedMs }) => {
      const left = piece.without(ids);
      return left === null ? [] : { piece: left, arrivedMs };
    });
    this.queuedBytes = this.queue.reduce((sum, { piece }) => sum + piece.items.length, 0);
    this.ring.remove(ids);
    this.reportMissedLater();
  }

  /** Sends everything that is queued. */
  flushNow(): void {
    do this.coalescer.flushNow();
    while (this.queue.length > 0);
  }

  stop(): void {
    this.coalescer.stop();
    this.missedAlarm.clear();
  }

  private flush(): number {
    if (this.queue.length === 0) return 0;
    const { groups, encodes, now, beforeFlush } = this.options;
    beforeFlush?.();
    const pieces = this.takeQueued();
    for (const piece of pieces) this.ring.push(piece);
    const reportedId = this.reportedId;
    this.advanceTo(this.ring.lastId);
    if (groups.viewers > 0) {
      for (const frame of chatFrames(pieces, now(), groups.hasVariant('json'), encodes, reportedId))
        groups.publish('chat', frame);
    }
    this.reportMissedLater();
    return this.queuedBytes;
  }

  /** Takes the oldest messages, as many as one flush may send. Drops those that waited too long. */
  private takeQueued(): ChatPiece[] {
    while (this.hasWaited(2 * LIMITS.chatWaitMaxMs)) this.queuedBytes -= this.queue.shift()?.piece.items.length ?? 0;
    const pieces: ChatPiece[] = [];
    let room = this.flushBytesMax();
    for (let next = this.queue[0]; next !== undefined && room > 0; next = this.queue[0]) {
      const [piece, rest] = next.piece.cut(room - GROUP_HEAD_BYTES_MAX);
      pieces.push(piece);
      room -= piece.items.length + GROUP_HEAD_BYTES_MAX;
      this.queuedBytes -= piece.items.length;
      if (rest === null) this.queue.shift();
      else this.queue[0] = { piece: rest, arrivedMs: next.arrivedMs };
    }
    return pieces;
  }

  private flushBytesMax(): number {
    return LIMITS.flushFramesMax * (chatBytesMax(this.options.groups.hasVariant('json')) - FRAME_SLACK_BYTES);
  }

  /** False if one flush takes all: then the event loop was blocked, and the chat is not late. */
  private hasWaited(ms: number): boolean {
    const oldest = this.queue[0];
    if (oldest === undefined || this.options.clock.nowMs() - oldest.arrivedMs <= ms) return false;
    return this.queuedBytes > this.flushBytesMax();
  }

  private advanceTo(id: number): void {
    this.sentCount += id - this.reportedId;
    this.reportedId = id;
  }

  /** Messages left out after the last shown one are reported with the next chat, or by a timer. */
  private reportMissedLater(): void {
    if (this.newestId <= this.reportedId || this.queue.length > 0) return;
    if (this.options.groups.viewers === 0) this.reportMissed();
    else if (!this.missedAlarm.isSet) this.missedAlarm.set(LIMITS.missedChatReportMs);
  }

  private reportMissed(): void {
    const missed = this.newestId - this.reportedId;
    if (missed <= 0 || this.queue.length > 0) return;
    const { groups, encodes, now } = this.options;
    this.advanceTo(this.newestId);
    this.ring.skipTo(this.newestId);
    if (groups.viewers === 0) return;
    const at = now();
    groups.publish('chat', splicedFrame({ at, chat: [emptyPiece(this.newestId, at)], missed }, encodes));
  }
}
