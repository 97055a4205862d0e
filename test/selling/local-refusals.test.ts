import t from 'tap';
import type { SaleView } from '../../src/protocol/messages.ts';
import { type RefusalInput, refuseLocally } from '../../src/selling/local-refusals.ts';

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
  isSynced: true,
  sale,
  saleId: 's',
  lines: [{ sku: 'a', qty: 1 }],
  nowMs: 5_000,
  errorMs: 2,
  nextDueAt: 9_000,
  isBuyerNew: true,
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
  for (const more of [{ isSynced: false }, { isBuyerNew: false }]) {
    t.equal(code({ ...more, sale: undefined }), null);
    t.equal(code({ ...more, lines: [{ sku: 'b', qty: 1 }] }), null);
    t.equal(code({ ...more, sale: { ...sale, state: 'ended' } }), null);
  }
});
