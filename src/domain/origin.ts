/** Web origins: whose pages may connect, call the API, or show our pages in a frame. */

/** Scheme, `*.` for any subdomain, host, port. Apps have schemes such as `capacitor:`. */
const ORIGIN = /^([a-z][a-z0-9+.-]*):\/\/(\*\.)?([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(:\d{1,5})?$/;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { http: ':80', https: ':443' };

/**
 * Returns an origin as browsers send it, or null for anything else, such as a URL with a path.
 * `https://*.shop.example` is every subdomain, of any depth, and not the domain itself.
 */
export function readOrigin(text: string): string | null {
  const parts = ORIGIN.exec(text.trim().toLowerCase().replace(/\/$/, ''));
  if (parts === null) return null;
  const [, scheme = '', anySubdomain = '', host = '', port = ''] = parts;
  // A wildcard for a whole top-level domain, or for addresses, is a mistake.
  if (anySubdomain !== '' && !host.includes('.')) return null;
  return `${scheme}://${anySubdomain}${host}${port === DEFAULT_PORTS[scheme] ? '' : port}`;
}

/** Returns a test for origins as browsers send them. null = any origin. */
export function originTest(allowed: readonly string[] | null): (origin: string) => boolean {
  if (allowed === null || allowed.includes('*')) return () => true;
  const exact = new Set(allowed.filter((origin) => !origin.includes('://*.')));
  const suffixes = allowed
    .filter((origin) => origin.includes('://*.'))
    .map((origin) => origin.split('*') as [scheme: string, suffix: string]);
  return (origin) =>
    exact.has(origin) ||
    suffixes.some(
      ([scheme, suffix]) =>
        origin.startsWith(scheme) &&
        origin.endsWith(suffix) &&
        /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(origin.slice(scheme.length, -suffix.length)),
    );
}
