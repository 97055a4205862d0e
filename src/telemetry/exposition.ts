/** The text of a scrape: the metrics of this process, and of workers that sent theirs. */
import { type MetricObjectWithValues, type MetricValue, Registry } from 'prom-client';

/** A metric with its samples. The label `node` names the process. */
export type MetricFamily = MetricObjectWithValues<MetricValue<string>>;

export const METRICS_MEDIA_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

export const familiesOf = (registry: Registry): Promise<MetricFamily[]> =>
  registry.getMetricsAsJSON() as Promise<MetricFamily[]>;

/** Returns the text of several processes. Samples of one metric must be one group of lines. */
export function expositionText(processes: ReadonlyArray<readonly MetricFamily[]>): Promise<string> {
  const merged = new Map<string, MetricFamily>();
  for (const family of processes.flat()) {
    const known = merged.get(family.name);
    merged.set(family.name, { ...family, values: [...(known?.values ?? []), ...family.values] });
  }
  const registry = new Registry();
  for (const family of merged.values()) {
    const metric = { ...family, get: async () => family };
    registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0]);
  }
  return registry.metrics();
}
