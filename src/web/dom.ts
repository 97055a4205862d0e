/** The little of the DOM this page needs. Text goes in as text, never as HTML. */

/** The element with this id; a missing one is a mistake in index.html. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no #${id}`);
  return found as T;
}

export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = '',
  text = '',
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag);
  if (className !== '') made.className = className;
  if (text !== '') made.textContent = text;
  return made;
}

/**
 * Writes only what differs: an unchanged text must not make a screen reader speak or a selection
 * jump.
 */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function setHidden(node: HTMLElement, hidden: boolean): void {
  if (node.hidden !== hidden) node.hidden = hidden;
}

/** A calm colour of its own for each product that has no picture, and its initials. */
export function paintArt(node: HTMLElement, id: string, title: string, imageUrl: string | undefined): void {
  if (node.dataset.painted === id + title) return;
  node.dataset.painted = id + title;
  let hue = 0;
  for (const char of id) hue = (hue * 31 + (char.codePointAt(0) ?? 0)) % 360;
  node.style.setProperty('--hue', String(hue));
  const initials = title
    .split(/\s+/)
    .slice(0, 2)
    .map((word) => [...word][0] ?? '')
    .join('')
    .toUpperCase();
  node.replaceChildren(element('span', '', initials));
  if (imageUrl === undefined) return;
  const image = element('img');
  image.alt = '';
  image.loading = 'lazy';
  image.addEventListener('error', () => image.remove());
  image.src = imageUrl;
  node.append(image);
}
