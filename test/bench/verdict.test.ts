/**
 * Wrong books, and clients that saw wrong things: each kind of lie must fail the verdict, and only
 * the check it is about says so.
 */
import t from 'tap';
import type { Books } from '../../bench/verdict/books.ts';
import { checkLines, checkSales, checkZeros } from '../../bench/verdict/checks.ts';
import {
  addEvidence,
  type End,
  type Evidence,
  type Grant,
  NOTHING_SEEN,
  type Zero,
} from '../../bench/verdict/evidence.ts';
import type { SaleBooks, SkuBooks } from '../../src/domain/sale.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';

const OPENED = 1_000_000;
const HELD_UNTIL = OPENED + 60_000;

const grant = (n: number, more: Partial<Grant> = {}): Grant => ({
  reservation: `r${n}`,
  user: `u${n}`,
  key: `k${n}`,
  sale: 'flash',
  lines: [{ sku: 'M', qty: 1 }],
  createdAt: OPENED + n,
  heldUntil: HELD_UNTIL,
  replayed: false,
  sentMs: 100 + n,
  ...more,
});

const end = (n: number, state: End['state'], endedAt = OPENED + 5_000): End => ({
  reservation: `r${n}`,
  state,
  endedAt,
});

/** Three units of M, limit 2: u1 bought one, u2 holds one, u3 gave one back. */
const honest: Evidence = {
  ...NOTHING_SEEN,
  grants: [grant(1), grant(2), grant(3), { ...grant(1), replayed: true }],
  ends: [end(1, 'confirmed'), end(3, 'released')],
  requests: { ...NOTHING_SEEN.requests, sent: 9, answered: 9 },
  line: { ...NOTHING_SEEN.line, standing: 4, events: 12 },
};

const sku = (more: Partial<SkuBooks> = {}): SkuBooks => ({
  sku: 'M',
  product: 'p',
  price: 5,
  allocated: 3,
  available: 1,
  held: 1,
  sold: 1,
  withdrawn: 0,
  ...more,
});

const sale = (skus: SkuBooks[], more: Partial<SaleBooks> = {}): SaleBooks => ({
  id: 'flash',
  title: 'Flash',
  state: 'open',
  opensAt: OPENED,
  closesAt: OPENED + 600_000,
  holdMs: 60_000,
  perBuyer: 2,
  currency: 'EUR',
  rev: 9,
  skus,
  createdAt: 0,
  openedAt: OPENED,
  endedAt: null,
  ...more,
});

const view = (
  { reservation, user, sale: saleId, lines, createdAt, heldUntil }: Grant,
  state: ReservationView['state'],
): ReservationView => ({
  id: reservation,
  user,
  sale: saleId,
  lines: [...lines],
  state,
  amount: 5,
  currency: 'EUR',
  createdAt,
  heldUntil,
});

function books(
  skus: SkuBooks[] = [sku()],
  more: Partial<Books['verification']> = {},
  saleMore: Partial<SaleBooks> = {},
): Books {
  return {
    verification: {
      show: 's',
      entries: 8,
      reservations: 3,
      refusals: 2,
      localRefusals: 7,
      sales: [{ id: 'flash', skus }],
      violations: [],
      ...more,
    },
    sales: [sale(skus, saleMore)],
    looked: new Map([
      ['r1', view(grant(1), 'confirmed')],
      ['r2', view(grant(2), 'held')],
      ['r3', view(grant(3), 'released')],
    ]),
  };
}

const failed = (evidence: Evidence, of: Books): string[] =>
  checkSales(evidence, of)
    .filter(({ ok }) => !ok)
    .map(({ name }) => name);

t.test('an honest night passes', async (t) => {
  t.same(failed(honest, books()), []);
  for (const { detail } of checkSales(honest, books())) t.not(detail, '');
});

