import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
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
import { ROOT } from '../support/root.ts';
import { citedRules, RULES, rows, SPEC } from './spec.ts';

const folder = join(ROOT, 'src/protocol');

t.test('the error table of SPEC.md equals the catalogue (X-1)', async (t) => {
  const written = rows.filter(([code, status]) => /^`\w+`$/.test(code ?? '') && /^\d{3}$/.test(status ?? ''));
  t.same(
    written,
    Object.entries(ERRORS).map(([code, { status, policy, title }]) => [`\`${code}\``, String(status), policy, title]),
  );
});

t.test('the close codes of SPEC.md equal the catalogue, and their hundreds are the policy (X-2.1)', async (t) => {
  const written = rows
    .filter(([code, name]) => /^4\d{3}$/.test(code ?? '') && name?.startsWith('`'))
    .map(([code, name, policy]) => [code, name, policy]);
  const catalogue = Object.entries(CLOSE).map(([name, code]) => [String(code), `\`${name}\``, closePolicy(code)]);
  t.same(written, catalogue);
  const policies = [1000, 1001, 1006, 1009, 4000, 4100, 4200].map(closePolicy);
  t.equal(policies.join(), 'resume,resume,resume,fix,resume,retry,stop');
});

t.test('SPEC.md lists every subprotocol (H-2.1)', async (t) => {
  for (const variant of VARIANTS) t.ok(rows.some(([name]) => name === `\`${subprotocolOf(variant)}\``));
});

t.test('the numbers in SPEC.md are the limits', async (t) => {
  const text = SPEC.replace(/\s+/g, ' ');
  const rate = (perSecond: number, burst: number | string = 2 * perSecond): string =>
    `per second (a burst of ${burst})`;
  const { requestRatePerSecond, chatRatePerSecond, heartsRatePerConnectionPerSecond: hearts } = LIMITS;
  for (const fact of [
    `has at most ${LIMITS.handshakeTokenBytesMax} bytes`,
    `has at most ${LIMITS.requestHeadBytesMax / 1024} KiB`,
    `after about ${LIMITS.requestHeadTimeoutSeconds} s`,
    `has 1 to ${LIMITS.idCharsMax} characters`,
    `at most ${LIMITS.chatHistoryMessages} messages`,
    `the newest ${LIMITS.chatHistoryMessages} messages`,
    `the newest ${LIMITS.chatResumeMessagesMax} messages`,
    `waits longer than ${LIMITS.chatWaitMaxMs / 1000} s`,
    `has waited ${(2 * LIMITS.chatWaitMaxMs) / 1000} s`,
    `above ${LIMITS.frameInBytesMax} bytes gets \`frame_too_large\``,
    `above ${4 * LIMITS.frameInBytesMax} bytes closes`,
    `More than ${LIMITS.badFramesPerConnectionMax} such messages`,
    `about ${LIMITS.connectionsPerUserMax} connections to a show`,
    `one per second (a burst of ${LIMITS.connectionsPerUserMax})`,
    `is ${LIMITS.excessBurstSeconds * LIMITS.requestRatePerSecond} messages above twice the rate of L-1.1`,
    `a string of 1 to ${LIMITS.requestIdCharsMax} characters`,
    `\`key\` has 1 to ${LIMITS.keyCharsMax} characters`,
    `for at least ${LIMITS.idempotencyTtlMs / 3_600_000} hours`,
    `1 to ${LIMITS.chatTextCharsMax} characters, one of them visible`,
    `1 to ${LIMITS.heartsPerMessageMax} hearts`,
    `has at most ${LIMITS.inflatedBytesMax / 2 ** 20} MiB when it is inflated`,
    `1 to ${LIMITS.linesPerReservationMax} of \`{sku, qty}\`, qty 1 to ${LIMITS.perBuyerUnitsMax}`,
    `At most ${LIMITS.inFlightPerConnectionMax} requests`,
    `may send ${requestRatePerSecond} messages ${rate(requestRatePerSecond)}`,
    `may send ${chatRatePerSecond} chat messages ${rate(chatRatePerSecond)}`,
    `may send ${hearts} hearts ${rate(hearts, LIMITS.heartsBurstPerConnection)}`,
    `more than ${LIMITS.resumeEventBytesMax / 1024} KiB of missed events`,
    `several frames of about ${LIMITS.resumeFrameBytesTarget / 1024} KiB`,
    `${LIMITS.bulkBytesPerSecond / 1024} KiB of missed events, snapshots and pages ` +
      `${rate(0, `${LIMITS.bulkBurstBytes / 1024} KiB`)}`,
    `A \`resume\` counts as at least ${LIMITS.resumeCostBytes / 1024} KiB`,
    `have about ${LIMITS.catalogBytesMax / 1024} KiB together`,
    `more than ${LIMITS.stateBytesMax / 1024} KiB of state`,
    `more than ${LIMITS.positionsPerReportMax} entries wait looks at ${LIMITS.positionsPerReportMax} per second`,
    `may not know a new show for ${LIMITS.unknownShowMs / 1000} s`,
    `silent for ${LIMITS.idleTimeoutSeconds} s`,
    `more than ${LIMITS.backpressureSoftBytes / 1024} KiB wait`,
    `more than ${LIMITS.backpressureHardBytes / 2 ** 20} MiB waits`,
    `every ${LIMITS.readPingEveryKib} KiB of chat, at most every ${LIMITS.readPingPauseMs / 1000} s`,
    `after ${LIMITS.readPingTimeoutMs / 1000} s, and was sent another ${LIMITS.readPingOverdueKib} KiB`,
    `between 0 and ${LIMITS.drainReconnectSpreadMs / 1000} s`,
  ])
    t.ok(text.includes(fact), fact);
});

