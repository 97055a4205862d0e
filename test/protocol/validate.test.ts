import fc from 'fast-check';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import { type ClientMessage, parseClientMessage, requestIdOf } from '../../src/protocol/index.ts';

t.test('valid messages are parsed without their unknown fields (Q-6.1, M-1.2)', async (t) => {
  const same: ClientMessage[] = [
    { t: 'react', id: 'a', n: 5 },
    { t: 'release', id: 1, key: 'k', reservation: 'r' },
    { t: 'waitlist', id: 1, key: 'k', op: 'join', sale: 's', sku: 'a', qty: 2 },
    { t: 'resume', id: 1, epoch: 'e', offset: 0, chat: 7 },
    { t: 'sync', id: -3, at: 1.5 },
  ];
  const reserve: ClientMessage = { t: 'reserve', id: 1, key: 'k', sale: 's', lines: [{ sku: 'a', qty: 2 }] };
  const chat: ClientMessage = { t: 'chat', id: 1, text: 'hi there' };
  const valid: Array<[unknown, ClientMessage]> = [
    ...same.map((message): [unknown, ClientMessage] => [{ ...message, unknown: 1 }, message]),
    [{ ...reserve, lines: [{ sku: 'a', qty: 2, unknown: 1 }] }, reserve],
    [{ ...chat, text: ' hi\nthere\u0000 ' }, chat],
    [{ t: 'react' }, { t: 'react', n: 1 }],
  ];
  for (const [value, message] of valid) t.strictSame(parseClientMessage(value), { ok: true, value: message });
});

t.test('an id is a string of 1 to 64 characters or an integer, read also from wrong messages (Q-5.1)', async (t) => {
  t.strictSame([requestIdOf({ id: 5 }), requestIdOf({ id: 'x' })], [5, 'x']);
  for (const id of ['', 'x'.repeat(LIMITS.requestIdCharsMax + 1), 1.5, Number.NaN, {}, null, undefined, true])
    t.equal(requestIdOf({ id }), undefined);
  for (const value of [null, 5, 'x', [1]]) t.equal(requestIdOf(value), undefined);
});

t.test('any value is parsed into a message or a coded failure (Q-4)', async (t) => {
  const types = ['chat', 'react', 'reserve', 'release', 'waitlist', 'resume', 'sync', '__proto__', 'constructor', ''];
  const field = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.constant(null), fc.object(), fc.array(fc.object()));
  const names = 'id key sale lines text n op sku qty epoch offset at reservation'.split(' ');
  const fields = Object.fromEntries(names.map((name) => [name, field]));
  fc.assert(
    fc.property(
      fc.oneof(fc.anything(), fc.record({ t: fc.constantFrom(...types), ...fields }, { requiredKeys: [] })),
      (value) => {
        const parsed = parseClientMessage(value);
        if (!parsed.ok) t.match(parsed.error.code, /^(invalid_message|unknown_type)$/);
      },
    ),
    { numRuns: 500 },
  );
});

t.test('a key has 1 to 128 characters (Q-7.1)', async (t) => {
  const codeOf = (key: unknown): string => {
    const parsed = parseClientMessage({ t: 'release', id: 1, key, reservation: 'r' });
    return parsed.ok ? 'ok' : `${parsed.error.code} ${String(parsed.error.details?.['field'])}`;
  };
  for (const key of ['k', 'x'.repeat(LIMITS.keyCharsMax)]) t.equal(codeOf(key), 'ok');
  for (const key of ['', 'x'.repeat(LIMITS.keyCharsMax + 1), 5, undefined]) t.equal(codeOf(key), 'invalid_message key');
});
