import t from 'tap';
import { createMetrics } from '../../src/telemetry/metrics.ts';

t.test('every metric is named, documented and in a registry of its own', async (t) => {
  const metrics = createMetrics({ node: 'n1', processMetrics: false });
  const other = createMetrics({ processMetrics: false });
  for (let i = 0; i < 3; i++) metrics.decisions.add('sold_out');
  metrics.redisUp.set(1);
  metrics.reserveBatchSize.observe(40);
  const text = await metrics.registry.metrics();
  t.match(text, 'stampede_decisions_total{outcome="sold_out",node="n1"} 3');
  t.match(text, 'stampede_redis_up{node="n1"} 1');
  t.match(text, 'stampede_reserve_batch_size_bucket{le="64",node="n1"} 1');
  t.notMatch(await other.registry.metrics(), 'sold_out');
  for (const metric of await metrics.registry.getMetricsAsJSON()) {
    t.match(metric.name, /^stampede_[a-z_]+$/);
    t.ok(metric.help.length > 10, `${metric.name} says what it counts`);
    t.equal(metric.name.endsWith('_total'), String(metric.type) === 'counter', `${metric.name}: counters and only counters end in _total`);
  }
});

t.test('process metrics come along unless switched off', async (t) => {
  t.match(await createMetrics().registry.metrics(), 'process_cpu_user_seconds_total');
  t.end();
});
