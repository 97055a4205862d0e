/**
 * Where the page gets the next token of its viewer: from `tokenUrl` of its address, or from the
 * page that shows it in a frame. README.md of src/web describes both for shops.
 */

/** Of the question to the parent page, and of its reply. */
const MESSAGE = 'stampede:token';
const PARENT_REPLIES_MS = 3_000;
const SHOP_REPLIES_MS = 10_000;
/** A token has three parts in base64url. Words such as `Unauthorized` are none. */
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/;

const tokenUrl = new URLSearchParams(location.search).get('tokenUrl');
/** Is the page in a frame of the page of a shop? */
export const isFramed = window.parent !== window;

/** Can a viewer without a token have one? Only `tokenUrl` says so; a frame may be for guests. */
export const hasTokenUrl = tokenUrl !== null;
export const canRenew = hasTokenUrl || isFramed;

/** Where a viewer signs in; null if the page does not know. */
export const shopOrigin = tokenUrl === null ? null : originOf(tokenUrl);

/** Returns the origin of a web address, which may be relative to that of the page. */
function originOf(url: string): string | null {
  if (!URL.canParse(url, location.href)) return null;
  const { protocol, origin } = new URL(url, location.href);
  return /^https?:$/.test(protocol) ? origin : null;
}

export const isToken = (text: string): boolean => TOKEN.test(text);

/** Returns the next token, or null if the shop has none. Rejects if a later try may succeed. */
export async function nextToken(): Promise<string | null> {
  if (tokenUrl !== null) return fetchToken(tokenUrl);
  return isFramed ? askParent() : null;
}

async function fetchToken(url: string): Promise<string | null> {
  const response = await fetch(url, {
    ...{ credentials: 'include', cache: 'no-store' },
    signal: AbortSignal.timeout(SHOP_REPLIES_MS),
  });
  if (response.status === 429 || response.status >= 500)
    throw new Error(`The server of the tokens responded with ${response.status}.`);
  return response.ok ? tokenIn(await response.text()) : null;
}

/** Throws for other text, such as the page of a proxy or a login: a later try may bring a token. */
function tokenIn(text: string): string | null {
  const token = text.trim();
  if (token !== '' && !isToken(token)) throw new Error('The shop sent text that is no token.');
  return token || null;
}

async function askParent(): Promise<string | null> {
  const reply = await replyOfParent();
  if (typeof reply !== 'string') throw new Error('The page around this one could not fetch a token.');
  return tokenIn(reply);
}

/** Returns '' for a page that does not reply. */
function replyOfParent(): Promise<unknown> {
  return new Promise((resolve) => {
    const ending = new AbortController();
    const end = (token: unknown): void => {
      clearTimeout(timer);
      ending.abort();
      resolve(token);
    };
    const timer = setTimeout(end, PARENT_REPLIES_MS, '');
    const onMessage = ({ source, data }: MessageEvent): void => {
      if (source === window.parent && data?.type === MESSAGE) end(data.token);
    };
    addEventListener('message', onMessage, ending);
    // It has no secret, and only pages that FRAME_ANCESTORS allows can be the parent.
    window.parent.postMessage({ type: MESSAGE }, '*');
  });
}
