/** HTML from template literals: every inserted value is escaped, except markup made here. */

/** Longer texts are cut, so that the page stays readable for any result. */
export const TEXT_CHARACTERS_MAX = 2_000;

export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Content = Markup | string | number | null | readonly Content[];

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Escapes text and quoted attributes. Control and bidirectional characters become spaces. */
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

/** Renders the first `max` entries; `more` describes how many are left out. */
export const firstOf = <T>(
  entries: readonly T[],
  max: number,
  render: (entry: T, index: number) => Markup,
  more: (left: number) => Markup,
): Content => [entries.slice(0, max).map(render), entries.length > max ? more(entries.length - max) : null];

export const section = (id: string, title: string, content: Content, className = ''): Markup =>
  html`<section id="${id}" class="${className}" aria-labelledby="${id}-title">
<h2 id="${id}-title">${title}</h2>${content}</section>`;

type Row = readonly Content[];

/** A table that scrolls sideways. The first cell of each row is its header. */
export function table(head: Row, rows: readonly Row[], { className = '', caption = '' } = {}): Markup {
  const body = rows.map(([name = '', ...cells]) => {
    return html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`;
  });
  return html`<div class="scroll"><table class="${className}">
${caption === '' ? null : html`<caption>${caption}</caption>`}
<thead><tr>${head.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead><tbody>${body}</tbody>
</table></div>`;
}
