/** The AsyncAPI document says what the validator accepts, and what the server sends. */
import { Parser } from '@asyncapi/parser';
import fc from 'fast-check';
import t from 'tap';
import { Compile } from 'typebox/compile';
import { asyncApi } from '../../src/protocol/async-api.ts';
import { CODECS, parseClientMessage, VARIANTS } from '../../src/protocol/index.ts';
import { CLIENT_EXAMPLES, SERVER_EXAMPLES } from '../../src/protocol/message-examples.ts';
import { REPLY_DATA, SERVER_SCHEMAS } from '../../src/protocol/server-schemas.ts';
import { CLIENT_SCHEMAS } from '../../src/protocol/validate.ts';
import { rows } from './spec.ts';

const document = asyncApi('1.2.3', new URL('wss://live.example/prefix'));
const requests = Object.entries(CLIENT_SCHEMAS).map(([type, schema]) => ({ type, accepts: Compile({ ...schema }) }));

t.test('the document is valid AsyncAPI 3', async (t) => {
  const { document: parsed, diagnostics } = await new Parser().parse(JSON.stringify(document));
  const errors = diagnostics.filter(({ severity }) => severity === 0);
  t.same(
    errors.map(({ message, path }) => `${path.join('.')}: ${message}`),
    [],
  );
  t.equal(parsed?.version(), '3.0.0');
  t.match(document['servers'], { gateway: { host: 'live.example', protocol: 'wss', pathname: '/prefix' } });
});

t.test('it has every message of SPEC.md (Q-6.1)', async (t) => {
  const specified = rows
    .filter(([name, fields]) => /^`\w+`$/.test(name ?? '') && /^`id`/.test(fields ?? ''))
    .map(([name]) => name?.slice(1, -1) ?? '');
  const sent = ['welcome', 'frame', 'ok', 'error', 'you', 'holdings', 'mute', 'waits', 'bye'];
  t.same(Object.keys(document.components.messages).sort(), [...specified, ...sent].sort());
});

t.test('its examples pass the real codecs and fit the schemas', async (t) => {
  for (const variant of VARIANTS) {
    const codec = CODECS[variant];
    for (const { type, accepts } of requests) {
      const example = CLIENT_EXAMPLES[type as keyof typeof CLIENT_EXAMPLES];
      const decoded = codec.decode(codec.encode(example));
      t.strictSame(decoded.ok && parseClientMessage(decoded.value), { ok: true, value: example }, `${variant} ${type}`);
      t.ok(accepts.Check(example), type);
    }
    for (const [type, example] of Object.entries(SERVER_EXAMPLES)) {
      t.strictSame(codec.decode(codec.encode(example)), { ok: true, value: example }, `${variant} ${type}`);
      t.ok(Compile({ ...SERVER_SCHEMAS[example.t] }).Check(example), type);
    }
  }
  t.ok(Compile({ ...REPLY_DATA.reserve }).Check(SERVER_EXAMPLES.ok.data), 'the reply of reserve');
});

t.test('the schemas accept what the validator accepts, and nothing else (M-1.2, Q-4)', async () => {
  const text = fc.oneof(fc.string({ maxLength: 70 }), fc.constantFrom('k', 'join', 'leave', 's/a', ''));
  const number = fc.oneof(fc.integer({ min: -2, max: 1_100 }), fc.double());
  const item = fc.record({ sku: text, qty: number, unknown: text }, { requiredKeys: [] });
  const any = fc.oneof(text, number, fc.constant(null), fc.array(item, { maxLength: 3 }));
  for (const { type, accepts } of requests) {
    const example: Record<string, unknown> = { ...CLIENT_EXAMPLES[type as keyof typeof CLIENT_EXAMPLES] };
    const names = [...Object.keys(example), 'id', 'n', 'qty', 'chat'].filter((name) => name !== 't');
    const changed = fc.dictionary(fc.constantFrom(...names, 'unknown'), any, { maxKeys: 2 });
    fc.assert(
      fc.property(changed, fc.subarray(names, { maxLength: 1 }), (more, without) => {
        const message: Record<string, unknown> = { ...example, ...more };
        for (const name of without) delete message[name];
        const parsed = parseClientMessage(message);
        // A chat message must have a visible character, which no schema can say.
        if (!parsed.ok && parsed.error.message === 'The message is empty.') return;
        if (accepts.Check(message) !== parsed.ok) throw new Error(JSON.stringify({ message, parsed }));
      }),
      { numRuns: 300 },
    );
  }
});
