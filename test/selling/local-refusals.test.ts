import t from 'tap';
import type { SaleView } from '../../src/protocol/messages.ts';
import { type RefusalInput, refuseLocally } from '../../src/selling/local-refusals.ts';
import { saleView } from '../support/show-view.ts';

const skus = Object.entries({ a: 2, b: 0 }).map(([sku, left]) => ({ sku, product: 'p', price: 1, left }));
const sale = saleView({ opensAt: 1_000, closesAt: 9_000, perBuyer: 5, skus });
const input = (more: Partial<RefusalInput>): RefusalInput => {
  const request = { saleId: 's', lines: [{ sku: 'a', qty: 1 }], isBuyerNew: true };
  return { ...request, isSynced: true, sale, nowMs: 5_000, errorMs: 2, nextDueAt: 9_000, ...more };
};
const soldOut = [{ sku: 'b', qty: 1 }];
const scheduled: SaleView = { ...sale, state: 'scheduled', opensAt: 6_000 };
const inState = (state: SaleView['state']): Partial<RefusalInput> => ({ sale: { ...sale, state } });

type Case = readonly [what: string, more: Partial<RefusalInput>, code: string | null];
const check = (name: string, cases: readonly Case[]): void =>
  void t.test(name, async (t) => {
    for (const [what, more, code] of cases) t.equal(refuseLocally(input(more))?.code ?? null, code, what);
  });

check('a request that may succeed goes to Redis', [
  ['units are left', {}, null],
  ['a draft', inState('draft'), null],
  ['an unknown SKU', { lines: [{ sku: 'unknown', qty: 1 }] }, null],
]);

check('a request that cannot succeed is refused', [
  ['no such sale', { sale: undefined, saleId: 'x' }, 'sale_not_found'],
  ['paused', inState('paused'), 'sale_paused'],
  ['ended', inState('ended'), 'sale_ended'],
  ['cancelled', inState('cancelled'), 'sale_cancelled'],
  ['no units left', { lines: soldOut }, 'sold_out'],
  ['no units left of one item', { lines: [{ sku: 'a', qty: 1 }, ...soldOut] }, 'sold_out'],
  ['two items of the same SKU', { lines: [2, 1].map((qty) => ({ sku: 'a', qty })) }, 'sold_out'],
]);

check('a refusal allows for the error of the clock', [
  ['the opening is within the error', { sale: scheduled, nowMs: 5_998 }, null],
  ['the opening is later', { sale: scheduled, nowMs: 5_997 }, 'sale_not_open'],
  ['the sale is due to open', { sale: scheduled, nowMs: 7_000 }, null],
  ['a hold may have expired', { lines: soldOut, nextDueAt: 5_002 }, null],
  ['no hold can have expired', { lines: soldOut, nextDueAt: 5_003 }, 'sold_out'],
  ['nothing is planned', { lines: soldOut, nextDueAt: null }, 'sold_out'],
  ['the clock was never set', { lines: soldOut, errorMs: Number.POSITIVE_INFINITY }, null],
]);

for (const more of [{ isSynced: false }, { isBuyerNew: false }])
  check(`I4: a request goes to Redis if the replica or the buyer is not certain: ${JSON.stringify(more)}`, [
    ['no such sale', { ...more, sale: undefined }, null],
    ['no units left', { ...more, lines: soldOut }, null],
    ['ended', { ...more, ...inState('ended') }, null],
  ]);

t.test('a refusal before the opening says when to retry', async (t) => {
  const expected = { code: 'sale_not_open', retryAfterMs: 1_000, details: { opensAt: 6_000 } };
  t.match(refuseLocally(input({ sale: scheduled })), expected);
});
