import t from 'tap';
import { watchCountdown } from '../../src/client/countdown.ts';
import type { CountdownReading } from '../../src/client/types.ts';
import { SHOW, startLiveEngine } from '../support/live-engine.ts';
import { until } from '../support/until.ts';

/** The estimate of the server's clock may be corrected by so much on a busy machine. */
const CLOCK_STEP_MS = 100;
const TEE = { sku: 'TEE-M', product: 'tee', price: 1990, quantity: 3 };
const SALE = { id: 'drop', title: 'Drop', currency: 'EUR', perBuyer: 1, holdMs: 60_000, durationMs: 60_000 };

t.test('a countdown ticks ten times a second, shows zero, and follows the sale (I5, T-3.2)', async (t) => {
  const engine = await startLiveEngine(t);
  const client = await engine.join('ana');
  t.teardown(() => client.close());
  const readings: Array<CountdownReading | null> = [];
  const stop = watchCountdown(client, 'drop', (reading) => readings.push(reading));
  t.same(readings, [null], 'the sale is not known');
  await engine.office.createSale(SHOW, { ...SALE, opensInMs: 1_500, skus: [TEE] }, 'k');
  await until(() => readings.some((reading) => reading?.to === 'close'), 'the sale opened');
  const before = readings.flatMap((reading) => (reading?.to === 'open' ? [reading.remainingMs] : []));
  t.ok(before.length > 8, `${before.length} readings in 1.5 s`);
  t.ok(
    before.every((ms, i) => i === 0 || ms <= (before[i - 1] ?? 0) + CLOCK_STEP_MS),
    `falling: ${before.map(Math.round)}`,
  );
  t.ok(Math.min(...before) < 100, 'the last one is zero, or nearly');

  await client.chat('a message changes no countdown');
  const { length } = readings;
  for (let i = 0; i < 5; i += 1) await client.chat(`hello ${i}`);
  t.ok(readings.length - length <= 3, 'what else changes makes no ticks');
  stop();
  const stopped = readings.length;
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  t.equal(readings.length, stopped);
});
