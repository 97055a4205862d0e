/** A show for a run: made over HTTP as a host makes it, empty but open. */
import { randomBytes } from 'node:crypto';
import type { ShowSpec } from '../../src/domain/show.ts';
import type { Target } from './target.ts';

/** Its id; every run has one of its own, so that a running engine can be used again and again. */
export async function openRoom(
  { office, engine }: Target,
  label: string,
  more: Partial<ShowSpec> = {},
): Promise<string> {
  const show = `bench-${label}-${randomBytes(4).toString('hex')}`;
  const spec = { id: show, title: `Bench: ${label}`, guests: true, brands: [{ id: 'brand', name: 'Brand' }], ...more };
  if (office !== null) {
    await office.createShow(spec);
    await office.startShow(show);
  } else if (engine !== null) {
    for (const made of [await engine.store.createShow(spec, 'bench'), await engine.store.startShow(show, 'bench')])
      if (!made.ok) throw new Error(made.error.message);
  } else {
    throw new Error('there is nobody to make a show');
  }
  return show;
}
