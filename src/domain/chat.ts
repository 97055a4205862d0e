/** Chat messages on their way into the log and between nodes. */

/** One accepted chat message on its way into the log. */
export interface ChatEntry {
  readonly user: string;
  readonly name: string;
  readonly text: string;
  /** 0 none, 1 buyer with an order, 2 moderator, 3 host. */
  readonly mark: number;
  readonly at: number;
}

/**
 * A batch of chat of one node as it travels between nodes. `items` is `count` MessagePack values
 * `[i, dt, name, text, mark?]` one after the other, spliced into frames without decoding.
 */
export interface ChatBatch {
  readonly node: string;
  readonly firstId: number;
  readonly at: number;
  /** Messages in `items`. */
  readonly count: number;
  readonly items: Uint8Array;
  /**
   * Above the display cap some are left out: how many ids the batch took, and `i` of the last item.
   * Absent: `count`, and one less.
   */
  readonly taken?: number;
  readonly last?: number;
  /**
   * Who wrote, left-out messages included: a packed array, for nodes that did not accept the batch.
   * Absent in the history.
   */
  readonly authors?: Uint8Array;
}

/** A batch on its way into the log. */
export interface ChatAppend extends Pick<ChatBatch, 'node' | 'at' | 'count' | 'items'> {
  /** What the log needs to show a sample. Absent: everything is shown. */
  readonly cap?: {
    /** Messages shown in any second, over all nodes. */
    readonly perSecond: number;
    /** Where each item ends in `items`, 4 bytes each, little endian. */
    readonly ends: Uint8Array;
    /** Indexes of marked messages, which are always shown. */
    readonly marked: readonly number[];
  };
}

export interface ChatAppended {
  readonly firstId: number;
  /** Indexes of those shown to everybody; absent: all. */
  readonly shown?: readonly number[];
}
