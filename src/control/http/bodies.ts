/**
 * Bodies are JSON or absent. An absent body counts as `{}`, whatever its content type says, so that
 * `POST .../start` needs none. Fields are put into one order: a repeated command is the same
 * command however its JSON was written.
 */
import { isUtf8 } from 'node:buffer';
import { failure, StampedeError } from '../../protocol/codes.ts';
import type { App } from './routing.ts';

export function registerBodies(app: App): void {
  app.removeAllContentTypeParsers();
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    // Decoded with replacement characters, a name or an order reference would silently become
    // another one.
    if (!isUtf8(body)) return done(new StampedeError(failure('invalid_request', 'The body is not UTF-8 text.')));
    const text = body.toString();
    if (text.trim() === '') done(null, undefined);
    else parse(request, text, done);
  });
  app.addHook('preValidation', async (request) => {
    const unread = !request.is404 && request.routeOptions.schema?.body === undefined;
    if (unread && request.body !== undefined && !isEmptyObject(request.body))
      throw new StampedeError(failure('invalid_request', `${request.method} takes no body at this address.`));
    if (request.body === undefined && request.method !== 'GET' && request.method !== 'HEAD') request.body = {};
  });
  app.addHook('preHandler', async (request) => {
    // Validated by now, so shallow and of known fields only; what goes to no route was not.
    if (!request.is404) request.body = inOneOrder(request.body);
  });
}

const isEmptyObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;

function inOneOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOneOrder);
  if (typeof value !== 'object' || value === null) return value;
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, inner]) => [name, inOneOrder(inner)]));
}
