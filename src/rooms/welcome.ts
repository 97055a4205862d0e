/**
 * The first message of a connection. Snapshot and recent chat are encoded once per revision and
 * variant, and appended to the few personal fields: thousands of joins per second share them.
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

/** The parts of a welcome that all viewers share, in one encoding. */
class SharedParts<T> {
  readonly structure = new Cached<T>();
  readonly state = new Cached<T>();
  readonly chat = new Cached<T>();
}

export class WelcomeWriter {
  private readonly replica: ShowReplica;
  private readonly ring: ChatRing;
  private readonly counts: EncodeCounts;
  private readonly json = new SharedParts<string>();
  private readonly packed = new SharedParts<Uint8Array>();
  private readonly snapshots = new Cached<OutgoingFrame>();

  constructor(replica: ShowReplica, ring: ChatRing, counts: EncodeCounts) {
    this.replica = replica;
    this.ring = ring;
    this.counts = counts;
  }

  /** Returns a welcome with the current snapshot and chat history. */
  full(personal: PersonalWelcome, variant: Variant): Uint8Array {
    this.counts[variant] += 1;
    return variant === 'json' ? this.fullJson(personal) : this.fullPacked(personal);
  }

  /** Returns the welcome of a resumed client. What it missed follows in frames. */
  resumed(personal: PersonalWelcome, variant: Variant): Uint8Array {
    return messageFrame({ ...personal, resumed: true, chat: [] }, this.counts).in(variant);
  }

  /** Returns a frame that replaces all a client has, recent chat included. One per version. */
  snapshotFrame(at: number): OutgoingFrame {
    const { epoch, offset } = this.replica;
    const version = `${offset}/${this.structureVersion}/${this.stateVersion}/${this.chatVersion}`;
    return this.snapshots.get(version, () =>
      splicedFrame({ at, epoch, snapshot: this.replica.snapshot(), chat: this.history() }, this.counts),
    );
  }

  private fullJson(personal: PersonalWelcome): Uint8Array {
    const { epoch, offset } = this.replica;
    const structure = this.json.structure.get(this.structureVersion, () => jsonFields(this.structureFields()));
    const state = this.json.state.get(this.stateVersion, () => jsonFields(this.stateFields()));
    const chat = this.json.chat.get(this.chatVersion, () => chatJson(this.history()));
    const snapshot = `{"epoch":${JSON.stringify(epoch)},"offset":${offset},${structure},${state}}`;
    return Buffer.from(`${JSON.stringify(personal).slice(0, -1)},"snapshot":${snapshot},"chat":${chat}}`, 'utf8');
  }

  private fullPacked(personal: PersonalWelcome): Uint8Array {
    const { epoch, offset } = this.replica;
    const structure = this.packed.structure.get(this.structureVersion, () => packFields(this.structureFields()));
    const state = this.packed.state.get(this.stateVersion, () => packFields(this.stateFields()));
    const chat = this.packed.chat.get(this.chatVersion, () => {
      writeChat(writer, this.history());
      return writer.take();
    });
    // Adds two fields to the map that the library wrote; below 16 fields its header is one byte.
    const fields = packValue(personal);
    writer.mapHeader(((fields[0] ?? 0) & 0x0f) + 2).raw(fields.subarray(1));
    writer.string('snapshot').mapHeader(6).string('epoch').string(epoch).string('offset').number(offset);
    writer.raw(structure).raw(state).string('chat').raw(chat);
    return writer.take();
  }

  private history(): ChatPiece[] {
    return this.ring.history(LIMITS.chatHistoryMessages);
  }

  private structureFields(): Record<string, unknown> {
    return { show: this.replica.show, products: [...this.replica.products.values()] };
  }

  private stateFields(): Record<string, unknown> {
    return { sales: [...this.replica.sales.values()], state: this.replica.countsState() };
  }

  private get structureVersion(): string {
    return `${this.replica.epoch}/${this.replica.structureVersion}`;
  }

  private get stateVersion(): string {
    return `${this.replica.epoch}/${this.replica.stateVersion}`;
  }

  private get chatVersion(): string {
    return String(this.ring.version);
  }
}

/** Returns the fields without the braces of the object. */
const jsonFields = (fields: Record<string, unknown>): string => JSON.stringify(fields).slice(1, -1);

/** Returns names and values without the header of the map. */
function packFields(fields: Record<string, unknown>): Uint8Array {
  for (const part of Object.entries(fields).flat()) writer.raw(packValue(part));
  return writer.take();
}
