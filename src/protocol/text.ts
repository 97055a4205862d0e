/**
 * Text that people write: chat, names and titles. Removes what no reader sees, and what changes how
 * the text around it looks.
 */

const PLAIN = /^[\x20-\x7e]*$/;
/** Could break layouts and logs. */
const CONTROLS = /[\p{Cc}\p{Cs}\u2028\u2029]/gu;
/** Embeddings, overrides and isolates would turn the text around them. Marks (U+200E) stay. */
const DIRECTIONS = /[\u202a-\u202e\u2066-\u2069]/g;
/** Tag characters hide text, except in the flags of regions such as Scotland. */
const TAGS = /(\u{1f3f4}[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]{1,6}\u{e007f})|[\u{e0000}-\u{e007f}]/gu;
/** Hebrew with points and accents has five marks on a letter. More would cover other lines. */
const MARKS_MAX = 5;
const MARK = /\p{M}/u;
const MARK_RUNS = new RegExp(`[\\p{M}\\p{Cf}]{${MARKS_MAX + 1},}`, 'gu');
/** Not blank, zero width, a filler of Hangul, the braille blank, or a mark without a letter. */
const VISIBLE = /[^\p{White_Space}\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{M}\u2800]/u;

/** Returns the text without those and blanks around it; empty if no character is visible. */
export function cleanText(text: string): string {
  if (PLAIN.test(text)) return text.trim();
  const clean = text
    .replace(CONTROLS, ' ')
    .replace(DIRECTIONS, '')
    .replace(TAGS, '$1')
    .replace(MARK_RUNS, limitMarks)
    .trim();
  return VISIBLE.test(clean) ? clean : '';
}

const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;

/** Returns whether a value is a text with a visible character and none that hides or turns text. */
export const isCleanText = (value: unknown, charsMax: number): value is string =>
  typeof value === 'string' &&
  value.length <= charsMax &&
  !UNPRINTABLE.test(value) &&
  value.trim() !== '' &&
  cleanText(value) === value.trim();

function limitMarks(run: string): string {
  let marks = 0;
  return [...run].filter((char) => !MARK.test(char) || ++marks <= MARKS_MAX).join('');
}
