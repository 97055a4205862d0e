/** What the handlers of client messages share. */
import type { Result } from '../../protocol/codes.ts';
import type { Health } from '../../sales/ports.ts';
import type { Connection } from '../connection.ts';

export interface RequestContext {
  readonly health: Health;
  /** Monotonic milliseconds, for rates. */
  readonly nowMs: number;
  /** When the message came, Redis time. */
  readonly receivedAt: number;
  readonly draining: boolean;
}

/** The data of the one `ok`, or why not. */
export type Answer = Result<Record<string, unknown> | undefined>;
/** Will call back once. What comes by the ten thousand a second answers like this, without promises. */
export type AnswerLater = (done: (answer: Answer) => void) => void;
/** A handler answers now or later; it never throws for an operating error. */
export type Answered = Answer | Promise<Answer> | AnswerLater;
export type { Connection };
