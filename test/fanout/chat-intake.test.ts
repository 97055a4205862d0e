import t from 'tap';
import type { ChatAppend, ChatAppended } from '../../src/domain/chat.ts';
import { type AcceptedChat, ChatIntake, type ChatIntakeOptions } from '../../src/fanout/chat-intake.ts';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok, type Result } from '../../src/protocol/codes.ts';
import { ManualClock } from '../support/manual-clock.ts';

type Append = ChatAppend & { authors: readonly string[]; reply: (result: Result<ChatAppended>) => void };

/** An intake whose appends reply when the test says so, or at once with `result`. */
function setUp(options: Partial<ChatIntakeOptions> = {}, result?: Result<ChatAppended>) {
  const clock = new ManualClock();
  const appends: Append[] = [];
  const results: Array<Result<AcceptedChat>> = [];
  const errors: unknown[] = [];
  const intake = new ChatIntake({
    showId: 's',
    node: 'n',
    clock,
    isBehind: () => false,
    shownPerSecond: () => 10,
    onCallbackError: (error) => errors.push(error),
    log: {
      appendChat: (_show, append, authors) =>
        new Promise((reply) => {
          appends.push({ ...append, authors, reply });
          if (result !== undefined) reply(result);
        }),
    },
    ...options,
  });
  const accept = (n: number, text = `t${n}`): void => {
    intake.accept({ user: `u${n}`, name: 'N', text, mark: 0, at: 1_000 + n }, (each) => results.push(each));
  };
  return { clock, appends, results, errors, intake, accept };
}

t.test('C-4: one append is in flight, and each message gets its id', async (t) => {
  const { clock, appends, results, intake, accept } = setUp();
  for (let n = 0; n < 4; n += 1) accept(n);
  t.match(appends, [{ count: 1 }], 'the first message at once, the others wait');
  t.equal(appends.length, 1);
  appends[0]?.reply(ok({ firstId: 10 }));
  await clock.pass(5);
  t.equal(appends.length, 1, 'not before the tick');
  await clock.pass(LIMITS.tickMinMs);
  t.same(appends[1]?.authors, ['u1', 'u2', 'u3']);
  appends[1]?.reply(ok({ firstId: 20 }));
  await intake.whenIdle();
  t.match(results, [{ value: { id: 10 } }, { value: { id: 20 } }, { value: { id: 21 } }, { value: { id: 22 } }]);
  accept(5);
  await clock.pass(LIMITS.tickMinMs * 2);
  appends[2]?.reply(fail('redis_unavailable'));
  await intake.whenIdle();
  t.match(results.at(-1), { ok: false, error: { code: 'redis_unavailable' } });
});

t.test('C-4: a full batch does not wait for the tick', async (t) => {
  const { clock, appends, accept } = setUp();
  for (let n = 0; n < LIMITS.chatBatchMessagesMax; n += 1) accept(n);
  t.equal(appends[0]?.count, 1);
  appends[0]?.reply(ok({ firstId: 30 }));
  await clock.pass(1);
  t.equal(clock.armed, 1, 'one message less than a batch waits');
  accept(0);
  t.strictSame([appends[1]?.count, clock.armed], [LIMITS.chatBatchMessagesMax, 0]);
  appends[1]?.reply(ok({ firstId: 31 }));
  await clock.pass(1);
  for (let bytes = 0; bytes < LIMITS.appendFullBytes; bytes += LIMITS.chatTextCharsMax)
    accept(0, 'x'.repeat(LIMITS.chatTextCharsMax));
  t.ok((appends[2]?.count ?? 0) > 1, 'nor does a batch of many bytes');
  t.equal(clock.armed, 0);
});

t.test('a callback that throws does not affect others', async (t) => {
  const { appends, results, errors, intake, accept } = setUp({ shownPerSecond: () => 0 }, ok({ firstId: 7 }));
  intake.accept({ user: 'u', name: 'N', text: 't', mark: 0, at: 1 }, () => {
    throw new Error('closed');
  });
  accept(1);
  await intake.whenIdle();
  t.match(results, [{ ok: true, value: { id: 7, leftOut: false } }]);
  t.equal(errors.length, 1);
  t.match(appends, [{ cap: undefined }, { cap: undefined }], 'without a display cap nothing is sampled');
});

t.test('batches and the queue are bounded', async (t) => {
  const { appends, results, intake, accept } = setUp({}, ok({ firstId: 1 }));
  const total = LIMITS.chatQueuePerRoomMax + 5;
  for (let n = 0; n < total; n += 1) accept(n, n < 1_000 ? 'x'.repeat(280) : 'short');
  await intake.whenIdle();
  const refused = results.filter((result) => !result.ok);
  t.match(refused, Array(refused.length).fill({ error: { code: 'overloaded' } }));
  t.ok(refused.length > 0);
  t.ok(appends.every(({ count }) => count <= LIMITS.chatBatchMessagesMax));
  t.ok(appends.every(({ items }) => items.length <= LIMITS.chatBatchBytesMax + 1_000));
  const appended = appends.reduce((sum, { count }) => sum + count, 0);
  t.equal(appended, total - refused.length);
});

t.test('C-11: chat is refused while outgoing chat is behind', async (t) => {
  let isBehind = true;
  const { results, intake, accept } = setUp({ isBehind: () => isBehind }, ok({ firstId: 7 }));
  accept(0);
  isBehind = false;
  accept(1);
  await intake.whenIdle();
  const refusal = { ok: false, error: { code: 'overloaded', retryAfterMs: Number } };
  t.match(results, [refusal, { ok: true, value: { id: 7 } }]);
});