t.test('lies of the books', async (t) => {
  t.same(failed(honest, books([sku({ available: 2 })])), ['every unit accounted for'], 'a unit too many');
  t.ok(failed(honest, books([sku({ available: -1, sold: 3 })])).includes('every unit accounted for'), 'below zero');
  t.same(
    failed(honest, books([sku()], { sales: [] })),
    ['every unit accounted for'],
    'a sale missing from the verification',
  );
  t.same(failed(honest, books([sku()], { violations: ['17: reservation r9 made twice (I4)'] })), [
    'the ledger replays to the books',
  ]);
  t.same(
    failed(honest, books([sku()], { reservations: 2 })),
    ['every accepted reservation is real'],
    'fewer in the ledger than were granted',
  );
  t.same(
    failed(honest, books([sku()], { reservations: 4 })),
    ['every accepted reservation is real'],
    'one that nobody was granted',
  );
  t.same(
    failed(honest, books([sku({ available: 2, sold: 0 })])),
    ['clients and books agree on every unit'],
    'an order that was lost',
  );
  t.same(
    failed(honest, books([sku({ available: 0, held: 2 })])),
    ['clients and books agree on every unit'],
    'a hold nobody has',
  );
});

t.test('a reservation that is not what it was granted as', async (t) => {
  const looking = (id: string, of: ReservationView | null): Books => ({ ...books(), looked: new Map([[id, of]]) });
  const unreal = ['every accepted reservation is real'];
  t.same(failed(honest, looking('r2', null)), unreal, 'it is gone');
  t.same(failed(honest, looking('r2', view(grant(2, { user: 'u9' }), 'held'))), unreal, 'it is somebody else’s');
  t.same(
    failed(honest, looking('r2', view(grant(2, { lines: [{ sku: 'M', qty: 2 }] }), 'held'))),
    unreal,
    'it has other units',
  );
  t.same(
    failed(honest, looking('r1', view(grant(1), 'released'))),
    ['a reservation ends once'],
    'confirmed, says the answer; released, says the engine',
  );
});

t.test('lies that clients were told', async (t) => {
  const night = (change: Partial<Evidence>): string[] => failed({ ...honest, ...change }, books());
  t.ok(
    night({ grants: [...honest.grants, grant(4), grant(5), grant(6)] }).includes(
      'nothing oversold, by what clients were told',
    ),
  );
  t.ok(
    night({ grants: [grant(1), grant(2, { user: 'u1' }), grant(3, { user: 'u1' })] }).includes('limits kept'),
    'three of one buyer, two allowed',
  );
  t.same(
    night({ grants: [...honest.grants, grant(7, { user: 'u2', key: 'k2' })] }).includes(
      'the same key gets the same answer',
    ),
    true,
    'another reservation for the same key',
  );
  t.same(
    night({ grants: [...honest.grants, grant(2)] }),
    ['the same key gets the same answer'],
    'the same twice as if it were new',
  );
  t.ok(
    night({ grants: [...honest.grants, grant(2, { user: 'u8', key: 'k8' })] }).includes(
      'the same key gets the same answer',
    ),
    'one reservation for two buyers',
  );
  t.same(night({ ends: [...honest.ends, end(3, 'expired')] }), ['a reservation ends once']);
});

t.test('units that came back may be sold again; those of one moment may not', async (t) => {
  const one = books([sku({ allocated: 1, available: 0, held: 1, sold: 0 })], { reservations: 2 });
  const again = (createdAt: number): Evidence => ({
    ...honest,
    grants: [grant(1), grant(2, { createdAt })],
    ends: [end(1, 'released', OPENED + 500)],
  });
  t.same(failed(again(OPENED + 500), { ...one, looked: new Map() }), []);
  t.same(failed(again(OPENED + 499), { ...one, looked: new Map() }), ['nothing oversold, by what clients were told']);
});

t.test('a limit of a single SKU is kept too', async (t) => {
  const two = { ...honest, grants: [grant(1), grant(2, { user: 'u1' }), grant(3)] };
  t.same(failed(two, { ...books(), looked: new Map() }), []);
  t.same(failed(two, { ...books([sku({ perBuyer: 1 })]), looked: new Map() }), ['limits kept']);
});

