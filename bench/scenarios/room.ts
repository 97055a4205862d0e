/** Shows of a run: created over HTTP like a host does, without products, and started. */
import { randomBytes } from 'node:crypto';
import type { ShowSpec } from '../../src/domain/show.ts';
import type { Host } from '../evening/host.ts';
import { AHEAD_MS, type Run } from './scenario-run.ts';
import type { Target } from './target.ts';

/** Returns the id, which is unique per run, so that one engine can serve many runs. */
export async function openRoom({ office, engine }: Target, label: string, more: Partial<ShowSpec> = {}) {
  const show = `bench-${label}-${randomBytes(4).toString('hex')}`;
  const spec = { id: show, title: `Bench: ${label}`, guests: true, brands: [{ id: 'brand', name: 'Brand' }], ...more };
  if (office !== null) {
    await office.createShow(spec);
    await office.startShow(show);
  } else if (engine !== null) {
    for (const result of [await engine.store.createShow(spec, 'bench'), await engine.store.startShow(show, 'bench')])
      if (!result.ok) throw new Error(result.error.message);
  } else {
    throw new Error('creating a show needs the control API or an engine of this run');
  }
  return show;
}

/** Joins viewers at a steady rate. Rejects if they are not all in `waitMs` after the last one. */
export async function joinEvenly(
  run: Pick<Run, 'fleet' | 'phase' | 'gauge'>,
  host: Pick<Host, 'command'>,
  viewers: number,
  perSecond: number,
  waitMs: number,
): Promise<void> {
  const overMs = (viewers * 1000) / perSecond;
  const fromMs = run.fleet.secondAfter(AHEAD_MS);
  run.phase('joining', { fromMs, forMs: overMs });
  host.command({ do: 'join', atMs: fromMs, from: 0, to: viewers, overMs, shape: 'even' });
  await run.fleet.until(fromMs + overMs);
  await run.fleet.when(`${viewers} viewers to join`, () => run.gauge('viewers') >= viewers, waitMs);
}
