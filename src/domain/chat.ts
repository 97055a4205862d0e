/** Chat messages on their way into the log and between nodes. */

/** One accepted chat message. */
export interface ChatEntry {
  readonly user: string;
  readonly name: string;
  readonly text: string;
  /** 0 none, 1 buyer with an order, 2 moderator, 3 host. */
  readonly mark: number;
  readonly at: number;
}

/**
 * Chat of one node. `items` is `count` MessagePack values `[i, dt, name, text, mark?]`, which are
 * copied into frames without decoding.
 */
export interface ChatBatch {
  readonly node: string;
  readonly firstId: number;
  readonly at: number;
  /** Messages in `items`. */
  readonly count: number;
  readonly items: Uint8Array;
  /** With messages left out by the display cap: number of ids, and `i` of the last item. */
  readonly taken?: number;
  readonly last?: number;
  /** Packed array of all authors, for other nodes. Absent in the history. */
  readonly authors?: Uint8Array;
}

export interface ChatAppend extends Pick<ChatBatch, 'node' | 'at' | 'count' | 'items'> {
  /** What the log needs to show a sample; absent: all messages are shown. */
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
  /** Indexes of shown messages; absent: all. */
  readonly shown?: readonly number[];
}
