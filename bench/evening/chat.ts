/** Chat for a run: offsets and texts, the same for the same seed. */
import { LIMITS } from '../../src/limits.ts';
import { createPrng } from '../generator/prng.ts';
import { poisson } from '../generator/schedule.ts';
import { STAMP_CHARS_MAX } from '../generator/stamp.ts';
import { DEFAULT_PROFILE } from '../traces/profile.ts';
import { replay } from '../traces/replay.ts';
import { syntheticTrace } from '../traces/synthetic.ts';
import { readTrace } from '../traces/trace.ts';
import { createVoice } from '../users/phrases.ts';

export type TimedText = readonly [offsetMs: number, text: string];

const STREAM = 19;
const VOICES = 64;
const PRODUCTS = ['Tee'];
const SIZES = ['S', 'M', 'L', 'XL'];

/** Returns messages of independent writers at a mean rate. */
export function syntheticChat(seed: number, perSecond: number, forMs: number): TimedText[] {
  if (perSecond === 0) return [];
  const prng = createPrng(seed).fork(STREAM);
  const voices = Array.from({ length: VOICES }, (_, i) => createVoice(prng, i));
  return [...poisson(perSecond, forMs, prng.fork(0))].map(
    (atMs) => [atMs, prng.pick(voices).phrase(prng, 'waiting', PRODUCTS, SIZES)] as const,
  );
}

interface EveningOptions {
  readonly file: string | null;
  readonly seed: number;
  readonly perSecond: number;
  readonly forMs: number;
  /** Openings of sales in ms from the start. The chat rate is highest there. */
  readonly openings: readonly number[];
}

/** For `BURST_MS` around an opening, the chat rate is multiplied by `BURST_FACTOR`. */
const BURST_FACTOR = 5;
const BURST_MS = 4_000;

/** Fits a recording to the run, or makes synthetic chat. Throws `FlagError` for a bad recording. */
export function eveningChat({ file, seed, perSecond, forMs, openings }: EveningOptions) {
  if (file !== null) {
    const recording = readTrace('--trace', file);
    const lastMs = recording.at(-1)?.atMs ?? 0;
    const speed = Math.max(1, (lastMs + 1) / forMs);
    const schedule = { speed, loop: false, forMs: Number.POSITIVE_INFINITY, viewers: 1, viewerOffset: 0 };
    return {
      messages: [...replay(recording, schedule)].map(({ dueMs, text }) => [dueMs, shorten(text)] as const),
      note:
        `Chat replays ${file}: ${recording.length} messages of ${Math.round(lastMs / 1000)} s, ` +
        `at ${speed.toFixed(1)} times its speed.`,
    };
  }
  const profile = { ...DEFAULT_PROFILE, perSecond: Math.max(0.1, perSecond) };
  const trace = syntheticTrace({ profile, seconds: forMs / 1000, seed });
  const calm = trace.map(({ atMs, text }) => [atMs, shorten(text)] as const);
  const bursts = openings.flatMap((openMs, i) =>
    syntheticChat(seed + i + 1, perSecond * BURST_FACTOR, BURST_MS).map(
      ([atMs, text]) => [Math.max(0, openMs - BURST_MS / 2) + atMs, text] as const,
    ),
  );
  return {
    messages: [...calm, ...bursts].sort(([a], [b]) => a - b),
    note:
      'Chat is synthetic, with the bursts, lengths, scripts and emoji of recorded chat, ' +
      `and ${BURST_FACTOR} times the rate around each opening.`,
  };
}

/** Each message also contains a stamp with its due time. */
const TEXT_CHARS_MAX = LIMITS.chatTextCharsMax - STAMP_CHARS_MAX;

/** Truncates a text, but never within a surrogate pair. */
const shorten = (text: string): string =>
  text.length <= TEXT_CHARS_MAX ? text : text.slice(0, TEXT_CHARS_MAX).replace(/[\ud800-\udbff]$/, '');
