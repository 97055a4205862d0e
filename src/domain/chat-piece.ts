/**
 * A batch of chat as it came from the log: bytes first, everything else only when somebody asks.
 */
import { unpackValues } from '../protocol/codec.ts';
import type { ChatBatch } from './chat.ts';
import { chatItemIndex, valueEnds } from './message-pack.ts';

/**
 * Messages of one batch, in order; ids may be missing among them. Cutting keeps `firstId` and `at`,
 * because every item carries its own `i`.
 */
export class ChatPiece {
  readonly firstId: number;
  readonly at: number;
  readonly count: number;
  readonly items: Uint8Array;
  /** Id of the last message. */
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

  /**
   * The items as the inside of a JSON array; decoded at most once, and only when somebody listens
   * in JSON.
   */
  json(): string {
    if (this.jsonItems === null) {
      const text = JSON.stringify(unpackValues(this.items));
      this.jsonItems = text.slice(1, -1);
    }
    return this.jsonItems;
  }

  /** The messages with an id above `id`; null when there are none. */
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

  /**
   * Without the messages of these ids: this piece itself when it has none of them, null when
   * nothing is left.
   */
  without(ids: ReadonlySet<number>): ChatPiece | null {
    if (![...ids].some((id) => id >= this.firstId && id <= this.lastId)) return this;
    const stay: number[] = [];
    for (let n = 0; n < this.count; n += 1) if (!ids.has(this.idOf(n))) stay.push(n);
    if (stay.length === this.count) return this;
    const newest = stay.at(-1);
    if (newest === undefined) return null;
    const items = Buffer.concat(stay.map((n) => this.items.subarray(this.startOf(n), this.itemEnds()[n])));
    return new ChatPiece(this.firstId, this.at, stay.length, items, this.idOf(newest));
  }

  /**
   * What of it fits into so many bytes, and the rest; a message that is larger by itself stays
   * whole.
   */
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
    const piece = new ChatPiece(
      this.firstId,
      this.at,
      to - from,
      this.items.subarray(start, ends[to - 1]),
      to === this.count ? this.lastId : this.idOf(to - 1),
    );
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
