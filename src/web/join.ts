/** The join dialog: which show, which name, and a token for it. */
import { byId, setHidden, setText } from './dom.ts';

export interface Ticket {
  readonly gatewayUrl: string;
  readonly show: string;
  /** null = a guest, who only watches. */
  readonly token: string | null;
}

interface Watch {
  readonly gatewayUrl: string;
  readonly show: { readonly title: string };
  readonly guests: boolean;
  /** Can this page mint a buyer token for any name? Only in demos. */
  readonly demoTokens: boolean;
}

const TOKEN_KEY = 'stampede.token.';

/** The root of the control API. Relative to this module, because a proxy may add a path prefix. */
const ROOT = new URL('../../', import.meta.url);

/** Returns the show in the URL: `watch/<show>` or `?show=<show>`. */
function showFromUrl(): string | null {
  const path = /^watch\/([^/]+)\/?$/.exec(location.pathname.slice(ROOT.pathname.length))?.[1];
  return path === undefined ? new URLSearchParams(location.search).get('show') : decodeURIComponent(path);
}

/** Uses the token in the URL, else the one of this tab (unless `again`), else asks for a name. */
export async function getTicket(options: { again: boolean }): Promise<Ticket> {
  let show = showFromUrl();
  if (show === null) {
    show = await askForShow();
    history.replaceState(null, '', new URL(`watch/${encodeURIComponent(show)}`, ROOT));
  }
  const watch = await callApi<Watch>('GET', `v1/shows/${encodeURIComponent(show)}/watch`);
  if (options.again) sessionStorage.removeItem(TOKEN_KEY + show);
  const token = options.again ? null : (takeTokenFromUrl(show) ?? sessionStorage.getItem(TOKEN_KEY + show));
  if (token !== null) return { gatewayUrl: watch.gatewayUrl, show, token };
  const created = await askForName(show, watch);
  if (created !== null) sessionStorage.setItem(TOKEN_KEY + show, created);
  return { gatewayUrl: watch.gatewayUrl, show, token: created };
}

/** Moves a token from the URL into the tab's storage, so that it is not copied or bookmarked. */
function takeTokenFromUrl(show: string): string | null {
  const url = new URL(location.href);
  const token = url.searchParams.get('token');
  if (token === null) return null;
  sessionStorage.setItem(TOKEN_KEY + show, token);
  url.searchParams.delete('token');
  history.replaceState(null, '', url);
  return token;
}

async function callApi<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(new URL(path, ROOT), {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const json = (await response.json().catch(() => ({}))) as T & { detail?: string; title?: string };
  if (!response.ok) throw new Error(json.detail ?? json.title ?? `The server responded with ${response.status}.`);
  return json;
}

function openDialog(): HTMLDialogElement {
  const dialog = byId<HTMLDialogElement>('join');
  setText(byId('join-error'), '');
  setHidden(byId('join-go'), false);
  if (!dialog.open) dialog.showModal();
  // Escape would leave an empty page.
  dialog.addEventListener('cancel', (event) => event.preventDefault());
  return dialog;
}

function askForShow(): Promise<string> {
  const dialog = openDialog();
  setHidden(byId('join-show-field'), false);
  setHidden(byId('join-name-field'), true);
  byId('join-show-id').focus();
  return new Promise((resolve) => {
    byId<HTMLFormElement>('join-form').onsubmit = (event) => {
      event.preventDefault();
      const show = byId<HTMLInputElement>('join-show-id').value.trim();
      if (show === '') return setText(byId('join-error'), 'Enter the id of a show. It is in your link.');
      dialog.close();
      resolve(show);
    };
  });
}

/** Returns a token for the entered name, or null to watch as a guest. */
function askForName(show: string, watch: Watch): Promise<string | null> {
  const dialog = openDialog();
  setHidden(byId('join-show-field'), true);
  setHidden(byId('join-name-field'), !watch.demoTokens);
  setHidden(byId('join-go'), !watch.demoTokens);
  setText(byId('join-show'), watch.show.title);
  setHidden(byId('join-guest'), !watch.guests);
  if (!watch.demoTokens)
    setText(byId('join-error'), `To ${watch.guests ? 'chat and buy' : 'join'}, open the link you were given.`);
  const input = byId<HTMLInputElement>('join-name');
  (watch.demoTokens ? input : byId('join-guest')).focus();
  return new Promise((resolve) => {
    const finish = (token: string | null): void => {
      dialog.close();
      resolve(token);
    };
    byId('join-guest').onclick = () => finish(null);
    byId<HTMLFormElement>('join-form').onsubmit = (event) => {
      event.preventDefault();
      const name = input.value.trim();
      if (name === '') return setText(byId('join-error'), 'Please enter a name.');
      callApi<{ token: string }>('POST', `v1/shows/${encodeURIComponent(show)}/demo-tokens`, { name }).then(
        ({ token }) => finish(token),
        (error: unknown) => setText(byId('join-error'), error instanceof Error ? error.message : String(error)),
      );
    };
  });
}
