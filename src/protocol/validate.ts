/** Parses an unknown value into a client message or a failure that names the field. */
import { fail, ok, type Result } from './codes.ts';
import { LIMITS } from './limits.ts';
import type { ClientMessage, ClientMessageType, Item } from './messages.ts';
import {
  bad,
  type Field,
  type Fields,
  finite,
  integer,
  isObject,
  listOf,
  matching,
  mistakeIn,
  named,
  oneOf,
  optional,
  type Schema,
  schemaOf,
  text,
  type Wrong,
} from './schemas.ts';
import { cleanText } from './text.ts';

export type RequestId = string | number;

const isRequestId = (value: unknown): value is RequestId =>
  typeof value === 'string' ? value !== '' && value.length <= LIMITS.requestIdCharsMax : Number.isSafeInteger(value);

const requestId: Field<RequestId> = {
  schema: {
    oneOf: [text(LIMITS.requestIdCharsMax).schema, integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER).schema],
  },
  check: (value, at) =>
    isRequestId(value) ? null : bad(at, `a string of 1 to ${LIMITS.requestIdCharsMax} characters or an integer`),
};

/** Returns the request id for the reply, also if the rest of the message is wrong. */
export function requestIdOf(value: unknown): RequestId | undefined {
  if (!isObject(value)) return undefined;
  const id = value['id'];
  return isRequestId(id) ? id : undefined;
}

/** A person reads what is wrong. */
const chatText: Field<string> = {
  schema: text(LIMITS.chatTextCharsMax).schema,
  check(value, at) {
    const max = LIMITS.chatTextCharsMax;
    if (typeof value !== 'string') return bad(at, `a string of 1 to ${max} characters`);
    if (value.length <= max) return null;
    return { field: at, wrong: `A message has at most ${max} characters; this one has ${value.length}.` };
  },
};
const EMPTY_CHAT: Wrong = { field: 'text', wrong: 'The message is empty.' };

const id = text(LIMITS.idCharsMax);
const key = text(LIMITS.keyCharsMax);
const qty = integer(1, LIMITS.perBuyerUnitsMax);
const hearts = integer(1, LIMITS.heartsPerMessageMax);
const position = integer(0, Number.MAX_SAFE_INTEGER, 'an integer, 0 or more');
const cursor = matching(/^[sp]\//, LIMITS.idCharsMax + 2, '"more" of a snapshot or of a page');
/** Only the length of a message bounds it. */
const token = text(LIMITS.frameInBytesMax, 'a JSON Web Token');

type Message<Type extends ClientMessageType> = Extract<ClientMessage, { t: Type }>;

interface Definition<Type extends ClientMessageType> {
  readonly fields: Fields<Omit<Message<Type>, 't'>>;
  /** Returns the known fields of a checked message. Literals cost less than a loop over fields. */
  readonly pick: (checked: Omit<Message<Type>, 't'>) => Message<Type> | Wrong;
}

/** A new type of message needs an entry here and a case in `Requests.dispatch` of the gateway. */
const DEFINITIONS: { readonly [Type in ClientMessageType]: Definition<Type> } = {
  chat: {
    fields: { id: requestId, text: chatText },
    pick({ id, text }) {
      const clean = cleanText(text);
      return clean.length === 0 ? EMPTY_CHAT : { t: 'chat', id, text: clean };
    },
  },
  react: {
    fields: { id: optional(requestId), n: optional(hearts) },
    pick: ({ id, n = 1 }) => (id === undefined ? { t: 'react', n } : { t: 'react', id, n }),
  },
  reserve: {
    fields: { id: requestId, key, sale: id, lines: listOf<Item>({ sku: id, qty }, LIMITS.linesPerReservationMax) },
    pick: ({ id, key, sale, lines }) => {
      const items: Item[] = [];
      for (let i = 0; i < lines.length; i += 1) {
        const { sku, qty } = lines[i] as Item;
        items.push({ sku, qty });
      }
      return { t: 'reserve', id, key, sale, lines: items };
    },
  },
  release: {
    fields: { id: requestId, key, reservation: id },
    pick: ({ id, key, reservation }) => ({ t: 'release', id, key, reservation }),
  },
  waitlist: {
    fields: { id: requestId, key, op: oneOf('join', 'leave'), sale: id, sku: id, qty: optional(qty) },
    pick: ({ id, key, op, sale, sku, qty }) =>
      qty === undefined ? { t: 'waitlist', id, key, op, sale, sku } : { t: 'waitlist', id, key, op, sale, sku, qty },
  },
  resume: {
    fields: { id: requestId, epoch: id, offset: position, chat: optional(position) },
    pick: ({ id, epoch, offset, chat }) =>
      chat === undefined ? { t: 'resume', id, epoch, offset } : { t: 'resume', id, epoch, offset, chat },
  },
  page: { fields: { id: requestId, after: cursor }, pick: ({ id, after }) => ({ t: 'page', id, after }) },
  refresh: { fields: { id: requestId, token }, pick: ({ id, token }) => ({ t: 'refresh', id, token }) },
  sync: {
    fields: { id: requestId, at: finite('a finite number of milliseconds') },
    pick: ({ id, at }) => ({ t: 'sync', id, at }),
  },
};

const TYPES = Object.entries(DEFINITIONS).map(([type, { fields, pick }]) => ({
  type: type as ClientMessageType,
  fields: named(fields),
  pick: pick as unknown as (checked: Record<string, unknown>) => ClientMessage | Wrong,
}));
const BY_TYPE: ReadonlyMap<string, (typeof TYPES)[number]> = new Map(TYPES.map((each) => [each.type, each]));

/** The schema of each client message. */
export const CLIENT_SCHEMAS = Object.fromEntries(
  TYPES.map(({ type, fields }) => [type, schemaOf([...named({ t: { schema: { const: type } } }), ...fields])]),
) as Readonly<Record<ClientMessageType, Schema>>;

const refused = ({ field, wrong }: Wrong): Result<never> => fail('invalid_message', wrong, { details: { field } });

/** Ignores unknown fields, so that newer clients work with older servers. Never throws. */
export function parseClientMessage(value: unknown): Result<ClientMessage> {
  if (!isObject(value)) return refused({ field: '', wrong: 'A message must be an object (map) with a field "t".' });
  const type = value['t'];
  if (typeof type !== 'string') return refused(bad('t', 'a string'));
  const known = BY_TYPE.get(type);
  if (known === undefined) {
    return fail('unknown_type', `The message type "${type.slice(0, LIMITS.idCharsMax)}" is not known.`, {
      details: { known: [...BY_TYPE.keys()] },
    });
  }
  const wrong = mistakeIn(value, known.fields);
  if (wrong !== null) return refused(wrong);
  const message = known.pick(value);
  return 't' in message ? ok(message) : refused(message);
}
