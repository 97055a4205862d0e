/**
 * Bodies are JSON or absent. An absent body counts as `{}`, whatever its content type says, so that `POST .../start` needs none. Fields are
 * put into one order: a repeated command is the same command however its JSON was written.
 */
import type { App } from '../routing.ts';

export function registerBodies(app: App): void {
  app.removeAllContentTypeParsers();
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body: string, done) => {
    if (body.trim() === '') done(null, undefined);
    else parse(request, body, done);
  });
  app.addHook('preValidation', async (request) => {
    if (request.body === undefined && request.method !== 'GET' && request.method !== 'HEAD') request.body = {};
  });
  app.addHook('preHandler', async (request) => {
    // Validated by now, so shallow and of known fields only; what goes to no route was not.
    if (!request.is404) request.body = inOneOrder(request.body);
  });
}

function inOneOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOneOrder);
  if (typeof value !== 'object' || value === null) return value;
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, inner]) => [name, inOneOrder(inner)]));
}
