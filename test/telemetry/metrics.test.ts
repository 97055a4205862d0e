import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Histogram, Registry } from 'prom-client';
import t from 'tap';
import { type Health, REDIS_STATES, type RedisTrouble } from '../../src/domain/health.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { ROOT } from '../support/root.ts';

t.test('each registry is separate, and every metric has a valid name and a help text', async (t) => {
  const metrics = createMetrics({ node: 'n1', processMetrics: false });
  const other = createMetrics({ processMetrics: false });
  for (let i = 0; i < 3; i++) metrics.decisions.add('sold_out');
  metrics.observe({ isReady: () => true });
  metrics.reserveBatchSize.observe(40);
  const text = await metrics.registry.metrics();
  t.match(text, 'stampede_decisions_total{outcome="sold_out",node="n1"} 3');
  t.match(text, 'stampede_ready{node="n1"} 1');
  t.notMatch(text, /^stampede_redis_up\{/m, 'an unknown value has no sample');
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

t.test('src/telemetry/README.md lists every metric with its type, labels and meaning', (t) => {
  const page = readFileSync(join(ROOT, 'src/telemetry/README.md'), 'utf8');
  const listed = page.split('\n').filter((line) => /^\| `(?:stampede|process|nodejs)_/.test(line));
  const metrics = createMetrics().registry.getMetricsAsArray() as Array<{ name: string; type: unknown; help: string }>;
  const labelsOf = (metric: object): string => [...(metric as { labelNames: string[] }).labelNames].join(', ');
  const rows = metrics.map((each) => `| \`${each.name}\` | ${each.type} | ${labelsOf(each)} | ${each.help} |`);
  t.same(listed.sort(), rows.sort());
  t.match(rows.join(), 'process_cpu_user_seconds_total', 'process metrics are included by default');
  t.end();
});

t.test('each state of Redis has a sample, and exactly the present one is 1', async (t) => {
  const metrics = createMetrics({ processMetrics: false });
  let trouble: RedisTrouble | null = null;
  const refusal = (): RedisTrouble | null => (trouble?.state === 'full' ? null : trouble);
  const health = {
    trouble: () => trouble,
    refusal,
    redisCapabilities: () => null,
    nowErrorMs: () => 2,
    watchTrouble: () => {},
  };
  metrics.observe({ health: health as unknown as Health });
  const present = async (): Promise<string[]> => {
    const lines = (await metrics.registry.getSingleMetricAsString('stampede_redis_state')).split('\n').slice(2);
    t.equal(lines.length, REDIS_STATES.length + 1);
    return lines.filter((line) => !line.endsWith(' 0'));
  };
  t.same(await present(), ['stampede_redis_state{state="ok"} 1']);
  for (const state of REDIS_STATES) {
    trouble = { state, reason: '', remedy: '' };
    t.same(await present(), [`stampede_redis_state{state="${state}"} 1`]);
    const up = await metrics.registry.getSingleMetricAsString('stampede_redis_up');
    t.match(up, new RegExp(`^stampede_redis_up ${Number(state === 'full')}$`, 'm'), state);
  }
});
