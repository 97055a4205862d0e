/** Recorded chat: one JSON object per line, `{"at_ms": 1200, "user": "maya", "text": "hi"}`. */
import { readFileSync } from 'node:fs';
import { LIMITS } from '../../src/limits.ts';
import { FlagError } from '../scenarios/flags.ts';

export interface TraceMessage {
  /** Since the start of the recording, in milliseconds. */
  readonly atMs: number;
  readonly user: string;
  readonly text: string;
}

const MISTAKES_NAMED_MAX = 20;

/** Reads the recording that a flag names. Throws `FlagError` that lists all mistakes. */
export function readTrace(flag: string, file: string): readonly TraceMessage[] {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    throw new FlagError(`${flag} ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { messages, mistakes } = parseTrace(content);
  if (mistakes.length > 0) throw new FlagError(mistakes.map((mistake) => `${flag} ${file}, ${mistake}`).join('\n'));
  if (messages.length === 0) throw new FlagError(`${flag} ${file} contains no messages`);
  return messages;
}

/** Returns the messages in order of time, and unusable lines: `line 17: "at_ms" must be ...`. */
export function parseTrace(content: string): { messages: TraceMessage[]; mistakes: string[] } {
  const messages: TraceMessage[] = [];
  const mistakes: string[] = [];
  for (const [index, line] of content.split('\n').entries()) {
    if (line.trim() === '') continue;
    const message = parseLine(line);
    if (typeof message === 'string') mistakes.push(`line ${index + 1}: ${message}`);
    else messages.push(message);
  }
  const more = mistakes.length - MISTAKES_NAMED_MAX;
  if (more > 0) mistakes.splice(MISTAKES_NAMED_MAX, more, `... and ${more} more`);
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
