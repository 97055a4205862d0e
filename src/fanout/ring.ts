/** Recent events and chat with their bytes, so that a storm of reconnects is served from memory. */
import { LIMITS } from '../protocol/limits.ts';
import type { ShowEvent } from '../protocol/messages.ts';
import { ChatPiece } from './chat-piece.ts';
import { EventEntry } from './frames.ts';
import type { ChatBatch } from './ports.ts';

/** Removing from the front of an array costs its length; doing it for many at once makes that cheap. */
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

  /** Events with an offset above `offset`, or null when the ring does not reach back that far or has not got there yet. */
  after(offset: number): readonly EventEntry[] | null {
    if (offset < this.base || offset > this.lastOffset) return null;
    return this.entries.slice(offset - this.base);
  }
}

export class ChatRing {
  private pieces: ChatPiece[] = [];
  private bytes = 0;
  /** Grows with every change, so that what was made from the ring knows when it is stale. */
  version = 0;

  reset(): void {
    this.pieces = [];
    this.bytes = 0;
    this.version += 1;
  }

  get lastId(): number {
    return this.pieces.at(-1)?.lastId ?? 0;
  }

  push(piece: ChatPiece): void {
    this.pieces.push(piece);
    this.bytes += piece.items.length;
    this.version += 1;
    while ((this.pieces.length > LIMITS.chatRingBatches || this.bytes > LIMITS.chatRingBytesMax) && this.pieces.length > 1) {
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
    return found.reverse();
  }

  /** The newest messages with an id above `id`, at most `most`, and how many older ones are left out or no longer there. */
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
    return { pieces: pieces.reverse(), missed: this.lastId - id - count };
  }
}
