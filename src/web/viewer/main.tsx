/** The viewer page: joins a show with the SDK and shows it. */
import { render } from 'preact';
import { chooseLocale, labelDocument, useLocale } from '../shared/i18n.ts';
import { App } from './app.tsx';
import { open } from './session.ts';

const query = new URLSearchParams(location.search);
const wanted = query.get('lang');
const theme = query.get('theme');
if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;

await useLocale(chooseLocale([...(wanted === null ? [] : [wanted]), ...navigator.languages])).catch(() => {});
labelDocument(document.documentElement);
const root = document.getElementById('app');
if (root !== null) {
  root.replaceChildren();
  render(<App isEmbedded={query.get('embed') === '1'} />, root);
}
void open();
