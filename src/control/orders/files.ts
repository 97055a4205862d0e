/** Reservations and orders as files: JSON Lines, or CSV (RFC 4180) with one row for each item. */
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { stringify } from 'csv-stringify/sync';
import type { FastifyReply } from 'fastify';
import { type BookedReservation, orderOf } from '../../domain/order.ts';

export interface FileOptions {
  readonly format: 'csv' | 'jsonl';
  readonly hasBom: boolean;
  readonly isOrder: boolean;
  readonly idleMs: number;
}

const TYPES = { csv: 'text/csv; charset=utf-8; header=present', jsonl: 'application/jsonl; charset=utf-8' };

/** Returns the reservation as the list has it: what the host noted belongs to the order. */
const reservationOf = (booked: BookedReservation): BookedReservation => {
  const { note: _note, tracking: _tracking, fulfillment: _fulfillment, ...rest } = booked;
  const { restocked: _restocked, refundReason: _reason, ...listed } = rest;
  return listed;
};

const timeOf = (ms: number | undefined): string => (ms === undefined ? '' : new Date(ms).toISOString());

type Column = [name: string, of: (booked: BookedReservation, item: number) => unknown];
const ofItem: Column[] = [
  ['sku', ({ lines }, i) => lines[i]?.sku],
  ['product', ({ lines }, i) => lines[i]?.product],
  ['brand', ({ lines }, i) => lines[i]?.brand],
  ['qty', ({ lines }, i) => lines[i]?.qty],
  ['price', ({ lines }, i) => lines[i]?.price],
  ['itemAmount', ({ lines }, i) => (lines[i]?.price === undefined ? '' : lines[i].price * lines[i].qty)],
  // Once, so that the sum of the column is right.
  ['amount', ({ amount }, i) => (i === 0 ? amount : '')],
  ['currency', ({ currency }) => currency],
];
const offer: Column = ['offer', (booked) => booked.offer === true];
const ORDER_COLUMNS: Column[] = [
  ['id', ({ id }) => id],
  ['orderRef', ({ orderRef }) => orderRef],
  ['sale', ({ sale }) => sale],
  ['user', ({ user }) => user],
  ...ofItem,
  ['createdAt', ({ createdAt }) => timeOf(createdAt)],
  ['confirmedAt', ({ endedAt }) => timeOf(endedAt)],
  offer,
  ['fulfillment', ({ fulfillment = 'unfulfilled' }) => fulfillment],
  ['tracking', ({ tracking }) => tracking],
  ['note', ({ note }) => note],
  ['state', ({ state }) => state],
  ['refundedAt', ({ refundedAt }) => timeOf(refundedAt)],
  ['restocked', ({ restocked }) => restocked],
  ['refundReason', ({ refundReason }) => refundReason],
];
const RESERVATION_COLUMNS: Column[] = [
  ['id', ({ id }) => id],
  ['state', ({ state }) => state],
  ['sale', ({ sale }) => sale],
  ['user', ({ user }) => user],
  ...ofItem,
  ['createdAt', ({ createdAt }) => timeOf(createdAt)],
  ['heldUntil', ({ heldUntil }) => timeOf(heldUntil)],
  ['endedAt', ({ endedAt }) => timeOf(endedAt)],
  ['orderRef', ({ orderRef }) => orderRef],
  offer,
  ['refundedAt', ({ refundedAt }) => timeOf(refundedAt)],
];

function csvOf(
  page: readonly BookedReservation[],
  columns: readonly Column[],
  isFirst: boolean,
  hasBom: boolean,
): string {
  const rows = page.flatMap((booked) => booked.lines.map((_, i) => columns.map(([, of]) => of(booked, i))));
  return stringify(isFirst ? [columns.map(([name]) => name), ...rows] : rows, {
    bom: isFirst && hasBom,
    record_delimiter: 'windows',
    // A program for spreadsheets would run what a buyer wrote.
    escape_formulas: true,
    quoted_match: /[\r\n]/,
    cast: { boolean: String },
  });
}

async function* textOf(
  pages: AsyncIterable<readonly BookedReservation[]>,
  { format, hasBom, isOrder }: FileOptions,
): AsyncGenerator<string> {
  const columns = isOrder ? ORDER_COLUMNS : RESERVATION_COLUMNS;
  let isFirst = true;
  for await (const page of pages) {
    const text =
      format === 'csv'
        ? csvOf(page, columns, isFirst, hasBom)
        : page.map((booked) => `${JSON.stringify((isOrder ? orderOf : reservationOf)(booked))}\n`).join('');
    if (text !== '') yield text;
    isFirst = false;
  }
}

/**
 * Sends a file as its reader takes it: the next page is read when the one before is sent. A reader
 * that takes nothing is disconnected.
 */
export function sendFile(
  reply: FastifyReply,
  name: string,
  pages: AsyncIterable<readonly BookedReservation[]>,
  options: FileOptions,
): FastifyReply {
  const { socket } = reply.raw;
  // Without a listener Node.js closes the connection.
  if (socket instanceof Socket) socket.setTimeout(options.idleMs);
  return reply
    .type(TYPES[options.format])
    .header('content-disposition', `attachment; filename="${name}.${options.format}"`)
    .header('cache-control', 'no-store')
    .send(Readable.from(textOf(pages, options), { highWaterMark: 1 }));
}
