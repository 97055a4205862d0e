/** A batch of chat as it came from the log: bytes first, everything else only when somebody asks. */
import { unpackValues } from '../protocol/codec.ts';
import { valueEnds } from './msgpack-bytes.ts';
import type { ChatBatch } from './ports.ts';

/** A run of messages of one batch. Cutting keeps `firstId` and `at`, because every item carries its own `i`. */
export class ChatPiece {
  readonly firstId: number;
  readonly at: number;
  readonly count: number;
  readonly items: Uint8Array;
  /** Index of this piece's first item within its batch. */
  readonly from: number;
  private ends: Uint32Array | null = null;
  private jsonItems: string | null = null;

  constructor(firstId: number, at: number, count: number, items: Uint8Array, from = 0) {
    this.firstId = firstId;
    this.at = at;
    this.count = count;
    this.items = items;
    this.from = from;
  }

  static of(batch: ChatBatch): ChatPiece {
    return new ChatPiece(batch.firstId, batch.at, batch.count, batch.items);
  }

  get lastId(): number {
    return this.firstId + this.from + this.count - 1;
  }

  /** The items as the inside of a JSON array; decoded at most once, and only when somebody listens in JSON. */
  json(): string {
    if (this.jsonItems === null) {
      const text = JSON.stringify(unpackValues(this.items));
      this.jsonItems = text.slice(1, -1);
    }
    return this.jsonItems;
  }

  /** The messages with an id above `id`; null when there are none. */
  after(id: number): ChatPiece | null {
    const skip = Math.max(0, id - this.firstId - this.from + 1);
    if (skip === 0) return this;
    return skip >= this.count ? null : this.slice(skip, this.count);
  }

  last(count: number): ChatPiece {
    return count >= this.count ? this : this.slice(this.count - count, this.count);
  }

  /** Pieces of at most `bytesMax` each; a single larger message stays whole. */
  split(bytesMax: number): ChatPiece[] {
    if (this.items.length <= bytesMax) return [this];
    const ends = this.itemEnds();
    const pieces: ChatPiece[] = [];
    let from = 0;
    while (from < this.count) {
      const start = from === 0 ? 0 : (ends[from - 1] ?? 0);
      let to = from + 1;
      while (to < this.count && (ends[to] ?? 0) - start <= bytesMax) to += 1;
      pieces.push(this.slice(from, to));
      from = to;
    }
    return pieces;
  }

  private slice(from: number, to: number): ChatPiece {
    const ends = this.itemEnds();
    const start = from === 0 ? 0 : (ends[from - 1] ?? 0);
    return new ChatPiece(this.firstId, this.at, to - from, this.items.subarray(start, ends[to - 1]), this.from + from);
  }

  private itemEnds(): Uint32Array {
    this.ends ??= valueEnds(this.items, this.count);
    return this.ends;
  }
}
