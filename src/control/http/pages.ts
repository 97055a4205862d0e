/**
 * The list of public shows at /, the viewer page at /watch/ and /watch/:show, their bundles at
 * /sdk/web, and the modules of the SDK. All addresses in pages and redirects are relative, so that
 * a proxy may add a path prefix.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import { isId } from '../../domain/mistakes.ts';
import { LIMITS } from '../../limits.ts';
import type { App } from './routing.ts';

/** The folders of modules contain declarations too, which are not served. */
const SERVED = /\.(?:html|css|js|map|svg|png|ico|webmanifest|woff2)$/;
/** Folders of compiled modules that a page may import. */
const SDK_FOLDERS = ['client', 'protocol'] as const;

const COMPILED = import.meta.url.endsWith('.js');

export interface WebFolders {
  /** Bundled pages. */
  readonly pages: string;
  /** Compiled modules. */
  readonly scripts: string;
}

/** Returns the folders of the pages, which a build makes, also when the engine runs from src. */
export function webFolders(): WebFolders | null {
  const scripts = fileURLToPath(new URL(COMPILED ? '../..' : '../../../dist/src', import.meta.url));
  const pages = join(scripts, 'web/public');
  return existsSync(pages) ? { pages, scripts } : null;
}

/** The page of a show that is missing says so, with the status 404. */
export async function registerPages(
  app: App,
  web: WebFolders,
  isMissing: (show: string) => Promise<boolean>,
): Promise<void> {
  const shared = {
    index: false,
    allowedPath: (path: string) => SERVED.test(path),
    cacheControl: true,
    maxAge: 0,
  } as const;
  await app.register(fastifyStatic, {
    ...shared,
    root: web.pages,
    prefix: '/sdk/web/',
    decorateReply: true,
  });
  for (const folder of SDK_FOLDERS)
    await app.register(fastifyStatic, {
      ...shared,
      root: join(web.scripts, folder),
      prefix: `/sdk/${folder}/`,
      decorateReply: false,
    });
  app.get<{ Querystring: { show?: string } }>('/', { config: { open: true } }, ({ url, query }, reply) =>
    query.show === undefined ? reply.sendFile('shop.html') : reply.redirect(`watch/${url.slice(1)}`),
  );
  app.get('/watch/', { config: { open: true } }, (_request, reply) => reply.sendFile('viewer.html'));
  app.get('/watch', { config: { open: true } }, ({ url }, reply) => reply.redirect(`watch/${queryOf(url)}`));
  app.get<{ Params: { show: string } }>('/watch/:show', { config: { open: true } }, async (request, reply) => {
    const { show } = request.params;
    if (!isId(show) || (await isMissing(show))) reply.code(404);
    return reply.sendFile('viewer.html');
  });
  // The page names its files relative to its own address, which has one part for the show.
  app.get<{ Params: Record<'show' | '*', string> }>('/watch/:show/*', { config: { open: true } }, (request, reply) => {
    const { show, '*': rest } = request.params;
    const up = '../'.repeat(rest.split('/').length);
    const id = rest === '' ? show : `${show}/${rest}`;
    return reply.redirect(`${up}${encodeURIComponent(id)}${queryOf(request.url)}`);
  });
}

const queryOf = (url: string): string => (url.includes('?') ? url.slice(url.indexOf('?')) : '');

/** The router refuses some addresses before any route. Those of the page are of a missing show. */
export function routableUrl(url: string): string {
  const id = /^\/watch\/([^/?#]+)/.exec(url)?.[1];
  if (id === undefined || (id.length <= LIMITS.keyCharsMax && isDecodable(id))) return url;
  return `/watch/${NO_SHOW}${queryOf(url)}`;
}

/** Not an id of any show. */
const NO_SHOW = '-';

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
