/** Recent events and chat with their bytes, so that a reconnect storm is served from memory. */
import type { ChatBatch } from '../domain/chat.ts';
import { ChatPiece } from '../domain/chat-piece.ts';
import { LIMITS } from '../limits.ts';
import type { ShowEvent } from '../protocol/messages.ts';
import { EventEntry } from './frames.ts';

/** Removing the first elements of an array costs its length, so many are removed at once. */
const TRIM_SLACK = 256;
const NO_ITEMS = new Uint8Array();

/** A piece without messages: says that there are none up to the id before `firstId`. */
export const emptyPiece = (lastId: number, at: number): ChatPiece => new ChatPiece(lastId + 1, at, 0, NO_ITEMS);

export class EventRing {
  private entries: EventEntry[] = [];
  /** Offset of the event before the oldest one kept. */
  private base = 0;

  /** Removes all events; the next one has the offset `offset + 1`. */
  reset(offset: number): void {
    this.entries = [];
    this.base = offset;
  }

  /** True if the event after `offset` is older than all events kept. */
  isBefore(offset: number): boolean {
    return offset < this.base;
  }

  get lastOffset(): number {
    return this.base + this.entries.length;
  }

  /** Adds the event after `lastOffset`; the replica has checked that it is this one. */
  push(event: ShowEvent): EventEntry {
    const entry = new EventEntry(event);
    this.entries.push(entry);
    if (this.entries.length >= LIMITS.eventRingEntries + TRIM_SLACK) {
      this.entries.splice(0, TRIM_SLACK);
      this.base += TRIM_SLACK;
    }
    return entry;
  }

  /** Adds events before the oldest one kept, if they reach it. */
  prepend(events: readonly ShowEvent[]): void {
    const older = events.filter(({ offset }) => offset <= this.base);
    const [first] = older;
    if (first === undefined || older.at(-1)?.offset !== this.base) return;
    this.entries = [...older.map((event) => new EventEntry(event)), ...this.entries];
    this.base = first.offset - 1;
  }

  /** Returns the events above `offset`, or null if the ring does not reach that offset. */
  after(offset: number): readonly EventEntry[] | null {
    if (offset < this.base || offset > this.lastOffset) return null;
    return this.entries.slice(offset - this.base);
  }
}

export class ChatRing {
  private pieces: ChatPiece[] = [];
  private bytes = 0;
  /** Ids up to this one were sent or reported as missed. */
  lastId = 0;
  /** Grows with every change. Encodings are cached by it. */
  version = 0;

  /** All ids up to this one were reported as missed. */
  skipTo(id: number): void {
    this.lastId = id;
    this.version += 1;
  }

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
      this.pieces.length > 1 &&
      (this.pieces.length > LIMITS.chatRingBatches || this.bytes > LIMITS.chatRingBytesMax)
    )
      this.bytes -= this.pieces.shift()?.items.length ?? 0;
  }

  /** Replaces everything. */
  fill(batches: readonly ChatBatch[]): void {
    this.pieces = [];
    this.bytes = 0;
    this.lastId = 0;
    this.version += 1;
    for (const batch of batches) if (batch.count > 0) this.push(ChatPiece.of(batch));
  }

  /** Returns the newest messages, oldest first. */
  history(count: number): ChatPiece[] {
    return this.newest(count, 0).pieces;
  }

  /** Returns the newest messages above `id`, and how many ids above it are not among them. */
  after(id: number, countMax: number): { pieces: ChatPiece[]; missed: number } {
    if (id >= this.lastId) return { pieces: [], missed: 0 };
    const { pieces, count } = this.newest(countMax, id);
    return { pieces, missed: this.lastId - id - count };
  }

  /** Adds an empty piece at the end if the newest ids have no messages. */
  private newest(countMax: number, afterId: number): { pieces: ChatPiece[]; count: number } {
    const pieces: ChatPiece[] = [];
    let count = 0;
    for (let i = this.pieces.length - 1; i >= 0 && count < countMax; i -= 1) {
      const piece = this.pieces[i]?.after(afterId)?.last(countMax - count);
      if (piece === undefined) break;
      pieces.push(piece);
      count += piece.count;
    }
    pieces.reverse();
    const last = pieces.at(-1);
    if (this.lastId > (last?.lastId ?? 0)) pieces.push(emptyPiece(this.lastId, last?.at ?? 0));
    return { pieces, count };
  }
}
