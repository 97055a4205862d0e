import t from 'tap';
import { newBucket, takeTokens } from '../../src/domain/token-bucket.ts';

t.test('a token bucket is refilled when it is used (L-1.1)', async (t) => {
  const rate = { perSecond: 2, burst: 4 };
  const bucket = newBucket(rate, 0);
  const take = (nowMs: number, cost?: number): number => takeTokens(bucket, rate, nowMs, cost);
  t.strictSame([take(0), take(0), take(0), take(0), take(0), take(500)], [0, 0, 0, 0, 500, 0]);
  t.equal(take(500, 3), 1_500, 'a cost may be more than one token');
  t.strictSame([take(60_000, 4), take(60_000)], [0, 500], 'never above the burst');
  t.equal(take(0), 500, 'a clock that goes back adds nothing');
});
