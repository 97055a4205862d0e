/** A result in which every text tries to become markup or script. */
import type { BenchResult } from '../../bench/report/result.ts';
import { exampleResult } from './example-result.ts';

export const ATTACK =
  `"'></script></style></svg><script>document.title='owned'</script>` +
  `<img src=x onerror="document.title='owned'"><b onmouseover=alert(1)>\u0000\u202e`;

const INTERPRETED = new Set(['schema', 'startedAt', 'group', 'better', 'histogram']);

/** Replaces every string except those that the program interprets. */
function poisoned(value: unknown): unknown {
  if (typeof value === 'string') return ATTACK;
  if (Array.isArray(value)) return value.map(poisoned);
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).map(([key, entry]) => [key, INTERPRETED.has(key) ? entry : poisoned(entry)]);
  return Object.fromEntries(fields);
}

export function hostileResult(): BenchResult {
  const result = poisoned(exampleResult({ kind: 'failing', seconds: 30 })) as BenchResult;
  return { ...result, parameters: { [ATTACK]: ATTACK } };
}