t.test('refusals that were not right', async (t) => {
  const night = (change: Partial<Evidence>, of = books()): string[] => failed({ ...honest, ...change }, of);
  const lines = [{ sku: 'M', qty: 1 }];
  t.same(night({ soldOut: [{ sale: 'flash', lines, answeredMs: 110 }] }), [], 'three of three had been asked for');
  t.same(
    night({ soldOut: [{ sale: 'flash', lines, answeredMs: 102 }] }),
    ['refusals were right'],
    'one was free for certain',
  );
  t.same(
    night({ soldOut: [{ sale: 'flash', lines: [{ sku: 'M', qty: 2 }], answeredMs: 102 }] }),
    [],
    'one was free, two were wanted',
  );
  const lost = { ...honest.requests, openReserves: 1 };
  t.same(
    night({ soldOut: [{ sale: 'flash', lines, answeredMs: 102 }], requests: lost }),
    [],
    'somebody whose answer was lost may have it',
  );
  t.same(night({ tooEarly: [{ sale: 'flash', sentAtLeast: OPENED - 1 }] }), []);
  t.same(night({ tooEarly: [{ sale: 'flash', sentAtLeast: OPENED + 3 }] }), ['refusals were right']);
  t.same(night({ tooLate: [{ sale: 'flash', at: OPENED + 900_000 }] }), []);
  t.same(night({ tooLate: [{ sale: 'flash', at: OPENED + 900 }] }), ['refusals were right']);
  const limit = (user: string, qty: number): Partial<Evidence> => ({
    overLimit: [{ sale: 'flash', user, lines: [{ sku: 'M', qty }], answeredMs: 200 }],
  });
  t.same(night(limit('u1', 2)), [], 'one owned, two more wanted, two allowed');
  t.same(night(limit('u1', 1)), ['refusals were right']);
});

t.test('lost answers leave room, but only so much', async (t) => {
  const lost: Evidence = { ...honest, requests: { ...honest.requests, openReserves: 1 } };
  t.same(failed(lost, books([sku({ available: 0, held: 2 })], { reservations: 4 })), []);
  t.same(failed(lost, books([sku({ available: 0, held: 2 })], { reservations: 5 })), [
    'every accepted reservation is real',
  ]);
});

t.test('lines: gaps, viewers left behind, answers missing or double', async (t) => {
  const wrong = (line: Partial<Evidence['line']>, requests: Partial<Evidence['requests']> = {}): string[] =>
    checkLines({ ...honest, line: { ...honest.line, ...line }, requests: { ...honest.requests, ...requests } })
      .filter(({ ok }) => !ok)
      .map(({ name }) => name);
  t.same(wrong({}), []);
  t.same(wrong({ snapshots: 3, reconnects: 2, resumed: 2 }), []);
  t.same(wrong({ gaps: 1 }), ['events without a gap']);
  t.same(wrong({ behind: 1 }), ['events without a gap']);
  t.same(wrong({}, { unknown: 5 }), [], 'cut off with its connection: unknown, not ignored');
  t.same(wrong({}, { ignored: 1 }), ['one answer a request']);
  t.same(wrong({}, { doubled: 1 }), ['one answer a request']);
});

t.test('zero: the first and the last viewer of all workers', async (t) => {
  const zero = (first: number, last: number): Zero => ({
    sale: 'flash',
    viewers: 10,
    clockFirstMs: first,
    clockLastMs: last,
    clockErrorMs: 1,
    openedSeen: 10,
    openedFirstMs: first,
    openedLastMs: last,
  });
  const seen = addEvidence([
    { ...NOTHING_SEEN, zeros: [zero(1_000, 1_020)] },
    { ...NOTHING_SEEN, zeros: [zero(1_010, 1_090)] },
  ]);
  t.match(seen.zeros, [{ viewers: 20, clockFirstMs: 1_000, clockLastMs: 1_090 }]);
  t.match(checkZeros(seen, 100), [{ ok: true, detail: /90\.0 ms over 20 clocks/ }]);
  t.match(checkZeros(seen, 50), [{ ok: false }]);
  t.same(checkZeros(NOTHING_SEEN, 50), []);
});

t.test('what workers saw is added up', async (t) => {
  const sum = addEvidence([honest, honest, NOTHING_SEEN]);
  t.match(sum, { line: { standing: 8, events: 24 }, requests: { sent: 18, answered: 18 } });
  t.equal(sum.grants.length, 8);
});
