import t from 'tap';
import type { ChatAppend, ChatEntry } from '../../src/domain/chat.ts';
import { type AcceptedChat, ChatIntake, type ChatIntakeOptions } from '../../src/fanout/chat-intake.ts';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok, type Result } from '../../src/protocol/codes.ts';
import { ManualClock } from '../support/manual-clock.ts';

const entry = (n: number): ChatEntry => ({ user: `u${n}`, name: 'N', text: `t${n}`, mark: 0, at: 1_000 + n });

const intakeWith = (
  options: Pick<ChatIntakeOptions, 'log' | 'onCallbackError'> & Partial<ChatIntakeOptions>,
): ChatIntake =>
  new ChatIntake({
    showId: 's',
    node: 'n',
    clock: new ManualClock(),
    isBehind: () => false,
    shownPerSecond: () => 0,
    ...options,
  });

t.test('intake: one append in flight, everybody gets the id of their message (C-4.1)', async (t) => {
  const clock = new ManualClock();
  const appends: Array<{
    count: number;
    authors: readonly string[];
    answer: (r: Result<{ firstId: number }>) => void;
  }> = [];
  const intake = intakeWith({
    clock,
    shownPerSecond: () => 10,
    onCallbackError: (error) => t.fail(String(error)),
    log: {
      appendChat: (_show, { count }, authors) => new Promise((answer) => appends.push({ count, authors, answer })),
    },
  });
  const answers: Array<Result<AcceptedChat>> = [];
  for (let i = 0; i < 4; i += 1) intake.accept(entry(i), (r) => answers.push(r));
  t.same(
    appends.map(({ count }) => count),
    [1],
    'the first at once, the others wait for company',
  );
  appends[0]?.answer(ok({ firstId: 10 }));
  await clock.pass(5);
  t.equal(appends.length, 1, 'not before the tick');
  await clock.pass(LIMITS.tickMinMs);
  t.same(appends[1]?.authors, ['u1', 'u2', 'u3']);
  appends[1]?.answer(ok({ firstId: 20 }));
  await intake.whenIdle();
  t.same(
    answers.map((r) => r.ok && r.value.id),
    [10, 20, 21, 22],
  );
  intake.accept(entry(5), (r) => answers.push(r));
  await clock.pass(LIMITS.tickMinMs * 2);
  appends[2]?.answer(fail('redis_unavailable'));
  await intake.whenIdle();
  t.match(answers.at(-1), { ok: false, error: { code: 'redis_unavailable' } });
  for (let i = 0; i < LIMITS.chatBatchMessagesMax; i += 1) intake.accept(entry(i), () => {});
  t.equal(appends[3]?.count, 1);
  appends[3]?.answer(ok({ firstId: 30 }));
  await clock.pass(1);
  t.equal(clock.armed, 1, 'the others wait for the tick');
  intake.accept(entry(0), () => {});
  t.equal(appends[4]?.count, LIMITS.chatBatchMessagesMax, 'a full batch does not wait for the tick');
  t.equal(clock.armed, 0);
  appends[4]?.answer(ok({ firstId: 31 }));
  await clock.pass(1);
  const long = { ...entry(0), text: 'x'.repeat(LIMITS.chatTextCharsMax) };
  for (let bytes = 0; bytes < LIMITS.appendFullBytes; bytes += LIMITS.chatTextCharsMax) intake.accept(long, () => {});
  t.ok((appends[5]?.count ?? 0) > 1, 'nor does much text');
  t.equal(clock.armed, 0);
});

t.test('intake: an answer that cannot be taken costs nobody else theirs', async (t) => {
  const faults: unknown[] = [];
  const perBatch: Array<ChatAppend['cap']> = [];
  const intake = intakeWith({
    onCallbackError: (error) => faults.push(error),
    log: {
      appendChat: async (_show, { cap }) => {
        perBatch.push(cap);
        return ok({ firstId: 7 });
      },
    },
  });
  intake.accept(entry(0), () => {
    throw new Error('closed');
  });
  const answers: Array<Result<AcceptedChat>> = [];
  intake.accept(entry(1), (r) => answers.push(r));
  await intake.whenIdle();
  t.match(answers, [{ ok: true, value: { id: 7, leftOut: false } }]);
  t.equal(faults.length, 1);
  t.same(perBatch, [undefined, undefined], 'without a display cap the log is given nothing to sample by');
});

t.test('intake: batches and queue are bounded', async (t) => {
  const clock = new ManualClock();
  const counts: number[] = [];
  const bytes: number[] = [];
  const intake = intakeWith({
    clock,
    shownPerSecond: () => 10,
    onCallbackError: (error) => t.fail(String(error)),
    log: {
      appendChat: async (_show, { count, items }) => {
        counts.push(count);
        bytes.push(items.length);
        return ok({ firstId: 1 });
      },
    },
  });
  const refused: string[] = [];
  const accept = (text: string): void =>
    intake.accept({ ...entry(1), text }, (r) => !r.ok && refused.push(r.error.code));
  for (let i = 0; i < LIMITS.chatQueuePerRoomMax + 5; i += 1) accept(i < 1_000 ? 'x'.repeat(280) : 'short');
  t.same([...new Set(refused)], ['overloaded']);
  await intake.whenIdle();
  t.ok(counts.every((count) => count <= LIMITS.chatBatchMessagesMax));
  t.ok(bytes.every((size) => size <= LIMITS.chatBatchBytesMax + 1_000));
  t.equal(
    counts.reduce((a, b) => a + b),
    LIMITS.chatQueuePerRoomMax + 5 - refused.length,
  );
});

t.test('intake: nothing is taken while chat waits too long to be written (C-11.1)', async (t) => {
  let behind = true;
  const intake = intakeWith({
    isBehind: () => behind,
    onCallbackError: (error) => t.fail(String(error)),
    log: { appendChat: async () => ok({ firstId: 7 }) },
  });
  const answers: Array<Result<AcceptedChat>> = [];
  intake.accept(entry(0), (r) => answers.push(r));
  behind = false;
  intake.accept(entry(1), (r) => answers.push(r));
  await intake.whenIdle();
  t.match(answers, [
    { ok: false, error: { code: 'overloaded', retryAfterMs: Number } },
    { ok: true, value: { id: 7 } },
  ]);
});
