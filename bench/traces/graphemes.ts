/**
 * Texts as people see them: a family emoji or an accented letter is one character, whatever number
 * of code points it is made of (UAX #29).
 */

const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' });

export const graphemesOf = (text: string): string[] => Array.from(segmenter.segment(text), ({ segment }) => segment);

/** ASCII has one grapheme a character, but for line ends, which no message has. */
export const graphemeCount = (text: string): number => (isAscii(text) ? text.length : graphemesOf(text).length);

export const isAscii = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

/** Keycaps and `©` are pictures only with the selector behind them; digits alone are not. */
const EMOJI = /\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f?|\p{Regional_Indicator}{2}/u;

export const hasEmoji = (text: string): boolean => EMOJI.test(text);

export const withoutEmoji = (text: string): string =>
  graphemesOf(text)
    .filter((grapheme) => !hasEmoji(grapheme))
    .join('')
    .replace(/\s+/g, ' ')
    .trim();

/**
 * Writing systems of chat, by what their letters are. Japanese is told from Chinese by its kana.
 */
const SCRIPTS = [
  ['japanese', /[\p{Script=Hiragana}\p{Script=Katakana}]/u],
  ['chinese', /\p{Script=Han}/u],
  ['korean', /\p{Script=Hangul}/u],
  ['arabic', /\p{Script=Arabic}/u],
  ['cyrillic', /\p{Script=Cyrillic}/u],
  ['latin', /\p{Script=Latin}/u],
] as const;

export type Script = (typeof SCRIPTS)[number][0] | 'none';
export const SCRIPT_NAMES: readonly Script[] = [...SCRIPTS.map(([name]) => name), 'none'];

/** `none` for a text without letters (`5`, `🔥🔥`), and for letters of other systems. */
export const scriptOf = (text: string): Script => SCRIPTS.find(([, letters]) => letters.test(text))?.[0] ?? 'none';
