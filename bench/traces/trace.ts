/** Recorded chat: one JSON object per line, `{"at_ms": 1200, "user": "maya", "text": "hi"}`. */
import { LIMITS } from '../../src/limits.ts';

export interface TraceMessage {
  /** Since the start of the recording, in milliseconds. */
  readonly atMs: number;
  readonly user: string;
  readonly text: string;
}

export interface TraceReading {
  /** In order of time. */
  readonly messages: TraceMessage[];
  /** Unusable lines: `line 17: "at_ms" must be ...`. */
  readonly mistakes: string[];
}

const MISTAKES_NAMED_MAX = 20;

export function parseTrace(content: string): TraceReading {
  const messages: TraceMessage[] = [];
  const mistakes: string[] = [];
  let wrong = 0;
  content.split('\n').forEach((line, index) => {
    if (line.trim() === '') return;
    const message = parseLine(line);
    if (typeof message !== 'string') {
      messages.push(message);
      return;
    }
    wrong += 1;
    if (wrong <= MISTAKES_NAMED_MAX) mistakes.push(`line ${index + 1}: ${message}`);
  });
  if (wrong > MISTAKES_NAMED_MAX) mistakes.push(`... and ${wrong - MISTAKES_NAMED_MAX} more`);
  messages.sort((a, b) => a.atMs - b.atMs);
  return { messages, mistakes };
}

function parseLine(line: string): TraceMessage | string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return 'not JSON';
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'not a JSON object';
  const { at_ms: atMs, user, text } = value as Record<string, unknown>;
  if (typeof atMs !== 'number' || !Number.isFinite(atMs) || atMs < 0)
    return '"at_ms" must be a number of milliseconds, 0 or more';
  if (typeof user !== 'string' || user.trim() === '' || user.length > LIMITS.nameCharsMax)
    return `"user" must be a string of 1 to ${LIMITS.nameCharsMax} characters`;
  if (typeof text !== 'string' || text.trim() === '' || text.length > LIMITS.chatTextCharsMax)
    return `"text" must be a string of 1 to ${LIMITS.chatTextCharsMax} characters`;
  return { atMs, user: user.trim(), text };
}
