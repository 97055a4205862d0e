import t, { type Test } from 'tap';
import { createSaleTotals } from '../../src/jobs/index.ts';
import type { ConnectedStore } from '../../src/redis/index.ts';
import type { SaleTotals } from '../../src/telemetry/metrics.ts';
import { byHost, unwrap } from '../support/store-fixture.ts';
import { until } from '../support/until.ts';
import { planShow, setUp } from './harness.ts';

async function totalsOf(t: Test, store: ConnectedStore): Promise<SaleTotals | null> {
  const read = createSaleTotals(store);
  t.equal(read(), null, 'nothing is read before it is asked for');
  await until(() => read() !== null, 'the totals');
  return read();
}

t.test(
  'totals cover the sales of live shows: available units of sales that are not over, held and sold ones',
  async (t) => {
    const { store } = await setUp(t);
    t.same(await totalsOf(t, store), { shows: 0, open: 0, units: { available: 0, held: 0, sold: 0 } });
    const { id } = await planShow(store, { perBuyer: 2, holdMs: 60_000 });
    unwrap(await store.moveSale('gala', id, { op: 'open', durationMs: 60_000 }, byHost('open')));
    const reserve = async (user: string, qty: number): Promise<string> => {
      const [result] = await store.reserve('gala', [{ user, key: 'k', sale: id, lines: [{ sku: 'TEE', qty }] }]);
      return unwrap(result as NonNullable<typeof result>).reservation.id;
    };
    const reservation = await reserve('ann', 1);
    unwrap(await store.confirm('gala', { reservation, orderRef: 'o1', amount: 100 }, byHost('confirm')));
    await reserve('ben', 1);
    t.same(await totalsOf(t, store), { shows: 1, open: 1, units: { available: 1, held: 1, sold: 1 } });
    unwrap(await store.moveSale('gala', id, { op: 'end' }, byHost('end')));
    t.same(await totalsOf(t, store), { shows: 1, open: 0, units: { available: 0, held: 1, sold: 1 } });
  },
);
