/** What is written in a room, and when: the same for a seed, for any number of processes. */
import { createPrng, type Prng } from './prng.ts';
import { poisson, type Schedule, steady } from './schedule.ts';
import { stamped } from './stamp.ts';

export interface ChatSchedule {
  readonly perSecond: number;
  readonly arrivals: 'steady' | 'poisson';
  readonly forMs: number;
  /** UTF-16 units of a message, stamp included. */
  readonly chars: number;
}

const WORDS = 'so nice the blue one please when does it start my size love this wow wait here we go 🔥'.split(' ');
const STREAM = 7;
const STAMP_CHARS = 13;

/** `nth`: the number of this plan within the run; another number makes other messages. */
export function chatPlan(
  { perSecond, arrivals, forMs, chars }: ChatSchedule,
  seed: number,
  nth: number,
): { schedule: Schedule; textOf(i: number, dueMs: number): string } {
  const prng = createPrng(seed).fork(STREAM).fork(nth);
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
