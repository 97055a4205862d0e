import t from 'tap';
import { newBucket, takeTokens } from '../../src/domain/token-bucket.ts';

t.test('a token bucket is refilled when it is used (L-1.1)', async (t) => {
  const rate = { perSecond: 2, burst: 4 };
  const bucket = newBucket(rate, 0);
  const waits = [0, 0, 0, 0, 0].map((nowMs) => takeTokens(bucket, rate, nowMs));
  t.same(waits, [0, 0, 0, 0, 500]);
  t.equal(takeTokens(bucket, rate, 500), 0);
  t.equal(takeTokens(bucket, rate, 500, 3), 1_500, 'a cost may be more than one token');
  t.equal(takeTokens(bucket, rate, 60_000, 4), 0, 'never above the burst');
  t.equal(takeTokens(bucket, rate, 60_000), 500);
  t.equal(takeTokens(bucket, rate, 0), 500, 'a clock that goes back adds nothing');
});
