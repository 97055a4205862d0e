/** Grapheme clusters (UAX #29): an emoji of several code points is one character. */

const segmenter = new Intl.Segmenter('und', { granularity: 'grapheme' });
export const graphemesOf = (text: string): string[] => Array.from(segmenter.segment(text), ({ segment }) => segment);

/** ASCII has one grapheme per character, except line ends, which messages do not contain. */
export const graphemeCount = (text: string): number => (isAscii(text) ? text.length : graphemesOf(text).length);
export const isAscii = (text: string): boolean => /^[\x20-\x7e]*$/.test(text);

/** Keycaps and `©` are emoji only with a variation selector. */
const EMOJI = /\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f?|\p{Regional_Indicator}{2}/u;
export const hasEmoji = (text: string): boolean => EMOJI.test(text);

export const withoutEmoji = (text: string): string =>
  graphemesOf(text)
    .filter((grapheme) => !hasEmoji(grapheme))
    .join('')
    .replace(/\s+/g, ' ')
    .trim();

/** Writing systems of chat. Kana distinguish Japanese from Chinese. */
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

/** Returns `none` for texts without letters (`5`, `🔥🔥`) and for other writing systems. */
export const scriptOf = (text: string): Script => SCRIPTS.find(([, letters]) => letters.test(text))?.[0] ?? 'none';
