/**
 * HTML by tagged template. Whatever is put in is text and gets escaped, unless it is markup made
 * here.
 */

/** Longer texts are cut: a page stays readable whatever a run wrote into its notes. */
export const TEXT_CHARACTERS_MAX = 2_000;

export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Content = Markup | string | number | null | readonly Content[];

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/**
 * Safe as text and inside quoted attributes. Control characters, which HTML forbids, and those that
 * turn the reading direction become spaces.
 */
function escaped(text: string): string {
  const kept = text.length > TEXT_CHARACTERS_MAX ? `${text.slice(0, TEXT_CHARACTERS_MAX)}…` : text;
  return kept
    .replace(/[^\P{Cc}\n]|[\u202a-\u202e\u2066-\u2069]/gu, ' ')
    .replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '');
}

function write(content: Content): string {
  if (content === null) return '';
  if (content instanceof Markup) return content.text;
  if (Array.isArray(content)) return content.map(write).join('');
  return escaped(String(content));
}

export const html = (parts: TemplateStringsArray, ...contents: readonly Content[]): Markup =>
  new Markup(parts.map((part, at) => part + (at < contents.length ? write(contents[at] ?? null) : '')).join(''));

export const nothing = new Markup('');
