/** Each kind of wrong book and wrong reply fails the verdict, in the check that it concerns. */
import t from 'tap';
import type { Check } from '../../bench/report/result.ts';
import type { Books } from '../../bench/verdict/books.ts';
import { checkConnections, checkSales, checkZeros } from '../../bench/verdict/checks.ts';
import {
  addEvidence,
  type End,
  type Evidence,
  type Grant,
  NO_EVIDENCE,
  type Zero,
} from '../../bench/verdict/evidence.ts';
import type { SkuBooks } from '../../src/domain/sale.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';

const OPENED = 1_000_000;

function grant(n: number, more: Partial<Grant> = {}): Grant {
  const request = { user: `u${n}`, key: `k${n}`, sale: 'flash', lines: [{ sku: 'M', qty: 1 }], sentMs: 100 + n };
  const times = { createdAt: OPENED + n, heldUntil: OPENED + 60_000 };
  return { reservation: `r${n}`, ...request, ...times, replayed: false, ...more };
}

const end = (n: number, state: End['state'], endedAt = OPENED + 5_000): End => {
  return { reservation: `r${n}`, state, endedAt };
};

/** Three units of M, limit 2: u1 bought one, u2 holds one, u3 released one. */
const honest: Evidence = {
  ...NO_EVIDENCE,
  grants: [grant(1), grant(2), grant(3), { ...grant(1), replayed: true }],
  ends: [end(1, 'confirmed'), end(3, 'released')],
  requests: { ...NO_EVIDENCE.requests, sent: 9, replied: 9 },
  connections: { ...NO_EVIDENCE.connections, connected: 4, events: 12 },
};

const UNITS = { allocated: 3, available: 1, held: 1, sold: 1, withdrawn: 0 };
const sku = (more: Partial<SkuBooks> = {}): SkuBooks => ({ sku: 'M', product: 'p', price: 5, ...UNITS, ...more });

const TIMES = { opensAt: OPENED, closesAt: OPENED + 600_000, createdAt: 0, openedAt: OPENED, endedAt: null };
const SALE = { id: 'flash', title: 'Flash', state: 'open', perBuyer: 2, currency: 'EUR', rev: 9 } as const;

function view(granted: Grant, state: ReservationView['state']): ReservationView {
  const { reservation: id, user, sale, lines, createdAt, heldUntil } = granted;
  return { id, user, sale, lines: [...lines], state, amount: 5, currency: 'EUR', createdAt, heldUntil };
}

function books(skus: SkuBooks[] = [sku()], more: Partial<Books['verification']> = {}): Books {
  const counts = { entries: 8, reservations: 3, refusals: 2, localRefusals: 7, violations: [] };
  return {
    verification: { show: 's', ...counts, sales: [{ id: 'flash', skus }], ...more },
    sales: [{ ...SALE, ...TIMES, holdMs: 60_000, skus }],
    looked: new Map([
      ['r1', view(grant(1), 'confirmed')],
      ['r2', view(grant(2), 'held')],
      ['r3', view(grant(3), 'released')],
    ]),
  };
}

const namesOfFailed = (checks: readonly Check[]): string[] => checks.filter(({ ok }) => !ok).map(({ name }) => name);
const failed = (evidence: Evidence, of: Books): string[] => namesOfFailed(checkSales(evidence, of));

t.test('honest evidence passes', async (t) => {
  t.same(failed(honest, books()), []);
  for (const { detail } of checkSales(honest, books())) t.not(detail, '');
});

t.test('wrong books fail exactly the check they concern', async (t) => {
  const unit = ['every unit accounted for'];
  const real = ['every accepted reservation is real'];
  const replays = ['the ledger replays to the books'];
  const agree = ['clients and books agree on every unit'];
  for (const [wrong, of, checks] of [
    ['a unit too many', books([sku({ available: 2 })]), unit],
    ['a sale missing from the verification', books([sku()], { sales: [] }), unit],
    ['a contradiction in the ledger', books([sku()], { violations: ['17: r9 made twice (I4)'] }), replays],
    ['fewer reservations in the ledger than granted', books([sku()], { reservations: 2 }), real],
    ['a reservation that no client was granted', books([sku()], { reservations: 4 }), real],
    ['a lost order', books([sku({ available: 2, sold: 0 })]), agree],
    ['a hold without a client', books([sku({ available: 0, held: 2 })]), agree],
  ] as const)
    t.same(failed(honest, of), checks, wrong);
  t.ok(failed(honest, books([sku({ available: -1, sold: 3 })])).includes('every unit accounted for'), 'below zero');
});

t.test('a reservation that differs from its grant', async (t) => {
  const looked = (id: string, of: ReservationView | null): Books => ({ ...books(), looked: new Map([[id, of]]) });
  const real = ['every accepted reservation is real'];
  t.same(failed(honest, looked('r2', null)), real, 'it is unknown');
  t.same(failed(honest, looked('r2', view(grant(2, { user: 'u9' }), 'held'))), real, 'it has another owner');
  const two = grant(2, { lines: [{ sku: 'M', qty: 2 }] });
  t.same(failed(honest, looked('r2', view(two, 'held'))), real, 'it has other units');
  const released = looked('r1', view(grant(1), 'released'));
  t.same(failed(honest, released), ['a reservation ends once'], 'confirmed in the reply, released in the books');
});

/** The failed checks of the honest evidence with a change. */
const failedWith = (change: Partial<Evidence>, of = books()): string[] => failed({ ...honest, ...change }, of);

