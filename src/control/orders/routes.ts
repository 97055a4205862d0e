import type { FastifyReply } from 'fastify';
import type { BookedFilter, BookedQuery } from '../../domain/order.ts';
import { orderOf } from '../../domain/order.ts';
import { LIMITS } from '../../limits.ts';
import { commandOf } from '../http/idempotency.ts';
import { operationsOf, type Resource } from '../http/resource.ts';
import { listedIn, unwrap } from '../http/routing.ts';
import { sendFile } from './files.ts';
import { listPage, openPages } from './pages.ts';
import {
  BookedExportQuery,
  BookedList,
  BookedListQuery,
  BookedSchema,
  ExportFile,
  OrderChangeBody,
  OrderExportQuery,
  OrderList,
  OrderListQuery,
  OrderParams,
  OrderSchema,
  OrderView,
  RefundBody,
  RefundView,
} from './schemas.ts';

const { operation, showOperation } = operationsOf('orders');

const PAGES =
  'In the order in which they were made, a page at a time. One page reads a bounded part of the ledger: with a ' +
  'filter that few match it may have fewer items than `limit`, or none. Go on until `next` is null.';
const ARCHIVED = ' The files of an archived show are in a fixed order, which `order` does not change.';
const FILES =
  'Streamed: a CSV file as in RFC 4180 with one row for each item, or JSON Lines with the objects of the list. ' +
  'Oldest first; of an archived show in the order of its files. `amount` is that of the whole reservation, in its ' +
  'first row only. Money is in minor units, times are RFC 3339. In CSV a text that begins with `=`, `+`, `-`, `@`, a ' +
  "tab or a carriage return gets a `'` in front, so that no program for spreadsheets runs it.";

type ExportQuery = typeof BookedExportQuery | typeof OrderExportQuery;
type Query = { limit?: string; order?: 'newest' | 'oldest' } & Omit<BookedFilter, 'isOrder'> & { after?: string };

const pageOf = ({ limit, order = 'newest', ...filter }: Query, isOrder: boolean): BookedQuery => ({
  ...filter,
  ...{ isOrder, isNewestFirst: order === 'newest' },
  limit: limit === undefined ? LIMITS.listedItemsDefault : Number(limit),
});

export const orders: Resource = {
  tags: [{ name: 'orders', description: 'Lists and files of what was reserved and bought' }],
  schemas: [BookedSchema, OrderSchema],
  register(app, deps) {
    const list = (show: string, query: Query, isOrder: boolean) =>
      listedIn((onUnreadable) => listPage(deps, show, pageOf(query, isOrder), onUnreadable));
    const send = async (
      reply: FastifyReply,
      show: string,
      { format = 'csv', bom, ...filter }: Omit<BookedFilter, 'isOrder'> & { format?: 'csv' | 'jsonl'; bom?: '1' },
      isOrder: boolean,
    ): Promise<never> => {
      const pages = await openPages(deps, show, { ...filter, isOrder });
      const name = `${show}-${isOrder ? 'orders' : 'reservations'}`;
      const { exportIdleMs: idleMs = LIMITS.exportIdleMs } = deps.options;
      return sendFile(reply, name, pages, { format, hasBom: bom === '1', isOrder, idleMs }) as never;
    };

    app.get(
      '/shows/:show/reservations',
      showOperation({
        summary: 'List the reservations of a show',
        description: PAGES + ARCHIVED,
        querystring: BookedListQuery,
        response: { 200: BookedList },
        errors: ['archive_failed', 'archive_conflict'],
      }),
      async ({ params: { show }, query }) => {
        const [{ items, next }, rest] = await list(show, query, false);
        return { reservations: [...items], next, ...rest };
      },
    );
    app.get(
      '/shows/:show/orders',
      showOperation({
        summary: 'List the orders of a show',
        description: `The reservations that were confirmed, also those that were refunded since. ${PAGES}${ARCHIVED}`,
        querystring: OrderListQuery,
        response: { 200: OrderList },
        errors: ['archive_failed', 'archive_conflict'],
      }),
      async ({ params: { show }, query }) => {
        const [{ items, next }, rest] = await list(show, query, true);
        return { orders: items.map(orderOf), next, ...rest };
      },
    );
    app.get(
      '/shows/:show/orders/:order',
      operation({
        summary: 'Get an order',
        params: OrderParams,
        response: { 200: OrderView },
        errors: ['reservation_not_found'],
      }),
      async ({ params: { show, order } }) => orderOf(unwrap(await deps.store.getOrder(show, order))),
    );
    app.patch(
      '/shows/:show/orders/:order',
      operation({
        summary: 'Note something of an order, or that it was fulfilled',
        description:
          'Also after the end of the show, until it is archived. Viewers do not see it. A reservation that is no ' +
          'order is refused (`illegal_move`). An erasure of the buyer removes note, tracking and refund reason.',
        params: OrderParams,
        body: OrderChangeBody,
        response: { 200: OrderView },
        errors: ['reservation_not_found', 'overloaded'],
      }),
      async ({ params: { show, order }, body }) => orderOf(unwrap(await deps.store.changeOrder(show, order, body))),
    );
    app.post(
      '/shows/:show/orders/:order/refund',
      operation({
        summary: 'Refund or cancel an order',
        description:
          'Records that you returned the money, or cancelled the order; it moves no money. Always the whole order, ' +
          'once: another refund gets `reservation_refunded`. Its units become available again, and the waitlist of ' +
          'an open sale gets them first; with `"restock": false` they are withdrawn. They no longer count for the ' +
          'limit of the buyer, who is notified. The order reference stays in use. Also after the end of the sale and ' +
          'of the show, until the show is archived (`show_archived`). A reservation that is no order is refused ' +
          '(`illegal_move`). `overloaded`: a process of release 0.1.0 still runs, or the buyer is being erased.',
        keyed: 'script',
        params: OrderParams,
        body: RefundBody,
        response: { 200: RefundView },
        errors: ['reservation_not_found', 'reservation_refunded', 'overloaded'],
      }),
      async (request) => {
        const { show, order } = request.params;
        const { restock = true, ...reason } = request.body;
        const refund = unwrap(await deps.store.refundOrder(show, { order, restock, ...reason }, commandOf(request)));
        return { ...refund, order: orderOf(refund.order) };
      },
    );
    const exportRoute = (what: 'reservations' | 'orders', querystring: ExportQuery): void => {
      app.get(
        `/shows/:show/${what}/export`,
        {
          exposeHeadRoute: false,
          ...showOperation({
            summary: `Export the ${what} of a show as CSV or JSON Lines`,
            description: FILES,
            querystring,
            response: { 200: ExportFile as never },
            errors: ['archive_failed', 'archive_conflict'],
          }),
        },
        async ({ params: { show }, query }, reply) => send(reply, show, query, what === 'orders'),
      );
    };
    exportRoute('reservations', BookedExportQuery);
    exportRoute('orders', OrderExportQuery);
  },
};
