/**
 * Sales and their moves. One address a move, so that logs and permissions can tell them apart;
 * behind all of them stands one store command.
 */
import type { FastifyRequest } from 'fastify';
import type { SaleBooks, SaleMove } from '../../domain/sale.ts';
import type { ErrorCode } from '../../protocol/codes.ts';
import type { ControlDeps } from '../deps.ts';
import { EmptyBody, SaleParams, ShowParams } from '../http/fields.ts';
import { commandOf } from '../http/idempotency.ts';
import { problems } from '../http/problem-schema.ts';
import { type App, unwrap } from '../http/routing.ts';
import { ExtendBody, NewSale, OpenBody, Sale, SaleList, ScheduleBody, UnitsBody } from './schemas.ts';

const tags = ['sales'];
/** Key and change are one script. */
const config = { keyed: 'script' } as const;
const MOVED: ErrorCode[] = ['show_not_found', 'sale_not_found', 'illegal_move'];

export function registerSales(app: App, deps: ControlDeps): void {
  const { store } = deps;
  app.post(
    '/shows/:show/sales',
    {
      config,
      schema: {
        tags,
        summary: 'Plan a flash sale',
        description:
          'Give each end of the window one way: `opensAt` or `opensInMs`, `closesAt` or `durationMs`. Without an opening the sale is a draft and opens by hand.',
        params: ShowParams,
        body: NewSale,
        response: {
          201: Sale,
          ...problems(['show_not_found', 'show_ended', 'product_not_found', 'already_exists', 'limit_reached']),
        },
      },
    },
    async (request, reply) => {
      const { show } = request.params;
      const sale = unwrap(await store.createSale(show, request.body, commandOf(request)));
      tell(deps, request, show, sale);
      reply.code(201).header('location', `/v1/shows/${show}/sales/${sale.id}`);
      return sale;
    },
  );
  app.get(
    '/shows/:show/sales',
    {
      schema: {
        tags,
        summary: 'Sales of a show with their books',
        params: ShowParams,
        response: { 200: SaleList, ...problems(['show_not_found'], { bodiless: true }) },
      },
    },
    async (request) => ({
      sales: unwrap(await store.listSales(request.params.show)),
    }),
  );
  app.get(
    '/shows/:show/sales/:sale',
    {
      schema: {
        tags,
        summary: 'One sale with its books',
        params: SaleParams,
        response: { 200: Sale, ...problems(['show_not_found', 'sale_not_found'], { bodiless: true }) },
      },
    },
    async (request) => unwrap(await store.getSale(request.params.show, request.params.sale)),
  );
  registerMoves(app, deps);
}

function registerMoves(app: App, deps: ControlDeps): void {
  const move = async (
    request: FastifyRequest & { params: { show: string; sale: string } },
    change: SaleMove,
  ): Promise<SaleBooks> => {
    const { show, sale } = request.params;
    const books = unwrap(await deps.store.moveSale(show, sale, change, commandOf(request)));
    tell(deps, request, show, books);
    return books;
  };
  const response = { 200: Sale, ...problems(MOVED) };
  const shared = { tags, params: SaleParams, response };

  app.post(
    '/shows/:show/sales/:sale/schedule',
    { config, schema: { ...shared, summary: 'Plan or replan the window', body: ScheduleBody } },
    (request) => move(request, { op: 'schedule', ...request.body }),
  );
  app.post(
    '/shows/:show/sales/:sale/open',
    { config, schema: { ...shared, summary: 'Open now', body: OpenBody } },
    (request) => move(request, { op: 'open', ...request.body }),
  );
  app.post(
    '/shows/:show/sales/:sale/pause',
    { config, schema: { ...shared, summary: 'Refuse new reservations for a while', body: EmptyBody } },
    (request) => move(request, { op: 'pause' }),
  );
  app.post(
    '/shows/:show/sales/:sale/resume',
    { config, schema: { ...shared, summary: 'Go on after a pause', body: EmptyBody } },
    (request) => move(request, { op: 'resume' }),
  );
  app.post(
    '/shows/:show/sales/:sale/extend',
    { config, schema: { ...shared, summary: 'Close later', body: ExtendBody } },
    (request) => move(request, { op: 'extend', ...request.body }),
  );
  app.post(
    '/shows/:show/sales/:sale/end',
    {
      config,
      schema: { ...shared, summary: 'End now; open holds may still be confirmed until they lapse', body: EmptyBody },
    },
    (request) => move(request, { op: 'end' }),
  );
  app.post(
    '/shows/:show/sales/:sale/cancel',
    { config, schema: { ...shared, summary: 'Cancel now; open holds are released', body: EmptyBody } },
    (request) => move(request, { op: 'cancel' }),
  );
  app.post(
    '/shows/:show/sales/:sale/units',
    {
      config,
      schema: {
        ...shared,
        summary: 'Add units, or withdraw free ones',
        body: UnitsBody,
        response: { 200: Sale, ...problems([...MOVED, 'sku_not_found', 'insufficient_units', 'limit_reached']) },
      },
    },
    (request) => move(request, { op: 'units', ...request.body }),
  );
}

/** The change is committed: whatever the listener does, the caller gets its answer. */
function tell({ onSaleChanged }: ControlDeps, request: FastifyRequest, showId: string, sale: SaleBooks): void {
  if (!onSaleChanged) return;
  new Promise((resolve) => resolve(onSaleChanged(showId, sale))).catch((err: unknown) =>
    request.log.warn({ err, show: showId, sale: sale.id }, 'the listener to sale changes failed'),
  );
}
