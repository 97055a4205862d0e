/** The way in: which show, who you are, and a token for it. */
import { byId, setHidden, setText } from './dom.ts';

export interface Ticket {
  readonly gatewayUrl: string;
  readonly show: string;
  /** null = a guest who only watches. */
  readonly token: string | null;
}

interface WatchAnswer {
  readonly gatewayUrl: string;
  readonly title: string;
  readonly guests: boolean;
  /** Does this engine give a token to anybody who names himself? Only in demos. */
  readonly demoTokens: boolean;
}

const TOKEN_KEY = 'stampede.token.';

/** The show named by the address: `/watch/<show>` or `?show=<show>`. */
export function showFromAddress(): string | null {
  const path = /^\/watch\/([^/]+)\/?$/.exec(location.pathname)?.[1];
  return path === undefined ? new URLSearchParams(location.search).get('show') : decodeURIComponent(path);
}

/**
 * Asks until there is a ticket. A token in the address wins, then the one this tab already has;
 * `again` forgets that.
 */
export async function getTicket(options: { again: boolean }): Promise<Ticket> {
  let show = showFromAddress();
  if (show === null) {
    show = await askForShow();
    history.replaceState(null, '', `/watch/${encodeURIComponent(show)}`);
  }
  const watch = await loadWatch(show);
  if (options.again) sessionStorage.removeItem(TOKEN_KEY + show);
  const token = options.again ? null : (takeTokenFromAddress(show) ?? sessionStorage.getItem(TOKEN_KEY + show));
  if (token !== null) return { gatewayUrl: watch.gatewayUrl, show, token };
  const asked = await askForName(show, watch);
  if (asked !== null) sessionStorage.setItem(TOKEN_KEY + show, asked);
  return { gatewayUrl: watch.gatewayUrl, show, token: asked };
}

/**
 * A token in the address would be shown, copied and bookmarked: it moves into the tab's own
 * storage.
 */
function takeTokenFromAddress(show: string): string | null {
  const address = new URL(location.href);
  const token = address.searchParams.get('token');
  if (token === null) return null;
  sessionStorage.setItem(TOKEN_KEY + show, token);
  address.searchParams.delete('token');
  history.replaceState(null, '', address);
  return token;
}

async function loadWatch(show: string): Promise<WatchAnswer> {
  const answer = await callApi('GET', `/v1/shows/${encodeURIComponent(show)}/watch`);
  const view = answer.show;
  const title =
    typeof view === 'object' && view !== null && typeof (view as { title?: unknown }).title === 'string'
      ? (view as { title: string }).title
      : show;
  return {
    gatewayUrl: String(answer.gatewayUrl),
    title,
    guests: answer.guests === true,
    demoTokens: answer.demoTokens === true,
  };
}

async function callApi(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(path, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  if (!response.ok) throw new Error(String(answer.detail ?? answer.title ?? `The server answered ${response.status}.`));
  return answer;
}

function openDialog(): HTMLDialogElement {
  const dialog = byId<HTMLDialogElement>('join');
  setText(byId('join-error'), '');
  setHidden(byId('join-go'), false);
  if (!dialog.open) dialog.showModal();
  // Escape would leave a page that shows nothing.
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
      if (show === '') return setText(byId('join-error'), 'Which show? Its id is in the link you were given.');
      dialog.close();
      resolve(show);
    };
  });
}

/** A token for the name, or null to watch as a guest. */
function askForName(show: string, watch: WatchAnswer): Promise<string | null> {
  const dialog = openDialog();
  setHidden(byId('join-show-field'), true);
  setHidden(byId('join-name-field'), !watch.demoTokens);
  setHidden(byId('join-go'), !watch.demoTokens);
  setText(byId('join-show'), watch.title);
  setHidden(byId('join-guest'), !watch.guests);
  if (!watch.demoTokens)
    setText(
      byId('join-error'),
      watch.guests ? 'To chat and buy, open the link you were given.' : 'To come in, open the link you were given.',
    );
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
      callApi('POST', `/v1/shows/${encodeURIComponent(show)}/demo-tokens`, { name }).then(
        (answer) => finish(String(answer.token)),
        (error: unknown) => setText(byId('join-error'), error instanceof Error ? error.message : String(error)),
      );
    };
  });
}
