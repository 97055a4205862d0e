import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import type { Decision, ReserveRequest } from '../../src/domain/reservation.ts';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok, type Result } from '../../src/protocol/codes.ts';
import { ReserveBatcher } from '../../src/selling/batcher.ts';
import { ManualClock } from '../support/manual-clock.ts';

const request = (n: number): ReserveRequest => ({
  user: `u${n}`,
  key: `k${n}`,
  sale: 's',
  lines: [{ sku: 'a', qty: 1 }],
});
const decision = ({ user, key }: ReserveRequest): Result<Decision> =>
  ok({
    replayed: false,
    durability: 'everysec',
    epoch: 'e',
    reservation: {
      id: key,
      sale: 's',
      user,
      state: 'held',
      lines: [],
      amount: 0,
      currency: 'EUR',
      createdAt: 0,
      heldUntil: 0,
    },
  });

interface Call {
  readonly requests: readonly ReserveRequest[];
  readonly answer: (results: Array<Result<Decision>>) => void;
}

function setUp(): { batcher: ReserveBatcher; calls: Call[]; clock: ManualClock; faults: unknown[] } {
  const calls: Call[] = [];
  const faults: unknown[] = [];
  const clock = new ManualClock();
  const store = {
    reserve: (_show: string, requests: readonly ReserveRequest[]) =>
      new Promise<Array<Result<Decision>>>((answer) => calls.push({ requests, answer })),
  };
  return {
    calls,
    clock,
    faults,
    batcher: new ReserveBatcher({
      showId: 'show',
      origin: 'here',
      store,
      clock,
      onCallbackError: (error) => faults.push(error),
    }),
  };
}

const reserve = (batcher: ReserveBatcher, what: ReserveRequest): Promise<Result<Decision>> =>
  new Promise((onDecided) => batcher.reserve({ ...what, enqueuedMs: 0, onDecided }));

t.test('a request goes out at once; what comes meanwhile goes together', async (t) => {
  const { batcher, calls } = setUp();
  const first = reserve(batcher, request(0));
  const others = [1, 2, 3].map((n) => reserve(batcher, request(n)));
  t.same(
    calls.map(({ requests }) => requests.length),
    [1],
  );
  calls[0]?.answer([decision(request(0))]);
  t.match(await first, { ok: true, value: { reservation: { id: 'k0' } } });
  await turn();
  t.same(
    calls.map(({ requests }) => requests.map(({ key }) => key)),
    [['k0'], ['k1', 'k2', 'k3']],
  );
  calls[1]?.answer(calls[1].requests.map(decision));
  t.same(
    (await Promise.all(others)).map((r) => r.ok && r.value.reservation.id),
    ['k1', 'k2', 'k3'],
    'everybody gets their own answer',
  );
  await batcher.whenIdle();
});

t.test('calls are bounded in size and number; a second one overlaps only when full', async (t) => {
  const { batcher, calls } = setUp();
  const all = Array.from({ length: 1 + 2 * LIMITS.reserveBatchMax + 7 }, (_, n) => reserve(batcher, request(n)));
  t.same(
    calls.map(({ requests }) => requests.length),
    [1, LIMITS.reserveBatchMax],
  );
  calls[1]?.answer(calls[1].requests.map(decision));
  await turn();
  t.same(
    calls.map(({ requests }) => requests.length),
    [1, LIMITS.reserveBatchMax, LIMITS.reserveBatchMax],
    'full again',
  );
  calls[0]?.answer(calls[0].requests.map(decision));
  await turn();
  t.equal(calls.length, 3, 'what is left is no full batch and waits');
  calls[2]?.answer(calls[2].requests.map(decision));
  await turn();
  t.equal(calls[3]?.requests.length, 7);
  calls[3]?.answer(calls[3].requests.map(decision));
  t.ok((await Promise.all(all)).every((r) => r.ok));
});

t.test('too many waiting: new ones are shed with a wait', async (t) => {
  const { batcher, calls } = setUp();
  const waiting = Array.from({ length: LIMITS.reserveQueuePerShowMax + 1 + LIMITS.reserveBatchMax }, (_, n) =>
    reserve(batcher, request(n)),
  );
  const shed = await reserve(batcher, request(-1));
  t.match(shed, { ok: false, error: { code: 'overloaded', retryAfterMs: Number } });
  t.equal(batcher.waiting, LIMITS.reserveQueuePerShowMax);
  for (let i = 0; i < calls.length; i += 1) {
    calls[i]?.answer(calls[i]?.requests.map(decision) ?? []);
    await turn();
  }
  t.ok((await Promise.all(waiting)).every((r) => r.ok));
});

t.test('Redis away: the same keys again, until it answers or the time is up (R-7.3, I4, I8)', async (t) => {
  const { batcher, calls, clock } = setUp();
  const one = reserve(batcher, request(1));
  calls[0]?.answer([fail('redis_unavailable')]);
  await turn();
  await clock.pass(200);
  t.same(
    calls.map(({ requests }) => requests[0]?.key),
    ['k1', 'k1'],
  );
  calls[1]?.answer([decision(request(1))]);
  t.match(await one, { ok: true });
  await turn();

  const two = reserve(batcher, request(2));
  for (let i = 2; clock.time < 100_000 && i < calls.length; i += 1) {
    calls[i]?.answer([fail('redis_unavailable')]);
    await turn();
    await clock.pass(200);
  }
  t.match(await two, { ok: false, error: { code: 'redis_unavailable' } });
  t.ok(clock.time < 1_000 + LIMITS.redisRetryMaxMs + 2_000);
});

t.test('only the unanswered part of a batch is asked again', async (t) => {
  const { batcher, calls, clock } = setUp();
  const first = reserve(batcher, request(0));
  const rest = [1, 2].map((n) => reserve(batcher, request(n)));
  calls[0]?.answer([decision(request(0))]);
  await first;
  await turn();
  calls[1]?.answer([fail('sold_out'), fail('redis_unavailable')]);
  t.match(await rest[0], { ok: false, error: { code: 'sold_out' } });
  await turn();
  await clock.pass(200);
  t.same(
    calls[2]?.requests.map(({ key }) => key),
    ['k2'],
  );
  calls[2]?.answer([decision(request(2))]);
  t.match(await rest[1], { ok: true });
});

t.test('a store that throws is an internal error for its requests, not a lost answer', async (t) => {
  const store = { reserve: () => Promise.reject(new Error('boom')) };
  const batcher = new ReserveBatcher({
    origin: 'here',
    showId: 'show',
    clock: new ManualClock(),
    store,
    onCallbackError: (error) => t.fail(String(error)),
  });
  t.match(await reserve(batcher, request(1)), { ok: false, error: { code: 'internal' } });
});

t.test('an answer that cannot be taken costs nobody else theirs', async (t) => {
  const { batcher, calls, faults } = setUp();
  const onDecided = (): void => {
    throw new Error('closed');
  };
  batcher.reserve({ ...request(0), enqueuedMs: 0, onDecided });
  calls[0]?.answer([decision(request(0))]);
  await batcher.whenIdle();
  t.match(faults, [{ message: 'closed' }]);
  const next = reserve(batcher, request(1));
  calls[1]?.answer([decision(request(1))]);
  t.match(await next, { ok: true });
});
