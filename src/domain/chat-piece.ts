/** A batch of chat from the log: bytes, decoded only where necessary. */
import { unpackValues } from '../protocol/codec.ts';
import type { ChatBatch } from './chat.ts';
import { chatItemIndex, valueEnds } from './message-pack.ts';

/** Messages of one batch. Parts keep `firstId` and `at`, because items carry their index `i`. */
export class ChatPiece {
  readonly firstId: number;
  readonly at: number;
  readonly count: number;
  readonly items: Uint8Array;
  readonly lastId: number;
  private ends: Uint32Array | null = null;
  private jsonItems: string | null = null;

  constructor(firstId: number, at: number, count: number, items: Uint8Array, lastId = firstId + count - 1) {
    this.firstId = firstId;
    this.at = at;
    this.count = count;
    this.items = items;
    this.lastId = lastId;
  }

  static of({ firstId, at, count, items, last = count - 1 }: ChatBatch): ChatPiece {
    return new ChatPiece(firstId, at, count, items, firstId + last);
  }

  /** Returns the items as JSON without the brackets of the array; decoded at most once. */
  json(): string {
    this.jsonItems ??= JSON.stringify(unpackValues(this.items)).slice(1, -1);
    return this.jsonItems;
  }

  /** Returns the messages above `id`, or null if there are none. */
  after(id: number): ChatPiece | null {
    if (id >= this.lastId) return null;
    if (id < this.firstId) return this;
    let skip = 0;
    while (this.idOf(skip) <= id) skip += 1;
    return skip === 0 ? this : this.slice(skip, this.count);
  }

  last(count: number): ChatPiece {
    return count >= this.count ? this : this.slice(this.count - count, this.count);
  }

  /** Returns the piece without these messages: itself if it has none of them, null if all. */
  without(ids: ReadonlySet<number>): ChatPiece | null {
    if (![...ids].some((id) => id >= this.firstId && id <= this.lastId)) return this;
    const kept: number[] = [];
    for (let n = 0; n < this.count; n += 1) if (!ids.has(this.idOf(n))) kept.push(n);
    if (kept.length === this.count) return this;
    const newest = kept.at(-1);
    if (newest === undefined) return null;
    const items = Buffer.concat(kept.map((n) => this.items.subarray(this.startOf(n), this.itemEnds()[n])));
    return new ChatPiece(this.firstId, this.at, kept.length, items, this.idOf(newest));
  }

  /** Splits off what fits into `bytesMax`, at least one message. */
  cut(bytesMax: number): [piece: ChatPiece, rest: ChatPiece | null] {
    if (this.items.length <= bytesMax) return [this, null];
    const ends = this.itemEnds();
    let to = 1;
    while (to < this.count && (ends[to] ?? 0) <= bytesMax) to += 1;
    return to === this.count ? [this, null] : [this.slice(0, to), this.slice(to, this.count)];
  }

  private slice(from: number, to: number): ChatPiece {
    const ends = this.itemEnds();
    const start = this.startOf(from);
    const items = this.items.subarray(start, ends[to - 1]);
    const lastId = to === this.count ? this.lastId : this.idOf(to - 1);
    const piece = new ChatPiece(this.firstId, this.at, to - from, items, lastId);
    piece.ends = ends.subarray(from, to).map((end) => end - start);
    return piece;
  }

  private idOf(n: number): number {
    return this.firstId + chatItemIndex(this.items, this.startOf(n));
  }

  private startOf(n: number): number {
    return n === 0 ? 0 : (this.itemEnds()[n - 1] ?? 0);
  }

  private itemEnds(): Uint32Array {
    this.ends ??= valueEnds(this.items, this.count);
    return this.ends;
  }
}
