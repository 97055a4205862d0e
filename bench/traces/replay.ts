/** A recording as a schedule: when each message is due, and which viewer writes it. */
import type { TraceMessage } from './trace.ts';

export interface ReplayOptions {
  /** 2 is twice as fast. */
  readonly speed: number;
  /** Repeats it until `forMs`. */
  readonly loop: boolean;
  /** The end of the schedule. */
  readonly forMs: number;
  /** If the recording has more authors, several share one viewer. */
  readonly viewers: number;
  /** The viewer of the first author, so that several recordings can share a room. */
  readonly viewerOffset: number;
}

interface DueMessage {
  readonly dueMs: number;
  /** From 0 to `viewers` - 1; each author always has the same viewer. */
  readonly viewer: number;
  readonly text: string;
}

/** Expects and yields messages in order of time. Throws RangeError for bad options. */
export function* replay(
  messages: readonly TraceMessage[],
  { speed, loop, forMs, viewers, viewerOffset }: ReplayOptions,
): Generator<DueMessage, void, undefined> {
  if (!(speed > 0)) throw new RangeError(`speed must be above 0, got ${speed}`);
  if (!(viewers >= 1)) throw new RangeError(`viewers must be at least 1, got ${viewers}`);
  const voices = new Map<string, number>();
  for (const { user } of messages) if (!voices.has(user)) voices.set(user, voices.size);
  const passMs = passLengthMs(messages) / speed;
  for (let passFromMs = 0; passFromMs < forMs && messages.length > 0; passFromMs += passMs) {
    for (const { atMs, user, text } of messages) {
      const dueMs = passFromMs + atMs / speed;
      if (dueMs >= forMs) return;
      yield { dueMs, viewer: (viewerOffset + (voices.get(user) ?? 0)) % viewers, text };
    }
    if (!loop) return;
  }
}

/** The length of a repetition, including an average gap after the last message. */
function passLengthMs(messages: readonly TraceMessage[]): number {
  const lastMs = messages.at(-1)?.atMs ?? 0;
  return Math.max(1, lastMs + lastMs / Math.max(1, messages.length - 1));
}
