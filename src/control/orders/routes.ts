import type { FastifyReply } from 'fastify';
import type { BookedFilter, BookedQuery } from '../../domain/order.ts';
import { orderOf } from '../../domain/order.ts';
import { LIMITS } from '../../limits.ts';
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
        description: `The reservations that were confirmed. ${PAGES}${ARCHIVED}`,
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
          'order is refused (`illegal_move`). An erasure of the buyer removes note and tracking.',
        params: OrderParams,
        body: OrderChangeBody,
        response: { 200: OrderView },
        errors: ['reservation_not_found', 'overloaded'],
      }),
      async ({ params: { show, order }, body }) => orderOf(unwrap(await deps.store.changeOrder(show, order, body))),
    );
    app.get(
      '/shows/:show/reservations/export',
      {
        exposeHeadRoute: false,
        ...showOperation({
          summary: 'Export the reservations of a show as CSV or JSON Lines',
          description: FILES,
          querystring: BookedExportQuery,
          response: { 200: ExportFile as never },
          errors: ['archive_failed', 'archive_conflict'],
        }),
      },
      async ({ params: { show }, query }, reply) => send(reply, show, query, false),
    );
    app.get(
      '/shows/:show/orders/export',
      {
        exposeHeadRoute: false,
        ...showOperation({
          summary: 'Export the orders of a show as CSV or JSON Lines',
          description: FILES,
          querystring: OrderExportQuery,
          response: { 200: ExportFile as never },
          errors: ['archive_failed', 'archive_conflict'],
        }),
      },
      async ({ params: { show }, query }, reply) => send(reply, show, query, true),
    );
  },
};
