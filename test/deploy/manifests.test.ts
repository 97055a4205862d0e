/** The Kubernetes manifests and the systemd unit agree with settings, ports, paths and times. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Deployment } from 'kubernetes-types/apps/v1.js';
import type { HorizontalPodAutoscaler } from 'kubernetes-types/autoscaling/v2.js';
import type { ConfigMap, Container, Secret, Service } from 'kubernetes-types/core/v1.js';
import type { NetworkPolicy } from 'kubernetes-types/networking/v1.js';
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js';
import t from 'tap';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig, SETTINGS, VERSION } from '../../src/config/index.ts';
import { LIMITS } from '../../src/limits.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { SHARED_SECRETS } from '../cli/program.ts';
import { startLiveEngine } from '../support/live-engine.ts';
import { ROOT } from '../support/root.ts';
import { read, readImage } from './compose.ts';

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

const FOLDER = 'scripts/deploy/kubernetes';
const { resources } = parse(read(`${FOLDER}/kustomization.yaml`)) as { resources: string[] };
const manifests = [...resources, 'secret.example.yaml'].flatMap((file) =>
  parseAllDocuments(read(`${FOLDER}/${file}`)).map((document) => document.toJS() as Manifest),
);
const all = <T>(kind: string): T[] => manifests.filter((each) => each.kind === kind) as unknown as T[];
const deployments = all<Deployment>('Deployment');
const podOf = (deployment: Deployment) => deployment.spec!.template!;
const containerOf = (deployment: Deployment): Container => podOf(deployment).spec!.containers[0]!;
const variables = new Set(Object.values(SETTINGS).map(({ variable }) => variable));
const STOP_MS_MAX = LIMITS.drainMs + LIMITS.jobStopMs + LIMITS.redisCommandTimeoutMs;

t.test('each manifest has the fields and types of the Kubernetes API, and no others', async (t) => {
  const typed = manifests.map((manifest) => {
    const group = manifest.apiVersion.replace('.k8s.io', '').replace(/^v1$/, 'core/v1');
    const type = `import('kubernetes-types/${group}.js').${manifest.kind}`;
    return `(${JSON.stringify(manifest)}) satisfies ${type};`;
  });
  const file = join(t.testdir({}), 'manifests.ts');
  const check = (lines: readonly string[]) => {
    writeFileSync(file, lines.join('\n'));
    const tsc = [join(ROOT, 'node_modules/typescript/bin/tsc'), '--noEmit', '--strict', '--skipLibCheck'];
    const flags = ['--module', 'nodenext', '--types', '', '--ignoreConfig', file];
    return spawnSync('env', ['-u', 'NODE_OPTIONS', process.execPath, ...tsc, ...flags], { encoding: 'utf8' });
  };
  const { status, stdout } = check(typed);
  t.equal(status, 0, stdout);
  t.match(check([typed.join('\n').replace('enableServiceLinks', 'enableServiceLink')]).stdout, /enableServiceLink/);
});

t.test('the environment of each Deployment is a valid configuration', async (t) => {
  const [config] = all<ConfigMap>('ConfigMap');
  const [secret] = all<Secret>('Secret');
  const values = { ...SHARED_SECRETS, REDIS_URL: 'redis://stampede:p@redis:6379' };
  t.same(Object.keys(secret?.stringData ?? {}).sort(), Object.keys(values).sort());
  t.same(
    deployments.map(({ metadata }) => metadata?.name),
    ['stampede-gateway', 'stampede-control'],
  );
  for (const deployment of deployments) {
    const env: Record<string, string> = { ...readImage().environment, ...config?.data };
    t.match(containerOf(deployment).envFrom, [{ configMapRef: { name: config?.metadata?.name } }]);
    for (const { name, value, valueFrom } of containerOf(deployment).env ?? []) {
      if (valueFrom?.secretKeyRef) t.match(valueFrom.secretKeyRef, { name: secret?.metadata?.name, key: name });
      if (valueFrom?.fieldRef) t.equal(valueFrom.fieldRef.fieldPath, 'metadata.name');
      env[name] =
        value ?? (valueFrom?.fieldRef ? 'stampede-gateway-5d5f8c-x7k2p' : values[name as keyof typeof values]);
    }
    const loaded = loadConfig({ argv: [], env, purpose: 'serve' });
    t.ok(loaded.ok, JSON.stringify(loaded));
    if (!loaded.ok) continue;
    const { roles, nodeName, gatewayPort, controlPort, metricsPort, host } = loaded.config;
    t.equal(nodeName, env.NODE_NAME);
    t.equal(host, '0.0.0.0');
    t.same(
      Object.keys(env).filter((name) => name !== 'NODE_ENV' && !variables.has(name)),
      [],
    );
    const ports = (containerOf(deployment).ports ?? []).map(({ name, containerPort }) => [name, containerPort]);
    const port = roles.includes('gateway') ? gatewayPort : controlPort;
    t.same(ports, [
      ['http', port],
      ['metrics', metricsPort],
    ]);
    t.equal(podOf(deployment).metadata?.annotations?.['prometheus.io/port'], String(metricsPort));
  }
});

t.test('each pod is safe, probed on paths that exist, and has time to drain', async (t) => {
  const { controlUrl, gatewayUrl } = await startLiveEngine(t);
  for (const deployment of deployments) {
    const { spec } = podOf(deployment);
    const container = containerOf(deployment);
    t.match(spec, { enableServiceLinks: false, automountServiceAccountToken: false });
    t.match(spec?.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    const locked = { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } };
    t.match(container.securityContext, locked);
    t.equal(container.image, `stampede:${VERSION}`);
    const origin = container.name === 'gateway' ? gatewayUrl.replace('ws', 'http') : controlUrl;
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe'] as const) {
      const get = container[probe]?.httpGet;
      t.equal(get?.port, 'http');
      t.equal(get?.path, probe === 'readinessProbe' ? '/readyz' : '/healthz');
      t.equal((await fetch(`${origin}${get?.path}`)).status, 200, `${container.name} ${get?.path}`);
    }
    const [, seconds] = container.lifecycle?.preStop?.exec?.command ?? [];
    t.ok(Number(seconds) >= 5, 'endpoints are removed before the drain');
    t.ok((spec?.terminationGracePeriodSeconds ?? 0) * 1000 > Number(seconds) * 1000 + STOP_MS_MAX);
    t.match(deployment.spec?.strategy, { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }, 'one pod at a time');
    t.ok(container.resources?.requests?.cpu && container.resources.limits?.memory);
    t.notOk(container.resources?.limits?.cpu, 'throttling would delay every viewer');
  }
});

t.test('Services, budgets and policies select the pods and ports that exist', async (t) => {
  const labels = deployments.map((deployment) => podOf(deployment).metadata?.labels ?? {});
  const selects = (selector: Record<string, string> = {}): number =>
    labels.filter((each) => Object.entries(selector).every(([name, value]) => each[name] === value)).length;
  const portNames = new Set(deployments.flatMap((each) => containerOf(each).ports?.map(({ name }) => name) ?? []));
  for (const deployment of deployments) t.equal(selects(deployment.spec?.selector.matchLabels), 1);
  const spreads = deployments.flatMap((each) => podOf(each).spec?.topologySpreadConstraints ?? []);
  for (const { labelSelector } of spreads) t.equal(selects(labelSelector?.matchLabels), 1);
  for (const { spec } of all<Service>('Service')) {
    t.equal(selects(spec?.selector), 1);
    for (const { targetPort } of spec?.ports ?? []) t.ok(portNames.has(String(targetPort)));
  }
  const budgets = all<PodDisruptionBudget>('PodDisruptionBudget');
  t.equal(budgets.length, deployments.length);
  for (const { spec } of budgets) t.ok(selects(spec?.selector?.matchLabels) === 1 && spec?.maxUnavailable === 1);
  for (const { spec } of all<NetworkPolicy>('NetworkPolicy')) {
    t.equal(selects(spec?.podSelector.matchLabels), deployments.length);
    for (const { ports = [] } of spec?.ingress ?? [])
      for (const { port } of ports) t.ok(portNames.has(String(port)), String(port));
  }
});

t.test('gateways scale by metrics that exist, at once up and slowly down', async (t) => {
  const [scaler] = all<HorizontalPodAutoscaler>('HorizontalPodAutoscaler');
  const { scaleTargetRef, metrics = [], behavior, minReplicas = 0 } = scaler?.spec ?? {};
  t.match(scaleTargetRef, { kind: 'Deployment', name: deployments[0]?.metadata?.name });
  t.ok(minReplicas >= 2, 'a pod may fail');
  const registered = new Set(
    createMetrics()
      .registry.getMetricsAsArray()
      .map(({ name }) => name),
  );
  const named = metrics.flatMap(({ pods }) => pods?.metric.name ?? []);
  t.ok(named.includes('stampede_connections') && named.includes('nodejs_eventloop_lag_p99_seconds'));
  for (const name of named) t.ok(registered.has(name), name);
  const connections = metrics.find(({ pods }) => pods?.metric.name === 'stampede_connections')?.pods?.target;
  const most = Number(all<ConfigMap>('ConfigMap')[0]?.data?.CONNECTIONS_MAX);
  t.ok(Number(connections?.averageValue) < 0.8 * most, 'before the gateways are full');
  t.equal(behavior?.scaleUp?.stabilizationWindowSeconds, 0);
  t.ok((behavior?.scaleDown?.stabilizationWindowSeconds ?? 0) >= 600, 'a PodDisruptionBudget does not slow it');
  t.match(behavior?.scaleDown?.policies, [{ type: 'Pods', value: 1 }]);
  const rules = read('scripts/deploy/README.md');
  for (const name of named) t.match(rules, `seriesQuery: ${name}{`, 'prometheus-adapter offers it');
});

t.test('the systemd unit drains, restarts and allows a full gateway', async (t) => {
  const unit = Object.fromEntries(
    [...read('scripts/deploy/systemd/stampede.service').matchAll(/^(\w+)=(.*)$/gm)].map(([, key, value]) => [
      key,
      value,
    ]),
  ) as Record<string, string>;
  t.equal(
    unit.ExecStart,
    `/usr/bin/node ${readImage().command.slice(1).join(' ').replace('dist', '/opt/stampede/dist')}`,
  );
  t.ok(Number(unit.TimeoutStopSec) * 1000 > STOP_MS_MAX);
  t.match(unit, { Restart: 'always', KillMode: 'mixed', StartLimitIntervalSec: '0', StateDirectory: 'stampede' });
  t.ok(Number(unit.LimitNOFILE) > LIMITS.connectionsPerNodeMax);
  const set = (unit.Environment ?? '').split(' ').map((each) => each.split('='));
  const { NODE_ENV: mode, ...env } = Object.fromEntries(set) as Record<string, string>;
  t.equal(mode, 'production');
  for (const name of Object.keys(env)) t.ok(variables.has(name), name);
  t.match(loadConfig({ argv: [], env }), { ok: true, config: { dataDir: '/var/lib/stampede', metricsPort: 8082 } });
});
