/**
 * The viewer page at /watch/ and /watch/:show, and the compiled modules it imports under /sdk. All
 * addresses in pages and redirects are relative, so that a proxy may add a path prefix.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { App } from './routing.ts';

/** The same folders contain sources and declarations, which are not served. */
const SERVED = /\.(?:html|css|js|map|svg|png|ico|webmanifest)$/;
/** Folders of compiled modules that a page may import. */
const SDK_FOLDERS = ['client', 'protocol'] as const;

const COMPILED = import.meta.url.endsWith('.js');

/** Returns the folders of the pages. Scripts are compiled: from src, they come from dist. */
export function webFolders(): { pages: string; scripts: string } | null {
  const pages = fileURLToPath(new URL('../../web', import.meta.url));
  const scripts = fileURLToPath(new URL(COMPILED ? '../..' : '../../../dist/src', import.meta.url));
  return existsSync(pages) && existsSync(scripts) ? { pages, scripts } : null;
}

export async function registerPages(
  app: App,
  web: { readonly pages: string; readonly scripts: string },
): Promise<void> {
  const shared = {
    index: false,
    allowedPath: (path: string) => SERVED.test(path),
    cacheControl: true,
    maxAge: 0,
  } as const;
  await app.register(fastifyStatic, {
    ...shared,
    root: [...new Set([join(web.scripts, 'web'), join(web.pages)])],
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
  app.get('/', { config: { open: true } }, ({ url }, reply) => reply.redirect(`watch/${url.slice(1)}`));
  for (const url of ['/watch/', '/watch/:show'])
    app.get(url, { config: { open: true } }, (_request, reply) => reply.sendFile('index.html', web.pages));
}
