/** One person of the night: a line, a clock, and what they are about. */
import type { Question, Viewer } from '../generator/viewer.ts';
import type { Reserve } from './probe.ts';
import { ViewerClock } from './viewer-clock.ts';

export class Guest {
  readonly viewer: Viewer;
  readonly clock = new ViewerClock();
  /** They were there before: what they do next is a reconnect. */
  returning = false;
  /** Reads nothing at the moment. */
  stalled = false;
  /** Until then, or further back, they read nothing. */
  slowUntilMs = 0;
  /** What a `bye` said. */
  comeBackMs: number | null = null;
  /** Failed attempts to connect in a row. */
  attempts = 0;
  /** Sales this person is to press for, or has. */
  readonly pressed = new Set<string>();
  /**
   * Keyed requests whose outcome is not known, by key: repeated as soon as the line stands again.
   */
  readonly unknown = new Map<string, Reserve>();

  sent = 0;
  answered = 0;

  constructor(viewer: Viewer) {
    this.viewer = viewer;
  }

  /** False when the line does not stand. */
  ask(question: Question, dueMs: number): boolean {
    if (!this.viewer.welcomed || !this.viewer.ask(question, dueMs)) return false;
    this.sent++;
    return true;
  }
}