t.test('the examples of section 12 are right', async (t) => {
  const blocks = [...SPEC.matchAll(/```(json|hex|deflate)\n([^`]*)\n```/g)];
  let value: unknown;
  t.ok(blocks.length >= 7);
  for (const [, kind, text = ''] of blocks) {
    const bytes = Buffer.from(text, 'hex');
    if (kind === 'json') value = JSON.parse(text);
    if (kind === 'hex') t.same(msgpackDecode(bytes), value, text.slice(0, 30));
    if (kind === 'hex') t.same(CODECS.msgpack.decode(bytes), { ok: true, value });
    if (kind !== 'deflate') continue;
    t.ok(isDeflated(bytes));
    t.same(msgpackDecode(await inflate(bytes)), value);
  }
});

t.test('SPEC.md lists the requests that the validator knows, and no other (Q-6.1)', async (t) => {
  const listed = rows
    .filter(([name, fields]) => /^`\w+`$/.test(name ?? '') && /^`id`/.test(fields ?? ''))
    .map(([name]) => name?.slice(1, -1) ?? '');
  t.same(listed, ['chat', 'react', 'reserve', 'release', 'waitlist', 'resume', 'page', 'refresh', 'sync']);
  for (const type of listed) t.not(errorOf({ t: type, id: 1 }), 'unknown_type', type);
  t.equal(errorOf({ t: 'other', id: 1 }), 'unknown_type');
});

t.test('rule numbers are unique and consecutive', async (t) => {
  t.equal(new Set(RULES.all).size, RULES.all.length);
  for (const [i, rule] of RULES.all.entries()) {
    const [, group = '', number = ''] = /^(.*?[-.])(\d+)$/.exec(rule) ?? [];
    if (Number(number) > 1) t.ok(RULES.all.slice(0, i).includes(`${group}${Number(number) - 1}`), rule);
  }
});

t.test('every rule number in a test name exists', async (t) => {
  for (const { rule, name, file } of citedRules()) t.ok(RULES.all.includes(rule), `${rule} in ${file}: ${name}`);
});

t.test('every rule is cited by a test name', async (t) => {
  const cited = new Set(citedRules().map(({ rule }) => rule));
  const missing = RULES.statements.filter((rule) => !cited.has(rule));
  t.same(missing, []);
});

t.test('the protocol folder runs in browsers: it imports nothing of Node and nothing of ours', async (t) => {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.ts')))
    t.notMatch(readFileSync(join(folder, file), 'utf8'), /from '(node:|\.\.\/)|\bBuffer\b|\bprocess\./, file);
});

function errorOf(value: unknown): string {
  const parsed = parseClientMessage(value);
  return parsed.ok ? '' : parsed.error.code;
}
