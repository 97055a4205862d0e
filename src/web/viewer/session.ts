/** How the page comes to a show: its address, a token or a name, then a connection. */
import { computed, signal } from '@preact/signals';
import { Backoff } from '../../client/backoff.ts';
import { connect } from '../../client/index.ts';
import type { ShowState } from '../../protocol/messages.ts';
import { ApiError, callApi, showFromAddress, tabStorage, takeTokenFromAddress, watchUrl } from '../shared/api.ts';
import { t } from '../shared/i18n.ts';
import { createShowStore } from '../shared/store.ts';
import { loadKeptHolds } from './kept-holds.ts';
import { canRenew, hasTokenUrl, isFramed, isToken, nextToken } from './token.ts';
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
/** A shop that has not sent the token by then is asked in the background. */
const TOKEN_PATIENCE_MS = 4_000;
/** A parent page may not know the message: then its viewers are guests, and should not wait. */
const PARENT_PATIENCE_MS = 600;
const TOKEN_RETRY_MIN_MS = 1_000;

export const phase = signal<Phase>({ at: 'loading' });
export const watch = signal<Watch | null>(null);
/** Did the shop not send the first token yet? It is asked again and again. */
export const isTokenLate = signal(false);

/**
 * How a guest becomes a buyer on this page: with a name, by a login at the shop, or on the page
 * around it. null: only with another link.
 */
export const wayIn = computed<'name' | 'shop' | 'parent' | null>(() => {
  if (watch.value?.demoTokens) return 'name';
  if (hasTokenUrl) return 'shop';
  return isFramed ? 'parent' : null;
});

let show = '';
/** Identifies the visit: what an earlier one waits for does not count. */
let visit = 0;
let running: ViewerModel | null = null;

/** Joins the show of the address. `again`: without the token of this tab. */
export async function open({ again = false } = {}): Promise<void> {
  stop();
  const current = newVisit();
  phase.value = { at: 'loading' };
  const named = showFromAddress();
  if (named === null) {
    phase.value = { at: 'askShow' };
    return;
  }
  show = named;
  loadKeptHolds(show);
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
  const token = await tokenOfVisit(again, current);
  if (current === visit) begin(token);
}

function newVisit(): number {
  isTokenLate.value = false;
  visit += 1;
  return visit;
}

function begin(token: string | null): void {
  const { guests = false, demoTokens = false, show: summary } = watch.value ?? {};
  if (token !== null && isToken(token)) start(token);
  else if (token !== null) phase.value = { at: 'failed', code: NO_TOKEN, text: null };
  else if (guests) start(null, demoTokens && !isTokenLate.value && summary?.state !== 'ended');
  else if (isTokenLate.value) phase.value = { at: 'loading' };
  else if (demoTokens) phase.value = { at: 'askName' };
  else phase.value = { at: 'failed', code: NO_TOKEN, text: t('join.closed') };
}

/** With `tokenUrl` the shop decides at each visit: another person may have logged in. */
async function tokenOfVisit(again: boolean, current: number): Promise<string | null> {
  const given = again ? null : takeTokenFromAddress(show);
  // In a frame, `token=TOKEN` is a page that waits for the question.
  if (given !== null && (isToken(given) || !isFramed)) return given;
  const known = given === null ? tabStorage.get(`token.${show}`) : null;
  if (!again && !hasTokenUrl && (known !== null || !isFramed)) return known;
  const reply = nextToken();
  const patienceMs = hasTokenUrl || again ? TOKEN_PATIENCE_MS : PARENT_PATIENCE_MS;
  const token = await Promise.race([reply.catch(() => undefined), sleep(patienceMs)]);
  if (token !== undefined) return token;
  if (known === null && current === visit) {
    isTokenLate.value = hasTokenUrl || again || !watch.value?.guests;
    void followShop(reply, current);
  }
  return known;
}

/** Asks until the shop has decided. Meanwhile the viewer is a guest, if the show allows it. */
async function followShop(first: Promise<string | null>, current: number): Promise<void> {
  const backoff = new Backoff(Math.random);
  for (let reply = first; current === visit; reply = nextToken()) {
    const token = await reply.catch(() => undefined);
    if (current !== visit) return;
    if (token !== undefined) {
      isTokenLate.value = false;
      return token === null && running !== null ? undefined : begin(token);
    }
    await sleep(backoff.nextMs(TOKEN_RETRY_MIN_MS));
  }
}

const sleep = (ms: number): Promise<undefined> => new Promise((done) => setTimeout(done, ms, undefined));

export function openShow(id: string): void {
  history.replaceState(null, '', watchUrl(id));
  void open();
}

/** Continues as a buyer with this name. Returns what went wrong, or null. */
export async function joinAs(name: string): Promise<string | null> {
  try {
    const path = `v1/shows/${encodeURIComponent(show)}/demo-tokens`;
    const { token } = await callApi<{ token: string }>('POST', path, { name });
    enter(token);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Asks the shop again: the viewer may have signed in there. Returns what went wrong, or null. */
export async function joinFromShop(): Promise<string | null> {
  const current = visit;
  const token = await nextToken().catch(() => undefined);
  if (current !== visit) return null;
  if (token === undefined) return t('join.failed');
  if (token === null) return t('join.unknown');
  enter(token);
  return null;
}

function enter(token: string): void {
  tabStorage.set(`token.${show}`, token);
  newVisit();
  start(token);
}

function start(token: string | null, asksName = false): void {
  stop();
  const url = watch.value?.gatewayUrl ?? '';
  const identity = token === null ? {} : { token: canRenew ? renewedFrom(token) : token };
  running = createViewerModel(createShowStore(connect({ url, show, ...identity })), show);
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
  running?.close();
  running = null;
}
