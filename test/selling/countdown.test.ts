import t from 'tap';
import type { SaleView } from '../../src/protocol/messages.ts';
import { CountdownTicker } from '../../src/selling/countdown.ts';
import { ManualClock } from '../support/manual-clock.ts';

t.test('countdowns tick on whole seconds, only with viewers and a sale to count down (S-4.2)', async (t) => {
  const clock = new ManualClock();
  const ticks: number[] = [];
  let hasViewers = true;
  const sale = { id: 's', state: 'scheduled', opensAt: clock.time + 3_400, closesAt: null } as SaleView;
  const ticker = new CountdownTicker({
    clock,
    now: () => clock.time,
    sales: () => [sale],
    hasViewers: () => hasViewers,
    onTick: ([first]) => ticks.push(first?.remainingMs ?? -1),
  });
  ticker.start();
  clock.advance(2_500);
  t.same(ticks, [3_000, 2_000, 1_000]);
  hasViewers = false;
  clock.advance(5_000);
  t.equal(clock.armed, 0, 'no timer without viewers');
  ticker.stop();
});
