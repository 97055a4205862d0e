/** The alerts and the dashboard use metrics, labels and values that exist, and the alerts fire. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { REDIS_STATES } from '../../src/domain/health.ts';
import { CLOSE, ERRORS } from '../../src/protocol/codes.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { ROOT } from '../support/root.ts';
import { ALERT_CASES, HEALTHY } from './alert-cases.ts';
import { read } from './compose.ts';
import { readPromql } from './promql.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<'summary' | 'action' | 'runbook', string>>;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly targets?: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>;
}

const RULES_FILE = join(ROOT, 'scripts/deploy/prometheus/rules.yaml');
const { groups } = parse(read('scripts/deploy/prometheus/rules.yaml')) as { groups: Array<{ rules: Rule[] }> };
const rules = groups.flatMap(({ rules: each }) => each);
const dashboard = JSON.parse(read('scripts/deploy/grafana/dashboard.json')) as {
  templating: { list: Array<{ name: string; type: string; query: string }> };
  panels: Panel[];
};

/** Labels of every series: ours, and those that Prometheus adds. */
const COMMON = ['node', 'instance', 'job'];
const registered = createMetrics().registry.getMetricsAsArray() as unknown as Array<{
  name: string;
  type: string;
  labelNames: string[];
}>;
const labelsOf = new Map(
  registered.flatMap(({ name, type, labelNames }): Array<[string, string[]]> => {
    const labels = [...COMMON, ...labelNames];
    if (type !== 'histogram') return [[name, labels]];
    const parts = ['sum', 'count'].map((part): [string, string[]] => [`${name}_${part}`, labels]);
    return [...parts, [`${name}_bucket`, [...labels, 'le']]];
  }),
);
/** Closed lists of label values, by metric and label. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  'stampede_redis_state.state': ['ok', ...REDIS_STATES],
  'stampede_redis_info.durability': ['memory', 'everysec', 'always', 'unknown'],
  'stampede_joins_refused_total.code': Object.keys(ERRORS),
  'stampede_closes_total.code': Object.values(CLOSE).map(String),
  'stampede_decisions_total.outcome': Object.keys(ERRORS),
  'stampede_holds_total.outcome': ['made', 'offered', 'confirmed', 'released', 'expired'],
  'stampede_units_total.outcome': ['made', 'offered', 'confirmed', 'released', 'expired'],
  'stampede_books_verified_total.result': ['intact', 'repaired', 'untrusted'],
  'stampede_jobs_total.outcome': ['completed', 'failed'],
  'stampede_job_last_run_timestamp_seconds.task': ['sweep', 'moment'],
};

/** Returns the labels that the result of the expression may have. */
function checkExpression(t: Test, where: string, text: string): Set<string> {
  const { selectors, groupings } = readPromql(text.replaceAll(/\$__(?:rate_interval|range)/g, '5m'));
  const all = new Set<string>();
  for (const { metric, matchers } of selectors) {
    const labels = labelsOf.get(metric);
    if (labels === undefined) t.fail(`${where}: no metric ${metric}`);
    for (const label of labels ?? []) all.add(label);
    for (const { label, value } of matchers) {
      if (!labels?.includes(label)) t.fail(`${where}: ${metric} has no label ${label}`);
      const known = VALUES[`${metric}.${label}`];
      if (known === undefined && value !== '$node' && value !== '5..')
        t.fail(`${where}: values of ${label} are unknown`);
      for (const each of value.split('|'))
        if (known?.includes(each) === false) t.fail(`${where}: ${label} of ${metric} is never ${each}`);
    }
  }
  for (const label of groupings) if (!all.has(label)) t.fail(`${where}: no metric has the label ${label}`);
  return all;
}

