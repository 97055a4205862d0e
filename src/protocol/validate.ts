/** Parses an unknown value into a client message or a failure that names the field. */
import { type Failure, fail, ok, type Result } from './codes.ts';
import { LIMITS } from './limits.ts';
import type { ClientMessage, ClientMessageType, Item } from './messages.ts';
import { cleanText } from './text.ts';

type Fields = Record<string, unknown>;
type Parser = (fields: Fields, id: RequestId) => Result<ClientMessage>;
export type RequestId = string | number;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isRequestId = (value: unknown): value is RequestId =>
  typeof value === 'string'
    ? value.length > 0 && value.length <= LIMITS.requestIdCharsMax
    : Number.isSafeInteger(value);
const isText = (value: unknown, charsMax: number): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= charsMax;
const isCount = (value: unknown, min: number, max: number): value is number =>
  Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;

const wrong = (field: string, message: string): { readonly ok: false; readonly error: Failure } =>
  fail('invalid_message', message, { details: { field } });
const bad = (field: string, rule: string) => wrong(field, `Field "${field}" must be ${rule}.`);

/** Returns the request id for the reply, also if the rest of the message is wrong. */
export function requestIdOf(value: unknown): RequestId | undefined {
  if (!isFields(value)) return undefined;
  const id = value['id'];
  return isRequestId(id) ? id : undefined;
}

const ID_RULE = `a string of 1 to ${LIMITS.idCharsMax} characters`;
const KEY_RULE = `a string of 1 to ${LIMITS.keyCharsMax} characters`;
const QTY_RULE = `an integer from 1 to ${LIMITS.perBuyerUnitsMax}`;

const parseChat: Parser = ({ text }, id) => {
  const max = LIMITS.chatTextCharsMax;
  if (typeof text !== 'string') return bad('text', `a string of 1 to ${max} characters`);
  // A person reads these two.
  if (text.length > max) return wrong('text', `A message has at most ${max} characters; this one has ${text.length}.`);
  const clean = cleanText(text);
  return clean.length === 0 ? wrong('text', 'The message is empty.') : ok({ t: 'chat', id, text: clean });
};

const parseReact = ({ n }: Fields, id: RequestId | undefined): Result<ClientMessage> => {
  if (n !== undefined && !isCount(n, 1, LIMITS.heartsPerMessageMax))
    return bad('n', `an integer from 1 to ${LIMITS.heartsPerMessageMax}`);
  return ok({ t: 'react', ...(id === undefined ? {} : { id }), n: n === undefined ? 1 : (n as number) });
};

function parseItems(lines: unknown): Result<Item[]> {
  if (!Array.isArray(lines) || lines.length === 0 || lines.length > LIMITS.linesPerReservationMax) {
    return bad('lines', `an array of 1 to ${LIMITS.linesPerReservationMax} items {sku, qty}`);
  }
  const parsed: Item[] = [];
  for (let i = 0; i < lines.length; i += 1) {
    const item: unknown = lines[i];
    if (!isFields(item)) return bad(`lines[${i}]`, 'an object {sku, qty}');
    const { sku, qty } = item;
    if (!isText(sku, LIMITS.idCharsMax)) return bad(`lines[${i}].sku`, ID_RULE);
    if (!isCount(qty, 1, LIMITS.perBuyerUnitsMax)) return bad(`lines[${i}].qty`, QTY_RULE);
    parsed.push({ sku, qty });
  }
  return ok(parsed);
}

const parseReserve: Parser = ({ key, sale, lines }, id) => {
  if (!isText(key, LIMITS.keyCharsMax)) return bad('key', KEY_RULE);
  if (!isText(sale, LIMITS.idCharsMax)) return bad('sale', ID_RULE);
  const parsed = parseItems(lines);
  return parsed.ok ? ok({ t: 'reserve', id, key, sale, lines: parsed.value }) : parsed;
};

const parseRelease: Parser = ({ key, reservation }, id) => {
  if (!isText(key, LIMITS.keyCharsMax)) return bad('key', KEY_RULE);
  if (!isText(reservation, LIMITS.idCharsMax)) return bad('reservation', ID_RULE);
  return ok({ t: 'release', id, key, reservation });
};

const parseWaitlist: Parser = ({ key, op, sale, sku, qty }, id) => {
  if (!isText(key, LIMITS.keyCharsMax)) return bad('key', KEY_RULE);
  if (op !== 'join' && op !== 'leave') return bad('op', '"join" or "leave"');
  if (!isText(sale, LIMITS.idCharsMax)) return bad('sale', ID_RULE);
  if (!isText(sku, LIMITS.idCharsMax)) return bad('sku', ID_RULE);
  if (qty !== undefined && !isCount(qty, 1, LIMITS.perBuyerUnitsMax)) return bad('qty', QTY_RULE);
  return ok({ t: 'waitlist', id, key, op, sale, sku, ...(qty === undefined ? {} : { qty: qty as number }) });
};

const parseResume: Parser = ({ epoch, offset, chat }, id) => {
  if (!isText(epoch, LIMITS.idCharsMax)) return bad('epoch', ID_RULE);
  if (!isCount(offset, 0, Number.MAX_SAFE_INTEGER)) return bad('offset', 'an integer, 0 or more');
  if (chat !== undefined && !isCount(chat, 0, Number.MAX_SAFE_INTEGER)) return bad('chat', 'an integer, 0 or more');
  return ok({ t: 'resume', id, epoch, offset, ...(chat === undefined ? {} : { chat: chat as number }) });
};

const CURSOR = /^[sp]\//;

const parsePage: Parser = ({ after }, id) =>
  isText(after, LIMITS.idCharsMax + 2) && CURSOR.test(after)
    ? ok({ t: 'page', id, after })
    : bad('after', '"more" of a snapshot or of a page');

const parseRefresh: Parser = ({ token }, id) =>
  typeof token === 'string' && token !== '' ? ok({ t: 'refresh', id, token }) : bad('token', 'a JSON Web Token');

const parseSync: Parser = ({ at }, id) => {
  if (typeof at !== 'number' || !Number.isFinite(at)) return bad('at', 'a finite number of milliseconds');
  return ok({ t: 'sync', id, at });
};

/** A new type of message needs an entry here and a case in `Requests.dispatch` of the gateway. */
const PARSERS: ReadonlyMap<string, Parser> = new Map<Exclude<ClientMessageType, 'react'>, Parser>([
  ['chat', parseChat],
  ['reserve', parseReserve],
  ['release', parseRelease],
  ['waitlist', parseWaitlist],
  ['resume', parseResume],
  ['page', parsePage],
  ['refresh', parseRefresh],
  ['sync', parseSync],
]);

/** Ignores unknown fields, so that newer clients work with older servers. Never throws. */
export function parseClientMessage(value: unknown): Result<ClientMessage> {
  if (!isFields(value))
    return fail('invalid_message', 'A message must be an object (map) with a field "t".', { details: { field: '' } });
  const type = value['t'];
  if (typeof type !== 'string') return bad('t', 'a string');
  const id = value['id'];
  if (type === 'react') return id === undefined || isRequestId(id) ? parseReact(value, id) : badId();
  const parser = PARSERS.get(type);
  if (parser === undefined) {
    return fail('unknown_type', `The message type "${type.slice(0, LIMITS.idCharsMax)}" is not known.`, {
      details: { known: ['react', ...PARSERS.keys()] },
    });
  }
  return isRequestId(id) ? parser(value, id) : badId();
}

function badId(): Result<ClientMessage> {
  return bad('id', `a string of 1 to ${LIMITS.requestIdCharsMax} characters or an integer`);
}
