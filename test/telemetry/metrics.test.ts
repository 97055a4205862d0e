import { Histogram, Registry } from 'prom-client';
import t from 'tap';
import { createMetrics } from '../../src/telemetry/metrics.ts';

t.test('each registry is separate, and every metric has a valid name and a help text', async (t) => {
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
    t.ok(metric.help.length > 10, `${metric.name} has a help text`);
    const isCounter = String(metric.type) === 'counter';
    t.equal(metric.name.endsWith('_total'), isCounter, `${metric.name}: counters and only counters end in _total`);
  }
});

t.test('the histogram for hot paths has the output of prom-client', async (t) => {
  const metrics = createMetrics({ node: 'n1', processMetrics: false });
  const bounds = (await metrics.registry.metrics()).matchAll(/decision_seconds_bucket\{le="([\d.]+)"/g);
  const buckets = Array.from(bounds, ([, bound]) => Number(bound));
  t.ok(buckets.length > 5);
  const registry = new Registry();
  registry.setDefaultLabels({ node: 'n1' });
  const theirs = new Histogram({ name: 'stampede_decision_seconds', help: 'theirs', buckets, registers: [registry] });
  for (const seconds of [0, 0.0004, 0.0005, 0.00051, 0.2, 5, 7, 0.2]) {
    metrics.decisionSeconds.observe(seconds);
    theirs.observe(seconds);
  }
  const lines = (text: string) => text.split('\n').filter((line) => line.startsWith('stampede_decision_seconds'));
  t.same(lines(await metrics.registry.metrics()), lines(await registry.metrics()));
  t.match(await metrics.registry.metrics(), '# TYPE stampede_decision_seconds histogram');
});

t.test('process metrics are included by default', async (t) => {
  t.match(await createMetrics().registry.metrics(), 'process_cpu_user_seconds_total');
});
