import type { ComponentChild } from 'preact';
import { render } from 'preact';
import { chooseLocale, labelDocument, loadLocale } from './i18n.ts';

/** Shows a page in the language of the viewer; `?lang=` and `?theme=` override the browser. */
export async function startPage(app: (query: URLSearchParams) => ComponentChild): Promise<void> {
  const query = new URLSearchParams(location.search);
  const wanted = query.get('lang');
  const theme = query.get('theme');
  const root = document.documentElement;
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  // Without its file the page is in English.
  await loadLocale(chooseLocale([...(wanted === null ? [] : [wanted]), ...navigator.languages])).catch(() => {});
  labelDocument(root);
  const place = document.getElementById('app');
  if (place !== null) render(app(query), place);
}
