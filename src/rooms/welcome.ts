/**
 * The first message of a connection. What is the same for everybody (the snapshot, recent chat) is
 * encoded once per revision and variant and spliced behind the few personal fields, so that
 * thousands of joins a second cost no more than their tokens.
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

/** Remembers one encoding per wire family until its version changes. */
class Piece {
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
  private readonly view: ShowReplica;
  private readonly ring: ChatRing;
  private readonly counts: EncodeCounts;
  private readonly structure = new Piece();
  private readonly state = new Piece();
  private readonly chat = new Piece();

  constructor(view: ShowReplica, ring: ChatRing, counts: EncodeCounts) {
    this.view = view;
    this.ring = ring;
    this.counts = counts;
  }

  /** With the snapshot and the chat history of now. */
  full(personal: PersonalWelcome, variant: Variant): Uint8Array {
    this.counts[variant] += 1;
    return variant === 'json' ? this.fullJson(personal) : this.fullPacked(personal);
  }

  /**
   * For a client whose position can be served: the events and the chat after it follow in frames.
   */
  resumed(personal: PersonalWelcome, variant: Variant): Uint8Array {
    return messageFrame({ ...personal, resumed: true, chat: [] }, this.counts).in(variant);
  }

  /** A frame that replaces everything, recent chat too, for everybody. */
  snapshotFrame(at: number): OutgoingFrame {
    const { epoch } = this.view;
    return splicedFrame({ at, epoch, snapshot: this.view.snapshot(), chat: this.history() }, this.counts);
  }

  private fullJson(personal: PersonalWelcome): Uint8Array {
    const { view } = this;
    const structure = this.structure.json(
      this.structureVersion,
      () => `"show":${JSON.stringify(view.show)},"products":${JSON.stringify([...view.products.values()])}`,
    );
    const state = this.state.json(
      this.stateVersion,
      () => `"sales":${JSON.stringify([...view.sales.values()])},"state":${JSON.stringify(view.countsState())}`,
    );
    const chat = this.chat.json(String(this.ring.version), () => chatJson(this.history()));
    const head = JSON.stringify(personal).slice(0, -1);
    return Buffer.from(
      `${head},"snapshot":{"epoch":${JSON.stringify(view.epoch)},"offset":${view.offset},${structure},${state}},"chat":${chat}}`,
      'utf8',
    );
  }

  private fullPacked(personal: PersonalWelcome): Uint8Array {
    const { view } = this;
    const structure = this.structure.packed(this.structureVersion, () =>
      concat('show', view.show, 'products', [...view.products.values()]),
    );
    const state = this.state.packed(this.stateVersion, () =>
      concat('sales', [...view.sales.values()], 'state', view.countsState()),
    );
    const chat = this.chat.packed(String(this.ring.version), () => {
      writeChat(writer, this.history());
      return writer.take();
    });
    // One call of the library, then its map is opened: a map of fewer than 16 fields has a header
    // of one byte.
    const fields = packValue(personal);
    writer.mapHeader(((fields[0] ?? 0) & 0x0f) + 2).raw(fields.subarray(1));
    writer
      .string('snapshot')
      .mapHeader(6)
      .string('epoch')
      .string(view.epoch)
      .string('offset')
      .number(view.offset)
      .raw(structure)
      .raw(state);
    writer.string('chat').raw(chat);
    return writer.take();
  }

  private history(): ChatPiece[] {
    return this.ring.history(LIMITS.chatHistoryMessages);
  }

  private get structureVersion(): string {
    return `${this.view.epoch}/${this.view.structureVersion}`;
  }

  private get stateVersion(): string {
    return `${this.view.epoch}/${this.view.stateVersion}`;
  }
}

function concat(...namesAndValues: readonly unknown[]): Uint8Array {
  for (const part of namesAndValues) writer.raw(packValue(part));
  return writer.take();
}
