import t from 'tap';
import type { BuyerHoldings } from '../../src/domain/reservation.ts';
import type { ReservationChange } from '../../src/domain/show-log.ts';
import { newEncodeCounts } from '../../src/fanout/frames.ts';
import { LIMITS } from '../../src/limits.ts';
import { fail, ok, type Result } from '../../src/protocol/codes.ts';
import type { ReservationView, SaleView } from '../../src/protocol/messages.ts';
import { Members } from '../../src/rooms/members.ts';
import { type RefusalInput, refuseLocally } from '../../src/selling/local-refusals.ts';
import { ManualClock } from '../support/manual-clock.ts';

const sale: SaleView = {
  id: 's',
  title: 'S',
  state: 'open',
  opensAt: 1_000,
  closesAt: 9_000,
  holdMs: 1_000,
  perBuyer: 5,
  currency: 'EUR',
  rev: 3,
  skus: [
    { sku: 'a', product: 'p', price: 1, left: 2 },
    { sku: 'b', product: 'p', price: 1, left: 0 },
  ],
};
const input = (more: Partial<RefusalInput> = {}): RefusalInput => ({
  synced: true,
  sale,
  saleId: 's',
  lines: [{ sku: 'a', qty: 1 }],
  nowMs: 5_000,
  errorMs: 2,
  nextDueAt: 9_000,
  buyerIsNew: true,
  ...more,
});
const code = (more: Partial<RefusalInput>): string | null => refuseLocally(input(more))?.code ?? null;

t.test('what is possible goes to Redis', async (t) => {
  t.equal(code({}), null);
  t.equal(code({ sale: { ...sale, state: 'draft' } }), null);
  t.equal(code({ lines: [{ sku: 'unknown', qty: 1 }] }), null);
});

t.test('what is certain is refused', async (t) => {
  t.equal(code({ sale: undefined, saleId: 'x' }), 'sale_not_found');
  t.equal(code({ sale: { ...sale, state: 'paused' } }), 'sale_paused');
  t.equal(code({ sale: { ...sale, state: 'ended' } }), 'sale_ended');
  t.equal(code({ sale: { ...sale, state: 'cancelled' } }), 'sale_cancelled');
  t.equal(code({ lines: [{ sku: 'b', qty: 1 }] }), 'sold_out');
  t.equal(
    code({
      lines: [
        { sku: 'a', qty: 1 },
        { sku: 'b', qty: 1 },
      ],
    }),
    'sold_out',
    'one line is enough',
  );
  t.equal(
    code({
      lines: [
        { sku: 'a', qty: 2 },
        { sku: 'a', qty: 1 },
      ],
    }),
    'sold_out',
    'lines of the same SKU count together',
  );
});

t.test('nothing is refused that the clock could make wrong', async (t) => {
  const scheduled: SaleView = { ...sale, state: 'scheduled', opensAt: 6_000 };
  t.match(refuseLocally(input({ sale: scheduled })), {
    code: 'sale_not_open',
    retryAfterMs: 1_000,
    details: { opensAt: 6_000 },
  });
  t.equal(code({ sale: scheduled, nowMs: 5_998 }), null, 'within the error of the clock');
  t.equal(code({ sale: scheduled, nowMs: 5_997 }), 'sale_not_open');
  t.equal(code({ sale: scheduled, nowMs: 7_000 }), null, 'the view is behind: the sale is due to open');
  const none = [{ sku: 'b', qty: 1 }];
  t.equal(code({ lines: none, nextDueAt: 5_002 }), null, 'a hold may have lapsed');
  t.equal(code({ lines: none, nextDueAt: 5_003 }), 'sold_out');
  t.equal(code({ lines: none, nextDueAt: null }), 'sold_out');
  t.equal(code({ lines: none, errorMs: Number.POSITIVE_INFINITY }), null, 'a clock that was never set');
});

t.test('nothing is refused while the view may be behind, or to a buyer whose key may have an answer', async (t) => {
  for (const more of [{ synced: false }, { buyerIsNew: false }]) {
    t.equal(code({ ...more, sale: undefined }), null);
    t.equal(code({ ...more, lines: [{ sku: 'b', qty: 1 }] }), null);
    t.equal(code({ ...more, sale: { ...sale, state: 'ended' } }), null);
  }
});

const reservation = (more: Partial<ReservationView>): ReservationView => ({
  id: 'r1',
  sale: 's',
  user: 'ann',
  state: 'held',
  lines: [{ sku: 'a', qty: 1 }],
  amount: 1,
  currency: 'EUR',
  createdAt: 1,
  heldUntil: 2,
  ...more,
});

