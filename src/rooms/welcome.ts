/**
 * What begins a viewer's copy of a show: the first message of a connection, snapshots, and pages
 * with what did not fit into them. All of it is encoded once per version and variant, and a welcome
 * adds few personal fields: thousands of joins per second share the rest.
 */
import type { ChatPiece } from '../domain/chat-piece.ts';
import { MessagePackWriter } from '../domain/message-pack.ts';
import {
  chatJson,
  type EncodeCounts,
  messageFrame,
  type OutgoingFrame,
  splicedFrame,
  writeChat,
} from '../fanout/frames.ts';
import type { ChatRing } from '../fanout/rings.ts';
import { LIMITS } from '../limits.ts';
import { packValue } from '../protocol/codec.ts';
import type { Variant, Welcome } from '../protocol/messages.ts';
import { Catalog, type CatalogPart } from './catalog.ts';
import type { ShowReplica } from './replica.ts';

export type PersonalWelcome = Omit<Welcome, 'snapshot' | 'chat'>;

const writer = new MessagePackWriter();

/** A value that is made again when its version has changed. */
class Cached<T> {
  private entry: { readonly version: string; readonly value: T } | null = null;

  get(version: string, make: () => T): T {
    if (this.entry?.version !== version) this.entry = { version, value: make() };
    return this.entry.value;
  }
}

/** The parts that all viewers share, in one encoding. */
class SharedParts<T> {
  readonly show = new Cached<T>();
  readonly catalog = new Cached<T>();
  readonly chat = new Cached<T>();
  readonly pages = new Cached<Map<string, T>>();
}

export class WelcomeWriter {
  private readonly replica: ShowReplica;
  private readonly ring: ChatRing;
  private readonly counts: EncodeCounts;
  private readonly json = new SharedParts<string>();
  private readonly packed = new SharedParts<Uint8Array>();
  private readonly snapshots = new Cached<OutgoingFrame>();
  private readonly jsonCatalog: Catalog<string>;
  private readonly packedCatalog: Catalog<Uint8Array>;

  constructor(replica: ShowReplica, ring: ChatRing, counts: EncodeCounts) {
    this.replica = replica;
    this.ring = ring;
    this.counts = counts;
    this.jsonCatalog = new Catalog(replica, { encode: JSON.stringify, bytes: (text) => Buffer.byteLength(text) });
    // A copy: the library returns a view, which would keep its whole buffer of 8 KiB.
    const encode = (value: unknown): Uint8Array => new Uint8Array(packValue(value));
    this.packedCatalog = new Catalog(replica, { encode, bytes: ({ length }) => length });
  }

  /** Returns a welcome with the current snapshot and chat history. */
  full(personal: PersonalWelcome, variant: Variant): Uint8Array {
    this.replica.dropEndedAnnouncement(personal.at);
    this.counts[variant] += 1;
    return variant === 'json' ? this.fullJson(personal) : this.fullPacked(personal);
  }

  /** Returns the welcome of a resumed client. What it missed follows in frames. */
  resumed(personal: PersonalWelcome, variant: Variant): Uint8Array {
    return messageFrame({ ...personal, resumed: true, chat: [] }, this.counts).in(variant);
  }

  /** Returns a frame that replaces all a client has, recent chat included. One per version. */
  snapshotFrame(at: number): OutgoingFrame {
    this.replica.dropEndedAnnouncement(at);
    const { epoch, offset } = this.replica;
    const snapshot = { json: () => this.snapshotJson(), msgpack: () => this.snapshotPacked() };
    return this.snapshots.get(`${offset}/${this.catalogVersion}/${this.chatVersion}`, () =>
      splicedFrame({ at, epoch, snapshot, chat: this.history() }, this.counts),
    );
  }

  /** Returns the `data` of the reply to `page`. */
  page(after: string, variant: Variant): string | Uint8Array {
    return variant === 'json'
      ? this.pageOf(this.json, after, () => `{${jsonPart(this.jsonCatalog.page(after))}}`)
      : this.pageOf(this.packed, after, () => {
          const part = this.packedCatalog.page(after);
          return packPart(writer.mapHeader('more' in part ? 3 : 2), part).take();
        });
  }

