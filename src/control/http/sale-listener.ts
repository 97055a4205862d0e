/** Reports changes of sales to the listener of the process, which plans their moments. */
import type { FastifyRequest } from 'fastify';
import type { SaleBooks } from '../../domain/sale.ts';
import type { ControlDeps } from '../deps.ts';

/** The change is committed, so a failing listener is logged and changes no response. */
export function notifyListener(
  { onSaleChanged }: ControlDeps,
  request: FastifyRequest,
  show: string,
  sale: SaleBooks,
): void {
  if (!onSaleChanged) return;
  new Promise((resolve) => resolve(onSaleChanged(show, sale))).catch((err: unknown) =>
    request.log.warn({ err, show, sale: sale.id }, 'listener to sale changes failed'),
  );
}

/** Runs the end or the deletion of a show, after which its sales have no moment ahead. */
export async function endingSales<T>(
  deps: ControlDeps,
  request: FastifyRequest,
  show: string,
  work: () => Promise<T>,
): Promise<T> {
  // Read before: a show that is deleted has none. Those that cannot be read keep their moments.
  const sales = deps.onSaleChanged ? await deps.store.listSales(show) : null;
  const done = await work();
  if (sales?.ok) for (const sale of sales.value) notifyListener(deps, request, show, { ...sale, state: 'ended' });
  return done;
}
