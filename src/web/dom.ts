/** DOM helpers. Text is inserted as text, never as HTML. */

/** Returns the element with this id. Throws if index.html has none. */
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
  const node = document.createElement(tag);
  if (className !== '') node.className = className;
  if (text !== '') node.textContent = text;
  return node;
}

/** Writes changed text only, so that screen readers stay silent and selections stay. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node: HTMLElement, name: string, value: string): void {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

export function setHidden(node: HTMLElement, hidden: boolean): void {
  if (node.hidden !== hidden) node.hidden = hidden;
}

/** Shows the image of a product over a color derived from its id and its initials. */
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
