/** How the page comes to a show: its address, a token or a name, then a connection. */
import { signal } from '@preact/signals';
import { connect } from '../../client/index.ts';
import type { ShowState } from '../../protocol/messages.ts';
import { ApiError, callApi, showFromAddress, tabStorage, takeTokenFromAddress, watchUrl } from '../shared/api.ts';
import { t } from '../shared/i18n.ts';
import { createShowStore } from '../shared/store.ts';
import { canRenew, hasTokenUrl, nextToken } from './token.ts';
import { createViewerModel, type ViewerModel } from './viewer-model.ts';

interface Watch {
  readonly gatewayUrl: string;
  readonly show: { readonly title: string; readonly state: ShowState };
  readonly guests: boolean;
  /** Can this page mint a buyer token for any name? Only in demos. */
  readonly demoTokens: boolean;
}

export type Phase =
  | { readonly at: 'loading' }
  | { readonly at: 'askShow' }
  /** Nothing can be seen without a name. */
  | { readonly at: 'askName' }
  /** `code`: a close code of SPEC.md; 0: the show could not be loaded. */
  | { readonly at: 'failed'; readonly code: number; readonly text: string | null }
  | { readonly at: 'running'; readonly viewer: ViewerModel };

const TOKEN_EXPIRED = 4201;
const NO_TOKEN = 4202;
const SHOW_NOT_FOUND = 4203;

export const phase = signal<Phase>({ at: 'loading' });
export const watch = signal<Watch | null>(null);

let show = '';
let running: ViewerModel | null = null;

/** Joins the show of the address. `again`: without the token of this tab. */
export async function open({ again = false } = {}): Promise<void> {
  stop();
  phase.value = { at: 'loading' };
  const named = showFromAddress();
  if (named === null) {
    phase.value = { at: 'askShow' };
    return;
  }
  show = named;
  try {
    watch.value = await callApi<Watch>('GET', `v1/shows/${encodeURIComponent(show)}/watch`);
  } catch (error) {
    const isUnknown = error instanceof ApiError && [400, 404, 410].includes(error.status);
    phase.value = isUnknown
      ? { at: 'failed', code: SHOW_NOT_FOUND, text: null }
      : { at: 'failed', code: 0, text: error instanceof ApiError ? error.message : null };
    return;
  }
  if (again) tabStorage.set(`token.${show}`, null);
  const token = await tokenOfVisit(again);
  if (token !== null) start(token);
  else if (watch.value.guests) start(null, watch.value.demoTokens && watch.value.show.state !== 'ended');
  else if (watch.value.demoTokens) phase.value = { at: 'askName' };
  else phase.value = { at: 'failed', code: NO_TOKEN, text: t('join.closed') };
}

/** With `tokenUrl` the shop decides at each visit: another person may have logged in. */
async function tokenOfVisit(again: boolean): Promise<string | null> {
  const given = again ? null : takeTokenFromAddress(show);
  if (given !== null) return given;
  const known = tabStorage.get(`token.${show}`);
  return again || hasTokenUrl ? nextToken().catch(() => known) : known;
}

export function openShow(id: string): void {
  history.replaceState(null, '', watchUrl(id));
  void open();
}

/** Continues as a buyer with this name. Returns what went wrong, or null. */
export async function joinAs(name: string): Promise<string | null> {
  try {
    const path = `v1/shows/${encodeURIComponent(show)}/demo-tokens`;
    const { token } = await callApi<{ token: string }>('POST', path, { name });
    tabStorage.set(`token.${show}`, token);
    start(token);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function start(token: string | null, asksName = false): void {
  stop();
  const url = watch.value?.gatewayUrl ?? '';
  const identity = token === null ? {} : { token: canRenew ? renewedFrom(token) : token };
  running = createViewerModel(createShowStore(connect({ url, show, ...identity })));
  if (asksName) running.sheet.value = 'join';
  phase.value = { at: 'running', viewer: running };
}

/** Returns the known token, and after it those of the shop. Without one the visit ends. */
function renewedFrom(first: string): () => Promise<string> {
  let known: string | null = first;
  return async () => {
    const token = known ?? (await nextToken());
    known = null;
    if (token !== null) {
      tabStorage.set(`token.${show}`, token);
      return token;
    }
    // A live connection goes on until its token expires; then this is called again.
    if (running?.store.client.status.at !== 'open') {
      stop();
      phase.value = { at: 'failed', code: TOKEN_EXPIRED, text: null };
    }
    throw new Error('The shop has no next token.');
  };
}

function stop(): void {
  running?.store.close();
  running = null;
}
