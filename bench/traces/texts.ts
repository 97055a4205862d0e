/** Synthetic texts of a given length and script, made of words of the phrase book. */
import { LIMITS } from '../../src/limits.ts';
import type { Prng } from '../generator/prng.ts';
import { ENGLISH, OTHERS } from '../users/phrases.ts';
import { graphemesOf, SCRIPT_NAMES, type Script, scriptOf, withoutEmoji } from './graphemes.ts';

const EMOJI = '😂 🔥 ❤️ 😭 👋 🎉 😍 🙏 👏🏽 🙋‍♀️ 👨‍👩‍👧‍👦 🇵🇭 🏳️‍🌈 ✅ 💀 1️⃣'.split(' ');
const SIGNS = [...'0123456789?!.'] as const;
/** Scripts without spaces between words. */
const UNSPACED: ReadonlySet<Script> = new Set(['japanese', 'chinese']);
const EMOJI_IN_A_ROW_MAX = 4;
const words = new Intl.Segmenter('und', { granularity: 'word' });

/** Words of the phrase book by script, without the placeholders of products and sizes. */
const VOCABULARY: Readonly<Record<Script, readonly string[]>> = (() => {
  const phrases = [ENGLISH, ...OTHERS]
    .flatMap(({ waiting, rush, after }) => [...waiting, ...rush, ...after])
    .map((phrase) => withoutEmoji(phrase.replace(/\{[ps]\}/g, '')));
  const found = phrases.flatMap((phrase) => {
    const script = scriptOf(phrase);
    const parts = UNSPACED.has(script)
      ? Array.from(words.segment(phrase), ({ segment }) => segment)
      : phrase.split(' ');
    return parts
      .map((word) => ({ script, word: word.trim() }))
      .filter(({ word }) => word !== '' && scriptOf(word) !== 'none');
  });
  return Object.fromEntries(
    SCRIPT_NAMES.map((script) => [
      script,
      [...new Set(found.filter((one) => one.script === script).map(({ word }) => word))],
    ]),
  ) as Record<Script, string[]>;
})();

export type Wanted = Readonly<{ graphemes: number; script: Script; emoji: boolean }>;

/** Never blank, and at most as long as the engine allows (in UTF-16 units). */
export function inventText(prng: Prng, { graphemes, script, emoji }: Wanted): string {
  const tail = emoji ? Math.min(graphemes, prng.int(1, EMOJI_IN_A_ROW_MAX)) : 0;
  const picture = prng.pick(EMOJI);
  // A text without letters has either signs or emoji.
  const letters = script === 'none' ? (emoji ? [] : signs(prng, graphemes)) : lettersOf(prng, script, graphemes - tail);
  const parts = [...letters, ...Array.from({ length: script === 'none' && emoji ? graphemes : tail }, () => picture)];
  let units = 0;
  const fitting = parts.filter((part) => {
    units += part.length;
    return units <= LIMITS.chatTextCharsMax;
  });
  return fitting.join('');
}

const signs = (prng: Prng, graphemes: number): string[] => Array.from({ length: graphemes }, () => prng.pick(SIGNS));

function lettersOf(prng: Prng, script: Script, graphemes: number): string[] {
  if (graphemes <= 0) return [];
  const between = UNSPACED.has(script) ? '' : ' ';
  const vocabulary = VOCABULARY[script];
  let text = prng.pick(vocabulary);
  // Ends because each word has at least one grapheme.
  while (text.length < graphemes * 2) text += between + prng.pick(vocabulary);
  const cut = graphemesOf(text).slice(0, graphemes);
  // A trailing space would be trimmed.
  if (cut.at(-1) === ' ') cut[cut.length - 1] = '!';
  return cut;
}
