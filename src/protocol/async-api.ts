/** The AsyncAPI 3 document of the wire, from the schemas of its messages. */
import { CLIENT_EXAMPLES, SERVER_EXAMPLES } from './message-examples.ts';
import { type ClientMessageType, type ServerMessage, subprotocolOf, VARIANTS } from './messages.ts';
import { REPLY_DATA, SERVER_SCHEMAS } from './server-schemas.ts';
import { CLIENT_SCHEMAS } from './validate.ts';

interface Described {
  readonly title?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly [more: string]: unknown;
}
export interface WireMessage extends Described {
  readonly payload: Schema;
  readonly examples: ReadonlyArray<{ readonly name: string; readonly payload: unknown }>;
}
export interface Schema {
  readonly [keyword: string]: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}
export interface WireDocument {
  readonly [more: string]: unknown;
  readonly info: Described & { readonly version: string };
  readonly channels: { readonly show: Described & { readonly address: string } };
  readonly operations: Readonly<
    Record<string, Described & { readonly action: string; readonly 'x-reply-data'?: Schema }>
  >;
  readonly components: {
    readonly messages: Readonly<Record<string, WireMessage>>;
    readonly schemas: Readonly<Record<string, Schema>>;
  };
}

const REQUESTS: Readonly<Record<ClientMessageType, string>> = {
  chat: 'Sends a chat message (C-3). Roles: viewer, buyer, moderator, host.',
  react: 'Sends hearts. Without `id` there is no reply (Q-6.2).',
  reserve: 'Holds all of its items or none (Q-8). A repeat with the same key gets the recorded result (Q-7).',
  release: 'Releases a hold (Q-7).',
  waitlist: 'Joins or leaves the waitlist of a SKU (Q-11).',
  resume: 'Asks for what came after a position (R-3).',
  page: 'Asks for the next products and sales of a large show (W-2.5).',
  refresh: 'Renews the identity of the connection with another token (H-6.2).',
  sync: 'Exchanges times for the clock (T-1).',
};
const MESSAGES: Readonly<Record<ServerMessage['t'], string>> = {
  welcome: 'The first message: who you are, and the show (W-1).',
  frame: 'What is for all viewers: events, state and chat (W-3).',
  ok: 'The reply to a request that succeeded (Q-5).',
  error: 'The reply to a request that failed: `code` says why (X-1).',
  you: 'A reservation of yours changed, on any device (W-4).',
  holdings: 'Replaces what you know of your reservations and waitlist entries (W-7).',
  mute: 'A host has muted you, or lifted the mute (L-4).',
  waits: 'Replaces what you know of your waitlist entries: a position has changed (W-9).',
  bye: 'The server closes the connection now, with this close code (W-5).',
};
const DESCRIPTION =
  'What a viewer and a gateway exchange over a WebSocket. SPEC.md defines the behavior; numbers such as Q-7 are ' +
  'its rules. Each message is one JSON object in a text frame, or the same as MessagePack in a binary frame. ' +
  'Receivers ignore fields and types that they do not know.';

const titleOf = (name: string): string => `${name[0]?.toUpperCase() ?? ''}${name.slice(1)}`;
const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Returns a schema with references to the parts that have a title; adds them to `components`. */
function withReferences(schema: unknown, components: Map<string, unknown>): unknown {
  if (Array.isArray(schema)) return schema.map((each) => withReferences(each, components));
  if (!isPlain(schema)) return schema;
  const inner = (): unknown =>
    Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, withReferences(value, components)]));
  // A field of a view may be named "title" too: its value is a schema.
  const { title } = schema;
  if (typeof title !== 'string') return inner();
  if (!components.has(title)) components.set(title, inner());
  return { $ref: `#/components/schemas/${title}` };
}

/** Returns the document. `server`: the address of the gateway, without path. */
export function asyncApi(version: string, server: URL): WireDocument {
  const schemas = new Map<string, unknown>();
  const message = (name: string, summary: string, payload: object, example: object): [string, WireMessage] => [
    name,
    {
      ...{ name, title: name, summary, payload: withReferences(payload, schemas) as Schema },
      examples: [{ name, payload: example }],
    },
  ];
  const subprotocols = VARIANTS.map((each) => `\`${subprotocolOf(each)}\``).join(', ');
  const requests = Object.keys(REQUESTS) as ClientMessageType[];
  const sent = Object.keys(MESSAGES) as Array<ServerMessage['t']>;
  const messages = Object.fromEntries([
    ...requests.map((t) => message(t, REQUESTS[t], CLIENT_SCHEMAS[t], CLIENT_EXAMPLES[t])),
    ...sent.map((t) => message(t, MESSAGES[t], SERVER_SCHEMAS[t], SERVER_EXAMPLES[t])),
  ]);
  const channel = { $ref: '#/channels/show' };
  const inChannel = (name: string): object => ({ $ref: `#/channels/show/messages/${name}` });
  const replies = { channel, messages: ['ok', 'error'].map(inChannel) };
  const operations = [
    ...requests.map((t) => {
      const data = REPLY_DATA[t];
      const described = data === null ? {} : { 'x-reply-data': withReferences(data, schemas) as Schema };
      const operation = { action: 'receive', channel, summary: REQUESTS[t], messages: [inChannel(t)], reply: replies };
      return [t, { ...operation, ...described }] as const;
    }),
    ...sent
      .filter((t) => t !== 'ok' && t !== 'error')
      .map((t) => [t, { action: 'send', channel, summary: MESSAGES[t], messages: [inChannel(t)] }] as const),
  ];
  return {
    asyncapi: '3.0.0',
    info: {
      ...{ title: 'Stampede viewer protocol', version, description: DESCRIPTION },
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/json',
    servers: {
      gateway: {
        ...{ host: server.host, protocol: server.protocol.slice(0, -1), description: 'A gateway node' },
        ...(server.pathname === '/' ? {} : { pathname: server.pathname }),
      },
    },
    channels: {
      show: {
        address: '/v1/shows/{show}',
        title: 'One show',
        description: `Offer one of the subprotocols ${subprotocols}.`,
        parameters: { show: { description: 'The id of the show (H-1.2)' } },
        messages: Object.fromEntries(
          Object.keys(messages).map((name) => [name, { $ref: `#/components/messages/${name}` }]),
        ),
        bindings: {
          ws: {
            method: 'GET',
            query: {
              type: 'object',
              properties: {
                token: { type: 'string', description: 'A viewer token (H-3), if it is no subprotocol' },
                epoch: { type: 'string', description: 'A position of an earlier connection (H-7)' },
                offset: { type: 'integer', minimum: 0 },
                chat: { type: 'integer', minimum: 0 },
              },
            },
          },
        },
      },
    },
    operations: Object.fromEntries(operations.map(([name, each]) => [name, { title: titleOf(name), ...each }])),
    components: { messages, schemas: Object.fromEntries(schemas) as Record<string, Schema> },
  };
}
