import { readdirSync, readFileSync } from 'node:fs';
import { decode as msgpackDecode } from '@msgpack/msgpack';
import t from 'tap';
import { LIMITS } from '../../src/limits.ts';
import {
  CLOSE,
  CODECS,
  closePolicy,
  ERRORS,
  inflate,
  isDeflated,
  parseClientMessage,
  subprotocolOf,
  VARIANTS,
} from '../../src/protocol/index.ts';

const folder = new URL('../../src/protocol/', import.meta.url);
const spec = readFileSync(new URL('SPEC.md', folder), 'utf8');
const rows = spec
  .split('\n')
  .filter((line) => line.trim().startsWith('| '))
  .map((line) =>
    line
      .trim()
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

t.test('X-1: the error table of the page is the catalogue', async (t) => {
  const written = rows.filter(([code, status]) => /^`\w+`$/.test(code ?? '') && /^\d{3}$/.test(status ?? ''));
  t.same(
    written,
    Object.entries(ERRORS).map(([code, { status, policy, title }]) => [`\`${code}\``, String(status), policy, title]),
  );
});

t.test('X-2: the close codes of the page are the catalogue, and their hundreds state the policy', async (t) => {
  const written = rows
    .filter(([code, name]) => /^4\d{3}$/.test(code ?? '') && name !== '')
    .map(([code, name, policy]) => [code, name, policy]);
  t.same(
    written,
    Object.entries(CLOSE).map(([name, code]) => [String(code), `\`${name}\``, closePolicy(code)]),
  );
  t.same([1000, 1001, 1006, 1009, 4000, 4100, 4200].map(closePolicy), [
    'stop',
    'resume',
    'resume',
    'fix',
    'resume',
    'retry',
    'stop',
  ]);
});

t.test('H-2: the page names every subprotocol', async (t) => {
  for (const variant of VARIANTS) t.match(spec, `\`${subprotocolOf(variant)}\``);
});

t.test('the numbers of the page are the limits', async (t) => {
  const facts: Array<[string, number]> = [
    [`one above ${LIMITS.frameInBytesMax} bytes \`frame_too_large\``, LIMITS.frameInBytesMax],
    [`More than ${LIMITS.badFramesPerConnectionMax} such frames`, LIMITS.badFramesPerConnectionMax],
    [`a string of 1 to ${LIMITS.requestIdCharsMax} characters`, LIMITS.requestIdCharsMax],
    [`1 to ${LIMITS.chatTextCharsMax} characters, not blank`, LIMITS.chatTextCharsMax],
    [`1 to ${LIMITS.heartsPerMessageMax} hearts`, LIMITS.heartsPerMessageMax],
    [
      `1 to ${LIMITS.linesPerReservationMax} of \`{sku, qty}\`, qty 1 to ${LIMITS.perBuyerUnitsMax}`,
      LIMITS.linesPerReservationMax,
    ],
    [`At most ${LIMITS.inFlightPerConnectionMax} requests`, LIMITS.inFlightPerConnectionMax],
    [
      `${LIMITS.requestRatePerSecond} messages a second (${2 * LIMITS.requestRatePerSecond} at once), of them ${LIMITS.chatRatePerSecond} chat messages (${2 * LIMITS.chatRatePerSecond} at once`,
      0,
    ],
    [`${LIMITS.heartsRatePerConnectionPerSecond} hearts (${LIMITS.heartsBurstPerConnection} at once)`, 0],
    [`while more than ${LIMITS.backpressureSoftBytes / 1024} KiB wait`, LIMITS.backpressureSoftBytes],
    [`which more than ${LIMITS.backpressureHardBytes / 2 ** 20} MiB waits`, LIMITS.backpressureHardBytes],
    [
      `after every ${LIMITS.readProofEveryKib} KiB of chat, at most every ${LIMITS.readProofPauseMs / 1000} s`,
      LIMITS.readProofEveryKib,
    ],
    [
      `has not answered after ${LIMITS.readProofMs / 1000} s and was sent another ${LIMITS.readProofOverdueKib} KiB`,
      LIMITS.readProofMs,
    ],
    [`silent for ${LIMITS.idleTimeoutSeconds} s`, LIMITS.idleTimeoutSeconds],
    [`waits longer than ${LIMITS.chatWaitMaxMs / 1000} s`, LIMITS.chatWaitMaxMs],
    [`has waited ${(2 * LIMITS.chatWaitMaxMs) / 1000} s`, LIMITS.chatWaitMaxMs],
    [`the newest ${LIMITS.chatHistoryMessages} messages`, LIMITS.chatHistoryMessages],
    [`more than ${LIMITS.chatResumeMessagesMax} messages`, LIMITS.chatResumeMessagesMax],
    [`At most ${LIMITS.handshakeTokenBytesMax} bytes`, LIMITS.handshakeTokenBytesMax],
    [`between 0 and ${LIMITS.drainReconnectSpreadMs / 1000} s`, LIMITS.drainReconnectSpreadMs],
  ];
  for (const [text] of facts) t.ok(spec.includes(text), text);
});

t.test('section 12: the examples are what they say', async (t) => {
  const blocks = [...spec.matchAll(/```(json|hex|deflate)\n([^`]*)\n```/g)].map(([, kind, text]) => ({
    kind,
    text: text ?? '',
  }));
  let value: unknown;
  let checked = 0;
  for (const { kind, text } of blocks) {
    const bytes = Buffer.from(text, 'hex');
    if (kind === 'json') value = JSON.parse(text);
    if (kind === 'hex') t.same(msgpackDecode(bytes), value, text.slice(0, 30));
    if (kind === 'hex') t.same(CODECS.msgpack.decode(bytes), { ok: true, value });
    if (kind === 'deflate') {
      t.ok(isDeflated(bytes));
      t.same(msgpackDecode(await inflate(bytes)), value);
    }
    checked += 1;
  }
  t.ok(checked >= 7);
});

t.test('every request the page lists is known to the validator, and no other', async (t) => {
  const listed = rows
    .filter(([name, fields]) => /^`\w+`$/.test(name ?? '') && /^`id`/.test(fields ?? ''))
    .map(([name]) => name?.slice(1, -1) ?? '');
  t.same(listed, ['chat', 'react', 'reserve', 'release', 'waitlist', 'resume', 'sync']);
  for (const type of listed) t.not(errorOf({ t: type, id: 1 }), 'unknown_type', type);
  t.equal(errorOf({ t: 'other', id: 1 }), 'unknown_type');
});

t.test('rule numbers are unique, and every rule a test cites exists', async (t) => {
  const rules = [...spec.matchAll(/^- \*\*([A-Z]-\d+)\*\*/gm)].map(([, rule]) => rule);
  t.equal(new Set(rules).size, rules.length);
  for (const area of ['protocol', 'gateway', 'fanout', 'rooms', 'selling']) {
    const tests = new URL(`../${area}/`, import.meta.url);
    for (const file of readdirSync(tests).filter((name) => name.endsWith('.test.ts'))) {
      const names = [...readFileSync(new URL(file, tests), 'utf8').matchAll(/t\.test\('([^']+)'/g)].map(
        ([, name]) => name ?? '',
      );
      for (const rule of names.flatMap((name) => name.match(/\b[A-Z]-\d+\b/g) ?? []))
        t.ok(rules.includes(rule), `${file} cites ${rule}`);
    }
  }
});

t.test('the protocol folder runs in browsers: it imports nothing of Node', async (t) => {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.ts'))) {
    t.notMatch(readFileSync(new URL(file, folder), 'utf8'), /from '(node:|\.\.\/)|\bBuffer\b|\bprocess\./, file);
  }
});

function errorOf(value: unknown): string {
  const parsed = parseClientMessage(value);
  return parsed.ok ? '' : parsed.error.code;
}
