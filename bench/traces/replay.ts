/** A recording as a schedule: when each message is due, and which viewer says it. */
import type { TraceMessage } from './trace.ts';

export interface ReplayOptions {
  /** 2 plays it twice as fast. */
  readonly speed: number;
  /** Begins again when it is over, until `forMs`. */
  readonly loop: boolean;
  /** Nothing is due from here on, milliseconds of the schedule. */
  readonly forMs: number;
  /** People in the room; where the recording has more, several share one viewer. */
  readonly viewers: number;
  /**
   * The recording's first person is this viewer, the second the next one, and so on. Several
   * recordings can share a room.
   */
  readonly viewerOffset: number;
}

export interface DueMessage {
  readonly dueMs: number;
  /** From 0 to `viewers` - 1; the same person of the recording is always the same viewer. */
  readonly viewer: number;
  readonly text: string;
}

/**
 * In order of time, made as it is asked for. `messages` in order of time. Throws RangeError for
 * options that play nothing for ever.
 */
export function* replay(
  messages: readonly TraceMessage[],
  { speed, loop, forMs, viewers, viewerOffset }: ReplayOptions,
): Generator<DueMessage, void, undefined> {
  if (!(speed > 0)) throw new RangeError(`speed must be above 0, got ${speed}`);
  if (!(viewers >= 1)) throw new RangeError(`somebody must be there to say it: viewers is ${viewers}`);
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

/**
 * Until it begins again: its length and, for the silence between the last message and the first, an
 * average gap.
 */
function passLengthMs(messages: readonly TraceMessage[]): number {
  const lastMs = messages.at(-1)?.atMs ?? 0;
  return Math.max(1, lastMs + lastMs / Math.max(1, messages.length - 1));
}