t.test('wrong replies fail the check they concern', async (t) => {
  const same = 'the same key gets the same result';
  for (const [wrong, grants, check] of [
    ['six of three units', [...honest.grants, grant(4), grant(5), grant(6)], 'nothing oversold, by the replies'],
    ['three units with limit two', [grant(1), grant(2, { user: 'u1' }), grant(3, { user: 'u1' })], 'limits kept'],
    ['another reservation for the same key', [...honest.grants, grant(7, { user: 'u2', key: 'k2' })], same],
    ['one reservation for two buyers', [...honest.grants, grant(2, { user: 'u8', key: 'k8' })], same],
  ] as const)
    t.ok(failedWith({ grants }).includes(check), wrong);
  t.same(failedWith({ grants: [...honest.grants, grant(2)] }), [same], 'granted twice as new');
  t.same(failedWith({ ends: [...honest.ends, end(3, 'expired')] }), ['a reservation ends once']);
});

t.test('released units may be sold again, but not at the same moment', async (t) => {
  const one = books([sku({ allocated: 1, available: 0, held: 1, sold: 0 })], { reservations: 2 });
  const again = (createdAt: number): Evidence => ({
    ...honest,
    grants: [grant(1), grant(2, { createdAt })],
    ends: [end(1, 'released', OPENED + 500)],
  });
  t.same(failed(again(OPENED + 500), { ...one, looked: new Map() }), []);
  t.same(failed(again(OPENED + 499), { ...one, looked: new Map() }), ['nothing oversold, by the replies']);
});

t.test('the limit of a single SKU is checked', async (t) => {
  const two = { ...honest, grants: [grant(1), grant(2, { user: 'u1' }), grant(3)] };
  t.same(failed(two, { ...books(), looked: new Map() }), []);
  t.same(failed(two, { ...books([sku({ perBuyer: 1 })]), looked: new Map() }), ['limits kept']);
});

t.test('wrong refusals', async (t) => {
  const wrong = ['refusals were right'];
  const soldOut = (qty: number, repliedMs: number): Partial<Evidence> => ({
    soldOut: [{ sale: 'flash', lines: [{ sku: 'M', qty }], repliedMs }],
  });
  t.same(failedWith(soldOut(1, 110)), [], 'three of three units were requested');
  t.same(failedWith(soldOut(1, 102)), wrong, 'one unit was certainly free');
  t.same(failedWith(soldOut(2, 102)), [], 'one unit was free, two were requested');
  const requests = { ...honest.requests, openReserves: 1 };
  t.same(failedWith({ ...soldOut(1, 102), requests }), [], 'a lost reply may have the unit');
  t.same(failedWith({ tooEarly: [{ sale: 'flash', sentAtLeast: OPENED - 1 }] }), []);
  t.same(failedWith({ tooEarly: [{ sale: 'flash', sentAtLeast: OPENED + 3 }] }), wrong);
  t.same(failedWith({ tooLate: [{ sale: 'flash', at: OPENED + 900_000 }] }), []);
  t.same(failedWith({ tooLate: [{ sale: 'flash', at: OPENED + 900 }] }), wrong);
  const overLimit = (qty: number): Partial<Evidence> => ({
    overLimit: [{ sale: 'flash', user: 'u1', lines: [{ sku: 'M', qty }], repliedMs: 200 }],
  });
  t.same(failedWith(overLimit(2)), [], 'one unit owned, two more requested, two allowed');
  t.same(failedWith(overLimit(1)), wrong);
});

t.test('lost replies allow a difference, but only a bounded one', async (t) => {
  const lost: Evidence = { ...honest, requests: { ...honest.requests, openReserves: 1 } };
  const held = [sku({ available: 0, held: 2 })];
  t.same(failed(lost, books(held, { reservations: 4 })), []);
  t.same(failed(lost, books(held, { reservations: 5 })), ['every accepted reservation is real']);
});

t.test('connections: gaps, viewers behind, replies missing or doubled', async (t) => {
  const wrong = (
    connection: Partial<Evidence['connections']>,
    request: Partial<Evidence['requests']> = {},
  ): string[] => {
    const connections = { ...honest.connections, ...connection };
    const requests = { ...honest.requests, ...request };
    return namesOfFailed(checkConnections({ ...honest, connections, requests }));
  };
  t.same(wrong({}), []);
  t.same(wrong({ snapshots: 3, reconnects: 2, resumed: 2 }), []);
  t.same(wrong({ gaps: 1 }), ['events without a gap']);
  t.same(wrong({ behind: 1 }), ['events without a gap']);
  t.same(wrong({}, { unknown: 5 }), [], 'cut off with the connection: unknown, not ignored');
  t.same(wrong({}, { ignored: 1 }), ['one reply per request']);
  t.same(wrong({}, { doubled: 1 }), ['one reply per request']);
});

t.test('zero: the first and the last viewer of all workers', async (t) => {
  const zero = (first: number, last: number): Zero => {
    const opened = { openedSeen: 10, openedFirstMs: first, openedLastMs: last };
    return { sale: 'flash', viewers: 10, clockFirstMs: first, clockLastMs: last, ...opened };
  };
  const seen = addEvidence([
    { ...NO_EVIDENCE, zeros: [zero(1_000, 1_020)] },
    { ...NO_EVIDENCE, zeros: [zero(1_010, 1_090)] },
  ]);
  t.match(seen.zeros, [{ viewers: 20, clockFirstMs: 1_000, clockLastMs: 1_090 }]);
  t.match(checkZeros(seen, 100), [{ ok: true, detail: /90\.0 ms over 20 clocks/ }]);
  t.match(checkZeros(seen, 50), [{ ok: false }]);
  t.same(checkZeros(NO_EVIDENCE, 50), []);
});

t.test('evidence of workers is added up', async (t) => {
  const sum = addEvidence([honest, honest, NO_EVIDENCE]);
  t.match(sum, { connections: { connected: 8, events: 24 }, requests: { sent: 18, replied: 18 } });
  t.equal(sum.grants.length, 8);
});
