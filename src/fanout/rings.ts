/** Recent events and chat with their bytes, so that a storm of reconnects is served from memory. */

import type { ChatBatch } from '../domain/chat.ts';
import { ChatPiece } from '../domain/chat-piece.ts';
import { LIMITS } from '../limits.ts';
import type { ShowEvent } from '../protocol/messages.ts';
import { EventEntry } from './frames.ts';

/**
 * Removing from the front of an array costs its length; doing it for many at once makes that cheap.
 */
const TRIM_SLACK = 256;

export class EventRing {
  private entries: EventEntry[] = [];
  /** Offset of the event before the oldest one kept. */
  private base = 0;

  /** Forgets everything; the next event is the one after `offset`. */
  reset(offset: number): void {
    this.entries = [];
    this.base = offset;
  }

  get lastOffset(): number {
    return this.base + this.entries.length;
  }

  /** The event must be the next one: the view has made sure of it. */
  push(event: ShowEvent): EventEntry {
    const entry = new EventEntry(event);
    this.entries.push(entry);
    if (this.entries.length >= LIMITS.eventRingEntries + TRIM_SLACK) {
      this.entries.splice(0, TRIM_SLACK);
      this.base += TRIM_SLACK;
    }
    return entry;
  }

  /**
   * Events with an offset above `offset`, or null when the ring does not reach back that far or has
   * not got there yet.
   */
  after(offset: number): readonly EventEntry[] | null {
    if (offset < this.base || offset > this.lastOffset) return null;
    return this.entries.slice(offset - this.base);
  }
}

const NO_ITEMS = new Uint8Array();

export class ChatRing {
  private pieces: ChatPiece[] = [];
  private bytes = 0;
  /** Ids up to here have been sent or counted as left out. */
  lastId = 0;
  /** Grows with every change, so that what was made from the ring knows when it is stale. */
  version = 0;

  reset(): void {
    this.pieces = [];
    this.bytes = 0;
    this.lastId = 0;
    this.version += 1;
  }

  /** What the display cap left out up to this id has been told. */
  skipTo(id: number): void {
    this.lastId = id;
    this.version += 1;
  }

  /** Takes messages off: whoever comes later does not get them. */
  remove(ids: ReadonlySet<number>): void {
    this.pieces = this.pieces.flatMap((piece) => {
      const left = piece.without(ids);
      this.bytes -= piece.items.length - (left?.items.length ?? 0);
      return left === null ? [] : [left];
    });
    this.version += 1;
  }

  push(piece: ChatPiece): void {
    this.pieces.push(piece);
    this.bytes += piece.items.length;
    this.lastId = piece.lastId;
    this.version += 1;
    while (
      (this.pieces.length > LIMITS.chatRingBatches || this.bytes > LIMITS.chatRingBytesMax) &&
      this.pieces.length > 1
    ) {
      this.bytes -= this.pieces.shift()?.items.length ?? 0;
    }
  }

  fill(batches: readonly ChatBatch[]): void {
    this.reset();
    for (const batch of batches) if (batch.count > 0) this.push(ChatPiece.of(batch));
  }

  /** The newest messages, at most `count`, oldest first. */
  history(count: number): ChatPiece[] {
    const found: ChatPiece[] = [];
    let missing = count;
    for (let i = this.pieces.length - 1; i >= 0 && missing > 0; i -= 1) {
      const piece = this.pieces[i]?.last(missing);
      if (piece === undefined) break;
      found.push(piece);
      missing -= piece.count;
    }
    return this.upToNow(found.reverse());
  }

  /**
   * The newest messages with an id above `id`, at most `most`, and how many ids above it are not
   * among them.
   */
  after(id: number, most: number): { pieces: ChatPiece[]; missed: number } {
    if (id >= this.lastId) return { pieces: [], missed: 0 };
    const pieces: ChatPiece[] = [];
    let count = 0;
    for (let i = this.pieces.length - 1; i >= 0 && count < most; i -= 1) {
      const piece = this.pieces[i]?.after(id)?.last(most - count);
      if (piece === undefined) break;
      pieces.push(piece);
      count += piece.count;
    }
    return { pieces: this.upToNow(pieces.reverse()), missed: this.lastId - id - count };
  }

  /**
   * With a piece that has no messages where the newest ids have none either: it says how far this
   * reaches.
   */
  private upToNow(pieces: ChatPiece[]): ChatPiece[] {
    const newest = pieces.at(-1);
    if (this.lastId > (newest?.lastId ?? 0)) pieces.push(new ChatPiece(this.lastId + 1, newest?.at ?? 0, 0, NO_ITEMS));
    return pieces;
  }
}
