/**
 * Appends chat of this node's viewers to the log of one room, in batches. One append is in flight
 * at a time, which keeps the order of arrival; the pause between appends bounds the load on Redis.
 */
import type { ChatAppend, ChatAppended, ChatEntry } from '../domain/chat.ts';
import { Alarm, type Clock } from '../domain/clock.ts';
import { MessagePackWriter, writeChatItem } from '../domain/message-pack.ts';
import type { ShowLog } from '../domain/show-log.ts';
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { CHAT_TIME_STEP_MS } from '../protocol/messages.ts';

export interface AcceptedChat {
  readonly id: number;
  /** The display cap shows it to no viewer. */
  readonly leftOut: boolean;
}

/** Called once, with the id of the message or the error. */
export type ChatCallback = (result: Result<AcceptedChat>) => void;

export interface ChatIntakeOptions {
  readonly showId: string;
  readonly node: string;
  readonly log: Pick<ShowLog, 'appendChat'>;
  readonly clock: Clock;
  /** The show's display cap, messages per second; 0 = no cap. */
  readonly shownPerSecond: () => number;
  /** Outgoing chat is queued for too long: new chat is refused. */
  readonly isBehind: () => boolean;
  /** A callback has thrown. The others of its batch are called. */
  readonly onCallbackError: (error: unknown) => void;
}

interface QueuedChat {
  readonly entry: ChatEntry;
  readonly callback: ChatCallback;
  /** Approximate size in a frame. */
  readonly bytes: number;
}

const OVERLOAD_RETRY_MS = 1_000;
/** Array header, index in the batch, time, and the headers of two texts. */
const ITEM_HEADER_BYTES = 8;

export class ChatIntake {
  private readonly options: ChatIntakeOptions;
  private readonly writer = new MessagePackWriter();
  private readonly queue: QueuedChat[] = [];
  private queuedBytes = 0;
  private inFlight: Promise<void> | null = null;
  private lastAppendMs = Number.NEGATIVE_INFINITY;
  private readonly alarm: Alarm;

  constructor(options: ChatIntakeOptions) {
    this.options = options;
    this.alarm = new Alarm(options.clock, () => this.pump());
  }

  accept(entry: ChatEntry, callback: ChatCallback): void {
    if (this.queue.length >= LIMITS.chatQueuePerRoomMax || this.options.isBehind())
      return callback(
        fail('overloaded', 'Too many messages are waiting in this show.', { retryAfterMs: OVERLOAD_RETRY_MS }),
      );
    const bytes = entry.name.length + entry.text.length + ITEM_HEADER_BYTES;
    this.queue.push({ entry, callback, bytes });
    this.queuedBytes += bytes;
    this.pump();
  }

  /** Resolves when all callbacks were called. */
  async whenIdle(): Promise<void> {
    while (this.queue.length > 0 || this.inFlight !== null) {
      if (this.inFlight === null) this.append();
      await this.inFlight;
    }
  }

  private pump(): void {
    if (this.inFlight !== null || this.queue.length === 0) return;
    // A full batch gains nothing by waiting for more messages.
    const isFull = this.queuedBytes >= LIMITS.appendFullBytes || this.queue.length >= LIMITS.chatBatchMessagesMax;
    const waitMs = isFull ? 0 : this.lastAppendMs + LIMITS.tickMinMs - this.options.clock.nowMs();
    if (waitMs <= 0) this.append();
    else if (!this.alarm.isSet) this.alarm.set(waitMs);
  }

  private append(): void {
    this.alarm.clear();
    const { log, showId, node, clock, shownPerSecond } = this.options;
    this.lastAppendMs = clock.nowMs();
    const { batch, ...append } = this.takeBatch(shownPerSecond());
    const authors = batch.map(({ entry }) => entry.user);
    this.inFlight = log
      .appendChat(showId, { node, count: batch.length, ...append }, authors)
      .catch((error: unknown): Result<ChatAppended> => {
        const reason = error instanceof Error ? error.message : 'unknown error';
        return fail('internal', `The message could not be appended: ${reason}.`);
      })
      .then((result) => {
        this.inFlight = null;
        this.finish(batch, result);
        this.pump();
      });
  }

  private finish(batch: readonly QueuedChat[], result: Result<ChatAppended>): void {
    const shown = result.ok && result.value.shown ? new Set(result.value.shown) : null;
    for (const [i, { callback }] of batch.entries()) {
      try {
        callback(result.ok ? ok({ id: result.value.firstId + i, leftOut: shown !== null && !shown.has(i) }) : result);
      } catch (error) {
        this.options.onCallbackError(error);
      }
    }
  }

  private takeBatch(perSecond: number): { batch: QueuedChat[] } & Pick<ChatAppend, 'items' | 'at' | 'cap'> {
    const at = this.queue[0]?.entry.at ?? 0;
    const ends: number[] = [];
    const marked: number[] = [];
    let count = 0;
    for (const { entry, bytes } of this.queue) {
      if (count >= LIMITS.chatBatchMessagesMax || this.writer.bytes >= LIMITS.chatBatchBytesMax) break;
      this.queuedBytes -= bytes;
      const steps = Math.max(0, Math.round((entry.at - at) / CHAT_TIME_STEP_MS));
      writeChatItem(this.writer, count, steps, entry.name, entry.text, entry.mark);
      if (perSecond > 0) ends.push(this.writer.bytes);
      if (perSecond > 0 && entry.mark !== 0) marked.push(count);
      count += 1;
    }
    const taken = { batch: this.queue.splice(0, count), items: this.writer.take(), at };
    return perSecond > 0 ? { ...taken, cap: { perSecond, ends: littleEndian(ends), marked } } : taken;
  }
}

function littleEndian(values: readonly number[]): Uint8Array {
  const bytes = Buffer.allocUnsafe(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i);
  return bytes;
}