  private pageOf<T>({ pages }: SharedParts<T>, after: string, make: () => T): T {
    const known = pages.get(this.catalogVersion, () => new Map());
    let page = known.get(after);
    if (page === undefined) {
      page = make();
      // Cursors come from clients, so only few of them are kept.
      if (known.size < LIMITS.catalogPagesCachedMax) known.set(after, page);
    }
    return page;
  }

  private fullJson(personal: PersonalWelcome): Uint8Array {
    const chat = this.json.chat.get(this.chatVersion, () => chatJson(this.history()));
    const text = `${JSON.stringify(personal).slice(0, -1)},"snapshot":${this.snapshotJson()},"chat":${chat}}`;
    return Buffer.from(text, 'utf8');
  }

  private fullPacked(personal: PersonalWelcome): Uint8Array {
    const snapshot = this.snapshotPacked();
    const chat = this.packed.chat.get(this.chatVersion, () => {
      writeChat(writer, this.history());
      return writer.take();
    });
    // Adds two fields to the map that the library wrote; below 16 fields its header is one byte.
    const fields = packValue(personal);
    writer.mapHeader(((fields[0] ?? 0) & 0x0f) + 2).raw(fields.subarray(1));
    return writer.string('snapshot').raw(snapshot).string('chat').raw(chat).take();
  }

  private snapshotJson(): string {
    const { epoch, offset } = this.replica;
    const show = this.json.show.get(this.structureVersion, () => {
      const { show, announcement } = this.replica;
      return JSON.stringify(show) + (announcement ? `,"announcement":${JSON.stringify(announcement)}` : '');
    });
    const rest = this.json.catalog.get(this.catalogVersion, () => {
      const state = JSON.stringify(this.replica.countsState());
      return `${jsonPart(this.jsonCatalog.first())},"state":${state}`;
    });
    return `{"epoch":${JSON.stringify(epoch)},"offset":${offset},"show":${show},${rest}}`;
  }

  private snapshotPacked(): Uint8Array {
    const { epoch, offset, show, announcement } = this.replica;
    const packedShow = this.packed.show.get(this.structureVersion, () => {
      writer.raw(packValue(show));
      if (announcement) writer.string('announcement').raw(packValue(announcement));
      return writer.take();
    });
    // The first byte is the header of the snapshot's map, which counts the optional fields.
    const rest = this.packed.catalog.get(this.catalogVersion, () => {
      const part = this.packedCatalog.first();
      const fields = 6 + ('more' in part ? 1 : 0) + (announcement ? 1 : 0);
      packPart(writer.mapHeader(fields), part);
      return writer.string('state').raw(packValue(this.replica.countsState())).take();
    });
    writer.raw(rest.subarray(0, 1)).string('epoch').string(epoch).string('offset').number(offset);
    return writer.string('show').raw(packedShow).raw(rest.subarray(1)).take();
  }

  private history(): ChatPiece[] {
    return this.ring.history(LIMITS.chatHistoryMessages);
  }

  private get structureVersion(): string {
    return `${this.replica.epoch}/${this.replica.structureVersion}`;
  }

  private get catalogVersion(): string {
    return `${this.structureVersion}/${this.replica.stateVersion}`;
  }

  private get chatVersion(): string {
    return String(this.ring.version);
  }
}

/** Returns the fields without the braces of the object. */
function jsonPart({ products, sales, more }: CatalogPart<string>): string {
  const rest = more === undefined ? '' : `,"more":${JSON.stringify(more)}`;
  return `"products":[${products.join(',')}],"sales":[${sales.join(',')}]${rest}`;
}

/** Writes names and values without the header of the map. */
function packPart(out: MessagePackWriter, { products, sales, more }: CatalogPart<Uint8Array>): MessagePackWriter {
  out.string('products').arrayHeader(products.length);
  for (const each of products) out.raw(each);
  out.string('sales').arrayHeader(sales.length);
  for (const each of sales) out.raw(each);
  return more === undefined ? out : out.string('more').string(more);
}