const news = (view: ReservationView): ReservationChange => ({
  user: view.user,
  id: view.id,
  isNewHold: view.state === 'held' && !view.offer,
  view: () => view,
});

t.test('I4: a repeated key reaches Redis: who is new to a sale', async (t) => {
  const standings = new Map<string, BuyerHoldings>([
    ['bob', { reservations: [], waits: [], sales: ['old'] }],
    ['cay', { reservations: [reservation({ user: 'cay', state: 'confirmed' })], waits: [], sales: ['s'] }],
  ]);
  let away = false;
  const store = {
    holdingsOf: async (_show: string, users: readonly string[]): Promise<Result<BuyerHoldings[]>> =>
      away
        ? fail('redis_unavailable')
        : ok(users.map((user) => standings.get(user) ?? { reservations: [], waits: [], sales: [] })),
    getReservation: async (_show: string, id: string): Promise<Result<ReservationView>> =>
      ok(reservation({ id, user: 'cay', state: 'released' })),
  };
  const clock = new ManualClock();
  const told: ReservationView[] = [];
  const audience = new Members({ showId: 'show', store, clock, encodes: newEncodeCounts(), now: () => 0 });
  const join = (user: string): ReturnType<Members['join']> =>
    audience.join(user, {
      variant: 'json',
      send: (bytes) => told.push(JSON.parse(Buffer.from(bytes).toString()).reservation),
    });

  const ann = join('ann');
  t.notOk(audience.isNewTo(ann, 's'), 'before Redis has answered nobody is new');
  await audience.lookUpHoldings(ann);
  t.ok(audience.isNewTo(ann, 's'));
  ann.reservesInFlight = 1;
  t.notOk(audience.isNewTo(ann, 's'), 'a request is on its way');
  ann.reservesInFlight = 0;
  audience.applyChanges([news(reservation({}))]);
  t.notOk(audience.isNewTo(ann, 's'), 'a commit told of a hold');
  audience.applyChanges([news(reservation({ state: 'expired' }))]);
  t.notOk(audience.isNewTo(ann, 's'), 'its key has a recorded answer also after the hold ended');
  t.ok(audience.isNewTo(ann, 'other'));
  t.same(
    told.map(({ state }) => state),
    ['held', 'expired'],
    'told on the personal lane',
  );

  const bob = join('bob');
  await audience.lookUpHoldings(bob);
  t.ok(audience.isNewTo(bob, 's'));
  t.notOk(audience.isNewTo(bob, 'old'), 'held something there long ago');

  const cay = join('cay');
  await audience.lookUpHoldings(cay);
  t.ok(audience.hasOrder(cay));
  t.equal(audience.liveReservations(cay).length, 1);
  standings.set('cay', { reservations: [], waits: [], sales: ['s'] });
  told.length = 0;
  await audience.refetchAll();
  t.same(
    told.map(({ user, state }) => [user, state]),
    [['cay', 'released']],
    'what ended while the line was down is told',
  );

  away = true;
  const dan = join('dan');
  await audience.lookUpHoldings(dan);
  t.notOk(dan.known, 'Redis away: not known, and nobody waits for it');
  away = false;
  await clock.pass(1_100);
  t.ok(dan.known, 'asked again later');
  audience.stop();
});

t.test(
  'who comes back within the linger time is known without a question to Redis, and what happened meanwhile is too',
  async (t) => {
    let asked = 0;
    const store = {
      holdingsOf: async (_show: string, users: readonly string[]): Promise<Result<BuyerHoldings[]>> => {
        asked += 1;
        return ok(users.map(() => ({ reservations: [], waits: [], sales: [] })));
      },
      getReservation: async (): Promise<Result<ReservationView>> => fail('reservation_not_found'),
    };
    const clock = new ManualClock();
    const audience = new Members({ showId: 'show', store, clock, encodes: newEncodeCounts(), now: () => 0 });
    const line = { variant: 'json' as const, send: () => {} };
    const ann = audience.join('ann', line);
    await audience.lookUpHoldings(ann);
    audience.leave(ann, line);
    audience.applyChanges([news(reservation({ state: 'confirmed' }))]);
    const back = audience.join('ann', line);
    t.ok(back.known);
    t.match(audience.liveReservations(back), [{ state: 'confirmed' }]);
    t.equal(asked, 1);

    audience.leave(back, line);
    clock.advance(LIMITS.memberLingerMs);
    const bob = audience.join('bob', line);
    await audience.lookUpHoldings(bob);
    audience.leave(bob, line);
    t.notOk(audience.join('ann', line).known, 'whoever stays away longer is forgotten at the next leave');
    await audience.refetchAll();
    t.notOk(audience.join('bob', line).known, 'after a loss of the line nobody absent is taken for known');
  },
);
