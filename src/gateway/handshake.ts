/** Parses an upgrade request. Its object is only valid until the handler returns. */
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { subprotocolOf, TOKEN_PROTOCOL_PREFIX, VARIANTS, type Variant } from '../protocol/messages.ts';
import type { Position } from '../rooms/resume.ts';
import type { HttpRequest } from './uws.ts';

export interface Handshake {
  readonly show: string;
  readonly origin: string;
  readonly variant: Variant;
  /** The subprotocol of the response; empty if none was offered. */
  readonly subprotocol: string;
  readonly token: string | null;
  readonly position: Position | null;
  /** The client offered one of our subprotocols, so it reads a `bye` (H-4.5). */
  readonly readsBye: boolean;
  readonly key: string;
  readonly extensions: string;
}

const VARIANT_OF: ReadonlyMap<string, Variant> = new Map(VARIANTS.map((variant) => [subprotocolOf(variant), variant]));

export function readHandshake(req: HttpRequest): Result<Handshake> {
  const offered = req
    .getHeader('sec-websocket-protocol')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name.length > 0);
  const chosen = chooseVariant(offered);
  if (!chosen.ok) return chosen;
  const hasQuery = req.getQuery() !== '';
  const token =
    offered.find((name) => name.startsWith(TOKEN_PROTOCOL_PREFIX))?.slice(TOKEN_PROTOCOL_PREFIX.length) ??
    ((hasQuery && req.getQuery('token')) || null);
  const position = hasQuery ? readPosition(req) : ok(null);
  if (!position.ok) return position;
  return ok({
    show: decodeShow(req.getParameter(0)),
    origin: req.getHeader('origin'),
    ...chosen.value,
    token,
    position: position.value,
    readsBye: VARIANT_OF.has(chosen.value.subprotocol),
    key: req.getHeader('sec-websocket-key'),
    extensions: req.getHeader('sec-websocket-extensions'),
  });
}

/** Returns the first supported offer; JSON if only a token is offered, for plain tools. */
function chooseVariant(offered: readonly string[]): Result<{ variant: Variant; subprotocol: string }> {
  for (const name of offered) {
    const variant = VARIANT_OF.get(name);
    if (variant !== undefined) return ok({ variant, subprotocol: name });
  }
  const token = offered.find((name) => name.startsWith(TOKEN_PROTOCOL_PREFIX));
  if (offered.length === (token === undefined ? 0 : 1)) return ok({ variant: 'json', subprotocol: token ?? '' });
  return fail('unsupported_protocol', `Offer one of ${[...VARIANT_OF.keys()].join(', ')}.`, {
    details: { supported: [...VARIANT_OF.keys()] },
  });
}

function readPosition(req: HttpRequest): Result<Position | null> {
  const epoch = req.getQuery('epoch');
  const offset = req.getQuery('offset');
  const chat = req.getQuery('chat');
  if (!epoch || offset === undefined || offset === '') return ok(null);
  if (epoch.length > LIMITS.idCharsMax || !isCount(offset))
    return fail('invalid_request', 'The position must be ?epoch=<text>&offset=<whole number>.', {
      details: { field: 'offset' },
    });
  if (chat !== undefined && chat !== '' && !isCount(chat))
    return fail('invalid_request', 'The chat position must be a whole number.', { details: { field: 'chat' } });
  return ok({ epoch, offset: Number(offset), ...(chat ? { chat: Number(chat) } : {}) });
}

const isCount = (text: string): boolean => /^\d{1,15}$/.test(text);

/** Returns '' if the path segment has an invalid percent encoding. */
function decodeShow(segment: string | undefined): string {
  try {
    return decodeURIComponent(segment ?? '');
  } catch {
    return '';
  }
}
