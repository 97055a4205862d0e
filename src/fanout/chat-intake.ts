/**
 * Chat on its way in: what this node's viewers of one room wrote, appended to the log in batches.
 * One append is in flight at a time, so the order of a node's messages is the order they came in;
 * the pause between appends bounds what a room costs Redis.
 */

import type { ChatAppend, ChatAppended, ChatEntry } from '../domain/chat.ts';
import type { Clock, Timer } from '../domain/clock.ts';
import { MessagePackWriter, writeChatItem } from '../domain/message-pack.ts';
import type { ShowLog } from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import { type Failure, fail, failure, ok, type Result } from '../protocol/codes.ts';
import { CHAT_TIME_STEP_MS } from '../protocol/messages.ts';

export interface AcceptedChat {
  readonly id: number;
  /** The display cap shows it to nobody. */
  readonly leftOut: boolean;
}

/** Called once with the message's id, or with why it was not taken. */
export type ChatCallback = (result: Result<AcceptedChat>) => void;

export interface ChatIntakeOptions {
  readonly showId: string;
  readonly node: string;
  readonly log: Pick<ShowLog, 'appendChat'>;
  readonly clock: Clock;
  /** The show's display cap, messages a second; 0 = all are shown. */
  readonly shownPerSecond: () => number;
  /** Chat waits too long to be written: no more is taken. */
  readonly isBehind: () => boolean;
  /** An answer could not be taken: the others of its batch get theirs. */
  readonly onCallbackError: (error: unknown) => void;
}

interface Waiting {
  readonly entry: ChatEntry;
  readonly answer: ChatCallback;
  /** In a frame, roughly. */
  readonly bytes: number;
}

const OVERLOAD_RETRY_MS = 1_000;
/** Array header, place in the batch, time, and the headers of two texts. */
const ITEM_AROUND_BYTES = 8;

export class ChatIntake {
  private readonly options: ChatIntakeOptions;
  private readonly writer = new MessagePackWriter();
  private readonly queue: Waiting[] = [];
  /** Of the whole queue. */
  private queuedBytes = 0;
  private inFlight: Promise<void> | null = null;
  private lastAppendMs = Number.NEGATIVE_INFINITY;
  private timer: Timer | null = null;

  constructor(options: ChatIntakeOptions) {
    this.options = options;
  }

  accept(entry: ChatEntry, answer: ChatCallback): void {
    if (this.queue.length >= LIMITS.chatQueuePerRoomMax || this.options.isBehind()) {
      answer(fail('overloaded', 'Too many messages are waiting in this show.', { retryAfterMs: OVERLOAD_RETRY_MS }));
      return;
    }
    const bytes = roughBytes(entry);
    this.queue.push({ entry, answer, bytes });
    this.queuedBytes += bytes;
    this.pump();
  }

  /** Resolves when everything accepted so far is answered. */
  async whenIdle(): Promise<void> {
    while (this.queue.length > 0 || this.inFlight !== null) {
      if (this.inFlight === null) this.append();
      await this.inFlight;
    }
  }

  private pump(): void {
    if (this.inFlight !== null || this.queue.length === 0) return;
    const { clock } = this.options;
    // Much gains little by waiting for company, a full batch nothing.
    const full = this.queuedBytes >= LIMITS.appendFullBytes || this.queue.length >= LIMITS.chatBatchMessagesMax;
    const dueMs = full ? 0 : this.lastAppendMs + LIMITS.tickMinMs;
    const waitMs = dueMs - clock.nowMs();
    if (waitMs <= 0) {
      this.append();
    } else {
      this.timer ??= clock.setTimer(() => {
        this.timer = null;
        this.pump();
      }, waitMs);
    }
  }

  private append(): void {
    if (this.timer !== null) this.options.clock.clearTimer(this.timer);
    this.timer = null;
    this.lastAppendMs = this.options.clock.nowMs();
    const { log, showId, node, shownPerSecond } = this.options;
    const { batch, ...append } = this.takeBatch(shownPerSecond());
    const authors = batch.map(({ entry }) => entry.user);
    this.inFlight = log
      .appendChat(showId, { node, count: batch.length, ...append }, authors)
      .catch((error: unknown): Result<ChatAppended> => ({ ok: false, error: unexpected(error) }))
      .then((result) => {
        this.inFlight = null;
        this.tell(batch, result);
        this.pump();
      });
  }

  private tell(batch: readonly Waiting[], result: Result<ChatAppended>): void {
    const shown = result.ok && result.value.shown ? new Set(result.value.shown) : null;
    for (const [i, { answer }] of batch.entries()) {
      try {
        answer(result.ok ? ok({ id: result.value.firstId + i, leftOut: shown !== null && !shown.has(i) }) : result);
      } catch (error) {
        this.options.onCallbackError(error);
      }
    }
  }

  private takeBatch(perSecond: number): { batch: Waiting[] } & Pick<ChatAppend, 'items' | 'at' | 'cap'> {
    const at = this.queue[0]?.entry.at ?? 0;
    const ends: number[] = [];
    const marked: number[] = [];
    let count = 0;
    while (
      count < this.queue.length &&
      count < LIMITS.chatBatchMessagesMax &&
      this.writer.bytes < LIMITS.chatBatchBytesMax
    ) {
      const { entry, bytes } = this.queue[count] as Waiting;
      this.queuedBytes -= bytes;
      writeChatItem(
        this.writer,
        count,
        Math.max(0, Math.round((entry.at - at) / CHAT_TIME_STEP_MS)),
        entry.name,
        entry.text,
        entry.mark,
      );
      if (perSecond > 0) {
        ends.push(this.writer.bytes);
        if (entry.mark !== 0) marked.push(count);
      }
      count += 1;
    }
    const batch = this.queue.splice(0, count);
    const taken = { batch, items: this.writer.take(), at };
    return perSecond > 0 ? { ...taken, cap: { perSecond, ends: littleEndian(ends), marked } } : taken;
  }
}

/** Of a message in a frame; exact where its texts are short and plain. */
const roughBytes = ({ name, text }: ChatEntry): number => name.length + text.length + ITEM_AROUND_BYTES;

function littleEndian(values: readonly number[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i);
  return bytes;
}

function unexpected(error: unknown): Failure {
  return failure(
    'internal',
    `The message could not be appended: ${error instanceof Error ? error.message : 'unknown error'}.`,
  );
}
