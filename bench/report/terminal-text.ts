/** Text for a terminal, which may contain untrusted control sequences. Widths are columns. */
import { stripVTControlCharacters } from 'node:util';
import pc from 'picocolors';
import stringWidth from 'string-width';

export type Palette = ReturnType<typeof pc.createColors>;

/** Respects https://no-color.org. */
export const palette = (wanted: boolean, env: NodeJS.ProcessEnv = process.env): Palette =>
  pc.createColors(wanted && !env['NO_COLOR']);

/** Returns one line of printable text. */
export const clean = (text: string): string =>
  stripVTControlCharacters(text).replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, ' ');

export const widthOf = (text: string): number => stringWidth(text);

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** Cuts plain text to `columns` with an ellipsis, never within a grapheme. */
export function cut(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let kept = '';
  let used = 1;
  for (const { segment } of graphemes.segment(text)) {
    used += widthOf(segment);
    if (used > columns) break;
    kept += segment;
  }
  return columns < 1 ? '' : `${kept}…`;
}

export const padEnd = (text: string, columns: number): string =>
  text + ' '.repeat(Math.max(0, columns - widthOf(text)));
export const padStart = (text: string, columns: number): string =>
  ' '.repeat(Math.max(0, columns - widthOf(text))) + text;

export type Span = { readonly text: string; readonly paint?: (text: string) => string };

/** Joins painted pieces to one line of at most `columns`. */
export function fit(spans: readonly Span[], columns: number): string {
  let left = columns;
  let line = '';
  for (const { text, paint } of spans) {
    if (left <= 0) break;
    const shown = cut(text, left);
    left -= widthOf(shown);
    line += paint ? paint(shown) : shown;
    if (shown !== text) break;
  }
  return line;
}

/** Breaks plain text at spaces. `lead` starts the first line, the others are indented by it. */
export function wrap(text: string, columns: number, lead = ''): string[] {
  const room = columns - widthOf(lead);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ').filter((entry) => entry !== '')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > room) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].map((entry, nth) => (nth === 0 ? lead : ' '.repeat(widthOf(lead))) + entry);
}
