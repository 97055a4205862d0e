/** Requests of the pages to the control API, and the show that the address names. */

/** The root of the control API. Relative to this module, because a proxy may add a path prefix. */
export const ROOT = new URL('../../', import.meta.url);

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, problem: { code?: string; detail?: string; title?: string }) {
    super(problem.detail ?? problem.title ?? `The server responded with ${status}.`);
    this.status = status;
    this.code = problem.code ?? '';
  }
}

export async function callApi<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await fetch(new URL(path, ROOT), {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const json: unknown = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, json as { code?: string });
  return json as T;
}

export const watchUrl = (show: string): URL => new URL(`watch/${encodeURIComponent(show)}`, ROOT);

/** Returns the show in the address: `watch/<show>` or `?show=<show>`. */
export function showFromAddress(): string | null {
  const path = /^watch\/([^/]+)\/?$/.exec(location.pathname.slice(ROOT.pathname.length))?.[1];
  return (path === undefined ? new URLSearchParams(location.search).get('show') : decoded(path)) || null;
}

/** An address that cannot be decoded is of no show. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/**
 * Moves a token from the address to the tab's storage, so that it is not copied or bookmarked. It
 * stays in the address if the storage does not keep it, because a reload needs it.
 */
export function takeTokenFromAddress(show: string): string | null {
  const url = new URL(location.href);
  const token = url.searchParams.get('token')?.trim();
  if (token === undefined) return null;
  if (!tabStorage.set(`token.${show}`, token)) return token;
  url.searchParams.delete('token');
  history.replaceState(null, '', url);
  return token;
}

/** The storage of this tab. It may be denied or full; then values live as long as the page. */
export const tabStorage = {
  memory: new Map<string, string | null>(),
  get(key: string): string | null {
    return this.memory.get(key) ?? (this.memory.has(key) ? null : stored(key));
  },
  /** Returns whether the value is still there after a reload. */
  set(key: string, value: string | null): boolean {
    this.memory.set(key, value);
    try {
      if (value === null) sessionStorage.removeItem(`stampede.${key}`);
      else sessionStorage.setItem(`stampede.${key}`, value);
    } catch {
      // `stored` returns another value then.
    }
    return stored(key) === value;
  },
};

function stored(key: string): string | null {
  try {
    return sessionStorage.getItem(`stampede.${key}`);
  } catch {
    return null;
  }
}
