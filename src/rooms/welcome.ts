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

/** Caches one encoding per wire family until its version changes. */
class CachedPart {
  private jsonVersion = '';
  private jsonText = '';
  private packedVersion = '';
  private packedBytes: Uint8Array = new Uint8Array();

  json(version: string, encode: () => string): string {
    if (this.jsonVersion !== version) {
      this.jsonText = encode();
      this.jsonVersion = version;
    }
    return this.jsonText;
  }

  packed(version: string, encode: () => Uint8Array): Uint8Array {
    if (this.packedVersion !== version) {
      this.packedBytes = encode();
      this.packedVersion = version;
    }
    return this.packedBytes;
  }
}

export class WelcomeWriter {
  private readonly replica: ShowReplica;
  private readonly ring: ChatRing;
  private readonly counts: EncodeCounts;
  private readonly structure = new CachedPart();
  private readonly state = new CachedPart();
  private readonly chat = new CachedPart();

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

  /** Returns a frame that replaces all a client has, recent chat included. */
  snapshotFrame(at: number): OutgoingFrame {
    const { epoch } = this.replica;
    return splicedFrame({ at, epoch, snapshot: this.replica.snapshot(), chat: this.history() }, this.counts);
  }

  private fullJson(personal: PersonalWelcome): Uint8Array {
    const { replica } = this;
    const structure = this.structure.json(
      this.structureVersion,
      () => `"show":${JSON.stringify(replica.show)},"products":${JSON.stringify([...replica.products.values()])}`,
    );
    const state = this.state.json(
      this.stateVersion,
      () => `"sales":${JSON.stringify([...replica.sales.values()])},"state":${JSON.stringify(replica.countsState())}`,
    );
    const chat = this.chat.json(String(this.ring.version), () => chatJson(this.history()));
    const head = JSON.stringify(personal).slice(0, -1);
    return Buffer.from(
      `${head},"snapshot":{"epoch":${JSON.stringify(replica.epoch)},"offset":${replica.offset},${structure},${state}},"chat":${chat}}`,
      'utf8',
    );
  }

  private fullPacked(personal: PersonalWelcome): Uint8Array {
    const { replica } = this;
    const structure = this.structure.packed(this.structureVersion, () =>
      concat('show', replica.show, 'products', [...replica.products.values()]),
    );
    const state = this.state.packed(this.stateVersion, () =>
      concat('sales', [...replica.sales.values()], 'state', replica.countsState()),
    );
    const chat = this.chat.packed(String(this.ring.version), () => {
      writeChat(writer, this.history());
      return writer.take();
    });
    // Adds two fields to the map that the library wrote; below 16 fields its header is one byte.
    const fields = packValue(personal);
    writer.mapHeader(((fields[0] ?? 0) & 0x0f) + 2).raw(fields.subarray(1));
    writer
      .string('snapshot')
      .mapHeader(6)
      .string('epoch')
      .string(replica.epoch)
      .string('offset')
      .number(replica.offset)
      .raw(structure)
      .raw(state);
    writer.string('chat').raw(chat);
    return writer.take();
  }

  private history(): ChatPiece[] {
    return this.ring.history(LIMITS.chatHistoryMessages);
  }

  private get structureVersion(): string {
    return `${this.replica.epoch}/${this.replica.structureVersion}`;
  }

  private get stateVersion(): string {
    return `${this.replica.epoch}/${this.replica.stateVersion}`;
  }
}

function concat(...namesAndValues: readonly unknown[]): Uint8Array {
  for (const part of namesAndValues) writer.raw(packValue(part));
  return writer.take();
}
