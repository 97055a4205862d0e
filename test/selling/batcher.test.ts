import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import type { Decision, ReserveRequest } from '../../src/domain/reservation.ts';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok, type Result } from '../../src/protocol/codes.ts';
import { ReserveBatcher } from '../../src/selling/batcher.ts';
import { ManualClock } from '../support/manual-clock.ts';

const lines = [{ sku: 'a', qty: 1 }];
const request = (n: number): ReserveRequest => ({ user: `u${n}`, key: `k${n}`, sale: 's', lines });
const decision = ({ key }: ReserveRequest): Result<Decision> => ok({ reservation: { id: key } } as unknown as Decision);

interface Call {
  readonly keys: readonly string[];
  readonly reply: (results: Array<Result<Decision>>) => void;
  /** Accepts all requests of the call. */
  readonly accept: () => void;
}

/** A batcher whose calls reply when the test says so. */
function setUp() {
  const calls: Call[] = [];
  const errors: unknown[] = [];
  const clock = new ManualClock();
  const batcher = new ReserveBatcher({
    showId: 'show',
    origin: 'here',
    clock,
    onCallbackError: (error) => errors.push(error),
    store: {
      reserve: (_show, requests) =>
        new Promise((reply) => {
          const keys = requests.map(({ key }) => key);
          calls.push({ keys, reply, accept: () => reply(requests.map(decision)) });
        }),
    },
  });
  const reserve = (n: number): Promise<Result<Decision>> =>
    new Promise((onDecided) => batcher.reserve({ ...request(n), enqueuedMs: 0, onDecided }));
  const reserveMany = (count: number): Array<Promise<Result<Decision>>> =>
    Array.from({ length: count }, (_, n) => reserve(n));
  const sizes = (): number[] => calls.map(({ keys }) => keys.length);
  return { batcher, calls, clock, errors, reserve, reserveMany, sizes };
}

t.test('a request is sent at once; what arrives meanwhile is sent together', async (t) => {
  const { batcher, calls, reserveMany, sizes } = setUp();
  const [first, ...others] = reserveMany(4);
  t.same(sizes(), [1]);
  calls[0]?.accept();
  t.match(await first, { ok: true, value: { reservation: { id: 'k0' } } });
  await turn();
  t.same(calls[1]?.keys, ['k1', 'k2', 'k3']);
  calls[1]?.accept();
  const ids = (await Promise.all(others)).map((result) => result.ok && result.value.reservation.id);
  t.same(ids, ['k1', 'k2', 'k3'], 'each request gets its result');
  await batcher.whenIdle();
});

t.test('calls are bounded in size and number; a second one overlaps only if it is full', async (t) => {
  const { calls, reserveMany, sizes } = setUp();
  const all = reserveMany(1 + 2 * LIMITS.reserveBatchMax + 7);
  t.same(sizes(), [1, LIMITS.reserveBatchMax]);
  calls[1]?.accept();
  await turn();
  t.same(sizes(), [1, LIMITS.reserveBatchMax, LIMITS.reserveBatchMax]);
  calls[0]?.accept();
  await turn();
  t.equal(calls.length, 3, 'the rest is not a full batch and waits');
  calls[2]?.accept();
  await turn();
  t.equal(calls[3]?.keys.length, 7);
  calls[3]?.accept();
  t.ok((await Promise.all(all)).every((result) => result.ok));
});

t.test('above the maximum of queued requests new ones are refused with a delay', async (t) => {
  const { batcher, calls, reserve, reserveMany } = setUp();
  const queued = reserveMany(LIMITS.reserveQueuePerShowMax + 1 + LIMITS.reserveBatchMax);
  t.match(await reserve(-1), { ok: false, error: { code: 'overloaded', retryAfterMs: Number } });
  t.equal(batcher.waiting, LIMITS.reserveQueuePerShowMax);
  for (let i = 0; i < calls.length; i += 1) {
    calls[i]?.accept();
    await turn();
  }
  t.ok((await Promise.all(queued)).every((result) => result.ok));
});

t.test('while Redis is unavailable the same keys are sent again, for a bounded time (R-7.3, I4, I8)', async (t) => {
  const { calls, clock, reserve } = setUp();
  const one = reserve(1);
  calls[0]?.reply([fail('redis_unavailable')]);
  await turn();
  await clock.pass(200);
  t.match(calls, [{ keys: ['k1'] }, { keys: ['k1'] }]);
  calls[1]?.accept();
  t.match(await one, { ok: true });
  await turn();

  const two = reserve(2);
  for (let i = 2; clock.time < 100_000 && i < calls.length; i += 1) {
    calls[i]?.reply([fail('redis_unavailable')]);
    await turn();
    await clock.pass(200);
  }
  t.match(await two, { ok: false, error: { code: 'redis_unavailable' } });
  t.ok(clock.time < 1_000 + LIMITS.redisRetryMaxMs + 2_000);
});

t.test('Q-9: a refusal by Redis after a lost reply is no decision, and is never returned as one', async (t) => {
  const { calls, clock, reserve } = setUp();
  const readonly = reserve(1);
  calls[0]?.reply([fail('redis_readonly')]);
  t.match(await readonly, { ok: false, error: { code: 'redis_readonly' } }, 'nothing was sent before');
  await turn();
  const lost = reserve(2);
  for (const code of ['redis_unavailable', 'redis_readonly', 'redis_full'] as const) {
    calls.at(-1)?.reply([fail(code)]);
    await turn();
    await clock.pass(200);
  }
  calls.at(-1)?.accept();
  t.match(await lost, { ok: true });
  await turn();

  const unknown = reserve(3);
  calls.at(-1)?.reply([fail('redis_unavailable')]);
  for (let i = calls.length; clock.time < 100_000 && i <= calls.length; i += 1) {
    await turn();
    await clock.pass(200);
    calls[i]?.reply([fail('redis_readonly')]);
  }
  t.match(await unknown, { ok: false, error: { code: 'redis_unavailable' } }, 'its outcome stays unknown');
});

t.test('only the undecided part of a batch is sent again', async (t) => {
  const { calls, clock, reserveMany } = setUp();
  const [first, second, third] = reserveMany(3);
  calls[0]?.accept();
  await first;
  await turn();
  calls[1]?.reply([fail('sold_out'), fail('redis_unavailable')]);
  t.match(await second, { ok: false, error: { code: 'sold_out' } });
  await turn();
  await clock.pass(200);
  t.same(calls[2]?.keys, ['k2']);
  calls[2]?.accept();
  t.match(await third, { ok: true });
});

t.test('a store that throws is an internal error for its requests', async (t) => {
  const batcher = new ReserveBatcher({
    origin: 'here',
    showId: 'show',
    clock: new ManualClock(),
    store: { reserve: () => Promise.reject(new Error('boom')) },
    onCallbackError: (error) => t.fail(String(error)),
  });
  const result = new Promise((onDecided) => batcher.reserve({ ...request(1), enqueuedMs: 0, onDecided }));
  t.match(await result, { ok: false, error: { code: 'internal' } });
});

t.test('a callback that throws does not affect other requests', async (t) => {
  const { batcher, calls, errors, reserve } = setUp();
  const onDecided = (): void => {
    throw new Error('closed');
  };
  batcher.reserve({ ...request(0), enqueuedMs: 0, onDecided });
  calls[0]?.accept();
  await batcher.whenIdle();
  t.match(errors, [{ message: 'closed' }]);
  const next = reserve(1);
  calls[1]?.accept();
  t.match(await next, { ok: true });
});
