/**
 * Where the page gets the next token of its viewer: from `tokenUrl` of its address, or from the
 * page that shows it in a frame. README.md of src/web describes both for shops.
 */

/** Of the question to the parent page, and of its reply. */
const MESSAGE = 'stampede:token';
const PARENT_REPLIES_MS = 3_000;

const tokenUrl = new URLSearchParams(location.search).get('tokenUrl');
const isFramed = window.parent !== window;

/** Can a viewer without a token have one? Only `tokenUrl` says so; a frame may be for guests. */
export const hasTokenUrl = tokenUrl !== null;
export const canRenew = hasTokenUrl || isFramed;

/** Returns the next token, or null if the shop has none. Rejects if a later try may succeed. */
export async function nextToken(): Promise<string | null> {
  if (tokenUrl !== null) return fetchToken(tokenUrl);
  return isFramed ? askParent() : null;
}

async function fetchToken(url: string): Promise<string | null> {
  const response = await fetch(url, { credentials: 'include', cache: 'no-store' });
  if (response.status === 429 || response.status >= 500)
    throw new Error(`The server of the tokens responded with ${response.status}.`);
  return response.ok ? (await response.text()).trim() || null : null;
}

function askParent(): Promise<string | null> {
  return new Promise((resolve) => {
    const ending = new AbortController();
    const end = (token: string | null): void => {
      clearTimeout(timer);
      ending.abort();
      resolve(token);
    };
    const timer = setTimeout(end, PARENT_REPLIES_MS, null);
    const onMessage = ({ source, data }: MessageEvent): void => {
      if (source !== window.parent || data?.type !== MESSAGE) return;
      end(typeof data.token === 'string' && data.token !== '' ? data.token : null);
    };
    addEventListener('message', onMessage, ending);
    // It has no secret, and only pages that FRAME_ANCESTORS allows can be the parent.
    window.parent.postMessage({ type: MESSAGE }, '*');
  });
}
