/**
 * What is said in a room, and when: the same for a seed, whoever says it and from however many
 * processes.
 */
import { createPrng, type Prng } from './prng.ts';
import { poisson, type Schedule, steady } from './schedule.ts';
import { stamped } from './stamp.ts';

export interface Talk {
  readonly perSecond: number;
  readonly arrivals: 'steady' | 'poisson';
  readonly forMs: number;
  /** UTF-16 units of a message, stamp included. */
  readonly chars: number;
}

const WORDS = [
  'so',
  'nice',
  'the',
  'blue',
  'one',
  'please',
  'when',
  'does',
  'it',
  'start',
  'my',
  'size',
  'love',
  'this',
  'wow',
  'wait',
  'here',
  'we',
  'go',
  '🔥',
];
/** Label of the generator that talk draws from. */
const TALK_STREAM = 7;
const STAMP_CHARS = 13;

/**
 * `nth`: a second talk in the same run says something else. Message i is the same in every process
 * that asks for it.
 */
export function chatPlan(
  { perSecond, arrivals, forMs, chars }: Talk,
  seed: number,
  nth: number,
): { schedule: Schedule; textOf(i: number, dueMs: number): string } {
  const prng = createPrng(seed).fork(TALK_STREAM).fork(nth);
  return {
    schedule: arrivals === 'poisson' ? poisson(perSecond, forMs, prng.fork(0)) : steady(perSecond, forMs),
    textOf: (i, dueMs) => stamped(dueMs, sentence(prng.fork(i + 1), chars - STAMP_CHARS)),
  };
}

/** The longest run of words that fits. */
function sentence(prng: Prng, charsMax: number): string {
  let text = prng.pick(WORDS);
  for (;;) {
    const longer = `${text} ${prng.pick(WORDS)}`;
    if (longer.length > charsMax) return text;
    text = longer;
  }
}
