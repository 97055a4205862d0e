/** Chat for a run: offsets and texts, the same for the same seed. */

import { readFileSync } from 'node:fs';
import { LIMITS } from '../../src/limits.ts';
import { createPrng } from '../generator/prng.ts';
import { poisson } from '../generator/schedule.ts';
import { STAMP_CHARS_MAX } from '../generator/stamp.ts';
import { FlagError } from '../scenarios/flags.ts';
import { DEFAULT_PROFILE } from '../traces/profile.ts';
import { replay } from '../traces/replay.ts';
import { syntheticTrace } from '../traces/synthetic.ts';
import { parseTrace, type TraceMessage } from '../traces/trace.ts';
import { createVoice } from '../users/phrases.ts';

export type Saying = readonly [offsetMs: number, text: string];

/** Label of the generator that chat draws from. */
const STREAM = 19;
const VOICES = 64;
const PRODUCTS = ['Tee'];
const SIZES = ['S', 'M', 'L', 'XL'];

/** People talking by themselves, at this mean rate. */
export function syntheticChat(seed: number, perSecond: number, forMs: number): Saying[] {
  if (perSecond === 0) return [];
  const prng = createPrng(seed).fork(STREAM);
  const voices = Array.from({ length: VOICES }, (_, i) => createVoice(prng, i));
  return [...poisson(perSecond, forMs, prng.fork(0))].map(
    (atMs) => [atMs, prng.pick(voices).say(prng, 'waiting', PRODUCTS, SIZES)] as const,
  );
}

export interface EveningChat {
  readonly messages: readonly Saying[];
  /** For the reader of the result: where it comes from. */
  readonly note: string;
}

interface EveningOptions {
  readonly file: string | null;
  readonly seed: number;
  readonly perSecond: number;
  readonly forMs: number;
  /** When sales open, from the start: the room is loudest then. */
  readonly openings: readonly number[];
}

/** Around an opening people write this many times as much, for so long. */
const BURST = 5;
const BURST_MS = 4_000;

/**
 * A recording, laid over the evening; or invented talk that swells when a sale opens. Throws
 * `FlagError` for a recording that cannot be used.
 */
export function eveningChat({ file, seed, perSecond, forMs, openings }: EveningOptions): EveningChat {
  if (file !== null) {
    const recording = readRecording(file);
    const lastMs = recording.at(-1)?.atMs ?? 0;
    const speed = Math.max(1, (lastMs + 1) / forMs);
    const messages = [
      ...replay(recording, { speed, loop: false, forMs: Number.POSITIVE_INFINITY, viewers: 1, viewerOffset: 0 }),
    ].map(({ dueMs, text }) => [dueMs, fitting(text)] as const);
    return {
      messages,
      note: `Chat replays ${file}: ${recording.length} messages of ${Math.round(lastMs / 1000)} s, ${speed.toFixed(1)} times as fast.`,
    };
  }
  const calm = syntheticTrace({
    profile: { ...DEFAULT_PROFILE, perSecond: Math.max(0.1, perSecond) },
    seconds: forMs / 1000,
    seed,
  }).map(said);
  const bursts = openings.flatMap((openMs, i) =>
    syntheticChat(seed + i + 1, perSecond * BURST, BURST_MS).map(
      ([atMs, text]) => [Math.max(0, openMs - BURST_MS / 2) + atMs, text] as const,
    ),
  );
  return {
    messages: [...calm, ...bursts].sort(([a], [b]) => a - b),
    note: `Chat is synthetic, with the bunching, lengths, scripts and emoji of recorded chat, and ${BURST} times as dense around each opening.`,
  };
}

function readRecording(file: string): readonly TraceMessage[] {
  let content: string;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    throw new FlagError(`--trace ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { messages, mistakes } = parseTrace(content);
  if (mistakes.length > 0) throw new FlagError(`--trace ${file}: ${mistakes.join('; ')}`);
  if (messages.length === 0) throw new FlagError(`--trace ${file} holds no messages`);
  return messages;
}

/** What stands before a text, so that its readers know when it was due, takes room from it. */
const TEXT_CHARS_MAX = LIMITS.chatTextCharsMax - STAMP_CHARS_MAX;

const said = ({ atMs, text }: TraceMessage): Saying => [atMs, fitting(text)];
/** Not in the middle of a character. */
const fitting = (text: string): string =>
  text.length <= TEXT_CHARS_MAX ? text : text.slice(0, TEXT_CHARS_MAX).replace(/[\ud800-\udbff]$/, '');
