/**
 * Bodies are JSON, or CSV where a route takes it. A missing body counts as `{}`, so that `POST
 * .../start` needs none. Fields are sorted, so that a repeated command equals the first one in any
 * order of its fields.
 */
import { isUtf8 } from 'node:buffer';
import { type App, refusal } from './routing.ts';

export function registerBodies(app: App): void {
  app.removeAllContentTypeParsers();
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    // Replacement characters would silently change a name or an order reference.
    if (!isUtf8(body)) return done(refusal('invalid_request', 'The body is not UTF-8. Send JSON in UTF-8.'));
    const text = body.toString();
    if (text.trim() === '') done(null, undefined);
    else parse(request, text, done);
  });
  app.addContentTypeParser('text/csv', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    const takesCsv = 'text/csv' in ((request.routeOptions.schema?.body as { content?: object })?.content ?? {});
    if (!takesCsv) return done(refusal('unsupported_media_type', 'Send the body as application/json.'));
    // Another encoding would silently change names.
    if (!isUtf8(body)) return done(refusal('invalid_request', 'The body is not UTF-8. Save the file as CSV UTF-8.'));
    done(null, body.toString());
  });
  app.addHook('preValidation', async (request) => {
    const isBodiless = !request.is404 && request.routeOptions.schema?.body === undefined;
    if (isBodiless && request.body !== undefined && !isEmptyObject(request.body))
      throw refusal('invalid_request', `${request.method} takes no body on this route. Send none.`);
    if (request.body === undefined && request.method !== 'GET' && request.method !== 'HEAD') request.body = {};
  });
  app.addHook('preHandler', async (request) => {
    // Recursion is safe here: the schema of the route has bounded the depth.
    if (!request.is404) request.body = sortFields(request.body);
  });
}

const isEmptyObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;

function sortFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortFields);
  if (typeof value !== 'object' || value === null) return value;
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, inner]) => [name, sortFields(inner)]));
}
