import { type TSchema, Type } from 'typebox';
import type { SaleMove } from '../../domain/sale.ts';
import type { ErrorCode } from '../../protocol/codes.ts';
import type { ControlDeps } from '../deps.ts';
import { EmptyBody } from '../http/fields.ts';
import { commandOf } from '../http/idempotency.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { type App, listedIn, unwrap } from '../http/routing.ts';
import { notifyListener } from '../http/sale-listener.ts';
import {
  ExtendBody,
  NewSale,
  OpenBody,
  Sale,
  SaleEditBody,
  SaleList,
  SaleParams,
  SaleSchema,
  ScheduleBody,
  UnitsBody,
} from './schemas.ts';

const { operation, showOperation } = operationsOf('sales');

interface Move {
  readonly summary: string;
  readonly body: TSchema;
  readonly errors?: readonly ErrorCode[];
}

/** Each move has a route, so that logs and permissions can distinguish them. */
const MOVES: Readonly<Record<SaleMove['op'], Move>> = {
  schedule: { summary: 'Plan or replan the window', body: ScheduleBody },
  open: { summary: 'Open now', body: OpenBody },
  pause: { summary: 'Refuse new reservations until the sale is resumed', body: EmptyBody },
  resume: { summary: 'End a pause', body: EmptyBody },
  extend: { summary: 'Close later', body: ExtendBody },
  end: { summary: 'End now; open holds may still be confirmed until they expire', body: EmptyBody },
  cancel: { summary: 'Cancel now; open holds are released', body: EmptyBody },
  units: {
    summary: 'Add units, or withdraw free ones',
    body: UnitsBody,
    errors: ['sku_not_found', 'insufficient_units', 'limit_reached'],
  },
};

export const sales: Resource = {
  tags: [{ name: 'sales', description: 'Flash sales: units at a price, a per-buyer limit and a time window' }],
  schemas: [SaleSchema],
  register(app, deps) {
    const { store } = deps;
    app.post(
      '/shows/:show/sales',
      showOperation({
        summary: 'Plan a flash sale',
        description:
          'Give each end of the window in one way: `opensAt` or `opensInMs`, `closesAt` or `durationMs`. Without an ' +
          'opening the sale is a draft, which you open with `open`.',
        keyed: 'script',
        body: NewSale,
        response: { 201: Sale },
        errors: ['show_ended', 'product_not_found', 'sku_not_in_product', 'already_exists', 'limit_reached'],
      }),
      async (request, reply) => {
        const { show } = request.params;
        const sale = unwrap(await store.createSale(show, request.body, commandOf(request)));
        notifyListener(deps, request, show, sale);
        reply.code(201).header('location', `sales/${sale.id}`);
        return sale;
      },
    );
    app.get(
      '/shows/:show/sales',
      showOperation({ summary: 'List the sales of a show with their books', response: { 200: SaleList } }),
      async ({ params: { show } }) => {
        const [sales, rest] = await listedIn((onUnreadable) => store.listSales(show, onUnreadable));
        return { sales, ...rest };
      },
    );
    app.get(
      '/shows/:show/sales/:sale',
      operation({
        summary: 'Get a sale with its books',
        params: SaleParams,
        response: { 200: Sale },
        errors: ['sale_not_found'],
      }),
      async (request) => unwrap(await store.getSale(request.params.show, request.params.sale)),
    );
    app.patch(
      '/shows/:show/sales/:sale',
      operation({
        summary: 'Change a draft',
        description:
          'Its title, its hold time, its end, its SKUs and their price and quantity. `schedule` and `open` set its ' +
          'opening. A smaller quantity withdraws units. Another per-buyer limit of the sale needs another sale.',
        keyed: 'script',
        params: SaleParams,
        body: SaleEditBody,
        response: { 200: Sale },
        errors: [
          ...(['sale_not_found', 'sku_not_found', 'illegal_move', 'limit_reached', 'overloaded'] as const),
          ...(['product_not_found', 'sku_not_in_product', 'already_exists'] as const),
        ],
      }),
      async (request) => {
        const { show, sale } = request.params;
        const books = unwrap(await store.editSale(show, sale, request.body, commandOf(request)));
        notifyListener(deps, request, show, books);
        return books;
      },
    );
    app.delete(
      '/shows/:show/sales/:sale',
      operation({
        summary: 'Delete a draft',
        description: 'Other sales are cancelled or ended instead (`illegal_move`). The id stays in use.',
        keyed: 'script',
        params: SaleParams,
        response: { 204: Type.Null() },
        errors: ['sale_not_found', 'illegal_move', 'unsupported_media_type', 'frame_too_large'],
      }),
      async (request, reply) => {
        const { show, sale } = request.params;
        const books = unwrap(await store.deleteSale(show, sale, commandOf(request)));
        notifyListener(deps, request, show, books);
        reply.code(204);
        return null;
      },
    );
    for (const op of Object.keys(MOVES) as Array<SaleMove['op']>) registerMove(app, deps, op, MOVES[op]);
  },
};

function registerMove(app: App, deps: ControlDeps, op: SaleMove['op'], { summary, body, errors = [] }: Move): void {
  app.post(
    `/shows/:show/sales/:sale/${op}`,
    operation({
      summary,
      keyed: 'script',
      params: SaleParams,
      body,
      response: { 200: Sale },
      errors: ['sale_not_found', 'illegal_move', ...errors],
    }),
    async (request) => {
      const { show, sale } = request.params;
      // The schema of the route has validated the fields of the move.
      const move = { op, ...(request.body as object) } as SaleMove;
      const books = unwrap(await deps.store.moveSale(show, sale, move, commandOf(request)));
      notifyListener(deps, request, show, books);
      return books;
    },
  );
}