t.test('each alert uses existing metrics, and says what happens, what to do and where to read on', async (t) => {
  const runbook = new Set([...read('scripts/deploy/README.md').matchAll(/^##+ (.+)$/gm)].map(([, title]) => title));
  const anchors = [...runbook].map((title) =>
    String(title)
      .toLowerCase()
      .replace(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
  t.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length, 'names are unique');
  for (const { alert, expr, labels, annotations } of rules) {
    const names = checkExpression(t, alert, expr);
    t.ok(['critical', 'warning'].includes(labels.severity), alert);
    const { summary, action, runbook: link } = annotations;
    for (const text of [summary, action]) t.match(text, /\.$/, `${alert} has whole sentences`);
    for (const [, label = ''] of summary.matchAll(/\$labels\.(\w+)/g)) t.ok(names.has(label), `${alert} has ${label}`);
    const [file, anchor = ''] = link.split('#');
    t.equal(file, 'scripts/deploy/README.md');
    t.ok(anchors.includes(anchor), `${alert}: the heading ${anchor} exists`);
  }
});

t.test('each state of Redis has exactly one alert', async (t) => {
  const states = rules.flatMap(({ expr }) =>
    readPromql(expr)
      .selectors.filter(({ metric }) => metric === 'stampede_redis_state')
      .flatMap(({ matchers }) => matchers.flatMap(({ value }) => value.split('|'))),
  );
  t.same(states.sort(), [...REDIS_STATES].sort());
});

t.test('the panels of the dashboard use existing metrics, have ids and do not overlap', async (t) => {
  const { panels, templating } = dashboard;
  t.match(templating.list, [
    { name: 'datasource', type: 'datasource', query: 'prometheus' },
    { name: 'node', type: 'query' },
  ]);
  checkExpression(
    t,
    'variable node',
    templating.list[1]!.query.replace(/^label_values\((\w+), (\w+)\)$/, 'count by ($2) ($1)'),
  );
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  t.same(
    panels.filter(({ type }) => type === 'row').map(({ title }) => title),
    ['Viewers', 'Sale', 'Chat', 'Redis', 'Processes'],
  );
  const cells = new Set<string>();
  for (const { title, type, gridPos, datasource, targets = [] } of panels) {
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) {
        if (cells.has(`${x},${y}`) || x >= 24) t.fail(`${title} overlaps`);
        cells.add(`${x},${y}`);
      }
    }
    if (type === 'row') continue;
    t.match(datasource?.uid, /^\$\{datasource\}$/, title);
    t.ok(targets.length > 0, title);
    for (const { expr, legendFormat } of targets) {
      const names = checkExpression(t, title, expr);
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
        t.ok(names.has(label), `${title}: ${label}`);
    }
  }
});

const promtool = (...args: string[]) => spawnSync('promtool', args, { encoding: 'utf8' });
const skip = promtool('--version').error === undefined ? false : 'promtool is not installed';

t.test('each alert fires in its case and no other alert does, and none in a healthy engine', { skip }, async (t) => {
  t.same(ALERT_CASES.map(({ alert }) => alert).sort(), rules.map(({ alert }) => alert).sort());
  const cases = [{ alert: null, series: {}, evalTime: '12m' }, ...ALERT_CASES];
  const tests = cases.map(({ alert, series, evalTime = '12m' }) => ({
    name: alert ?? 'healthy',
    interval: '15s',
    input_series: Object.entries({ ...HEALTHY, ...series })
      .filter(([, values]) => values !== null)
      .map(([name, values]) => ({ series: name, values })),
    promql_expr_test: [
      {
        expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
        eval_time: evalTime,
        exp_samples: alert === null ? [] : [{ labels: `{alertname="${alert}"}`, value: 1 }],
      },
    ],
  }));
  const file = join(t.testdir({}), 'cases.json');
  writeFileSync(file, JSON.stringify({ rule_files: [RULES_FILE], evaluation_interval: '30s', tests }));
  for (const args of [
    ['check', 'rules', RULES_FILE],
    ['test', 'rules', file],
  ]) {
    const { status, stdout, stderr } = promtool(...args);
    t.equal(status, 0, `${stdout}${stderr}`);
  }
});
