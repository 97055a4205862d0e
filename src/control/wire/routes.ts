/** The AsyncAPI document of the wire at /asyncapi.json, and as a page at /asyncapi. */
import { asyncApi } from '../../protocol/async-api.ts';
import { gatewayUrlFor } from '../access/routes.ts';
import type { ControlOptions } from '../deps.ts';
import { JSON_TYPE } from '../http/docs.ts';
import type { App } from '../http/routing.ts';
import { STYLE, wirePage } from './page.ts';

export function registerWireDocs(app: App, options: ControlOptions): void {
  const open = { config: { open: true } };
  let last = { url: '', text: '' };
  app.get('/asyncapi.json', open, async (request, reply) => {
    const url = gatewayUrlFor(request, options);
    if (url !== last.url) last = { url, text: JSON.stringify(asyncApi(options.version, new URL(url))) };
    return reply.type(JSON_TYPE).send(last.text);
  });
  // The page has no address of the gateway, so it is the same for all.
  const page = wirePage(asyncApi(options.version, new URL('ws://localhost')));
  app.get('/asyncapi', open, async (_request, reply) => reply.type('text/html; charset=utf-8').send(page));
  app.get('/asyncapi.css', open, async (_request, reply) => reply.type('text/css; charset=utf-8').send(STYLE));
}
