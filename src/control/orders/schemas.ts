import { type TSchema, Type } from 'typebox';
import { ID_PATTERN } from '../../domain/mistakes.ts';
import type { BookedReservation, Fulfillment, Order, OrderState } from '../../domain/order.ts';
import { LIMITS } from '../../limits.ts';
import { Currency, Id, Moment, MomentInQuery, Patterned, SkuCode, StrictObject, Unreadable } from '../http/fields.ts';
import {
  outcomeOfCommand,
  ReservationParams,
  ReservationSchema,
  ReservationStateName,
} from '../reservations/schemas.ts';

export const OrderParams = Type.Object({ show: Id, order: ReservationParams.properties.reservation });

const Items = Type.Array(
  Type.Object({
    sku: SkuCode,
    qty: Type.Integer({ minimum: 1 }),
    price: Type.Optional(Type.Integer({ minimum: 0, description: 'Of one unit, in minor units' })),
    product: Type.Optional(Id),
    brand: Type.Optional(Id),
  }),
  { description: 'Without brand if its product was removed' },
);

const exampleItems = [{ sku: 'TEE-RED-M', qty: 2, price: 1999, product: 'tee', brand: 'acme' }];
const example = { id: 'rB1x9bMhY3sZ0qUe7uKdA', sale: 'drop', user: 'u-1042', lines: exampleItems };
const times = { createdAt: 1_796_068_800_000, heldUntil: 1_796_068_920_000 };

export const BookedSchema = Type.Object(
  { ...ReservationSchema.properties, lines: Items },
  {
    $id: 'BookedReservation',
    examples: [{ ...example, state: 'held', amount: 3998, currency: 'EUR', ...times }],
  },
);
const Booked = Type.Unsafe<BookedReservation>({ $ref: 'BookedReservation#' });

const FulfillmentName = Type.Unsafe<Fulfillment>({
  type: 'string',
  enum: ['unfulfilled', 'fulfilled'] satisfies Fulfillment[],
});
const Note = Patterned('^[^\\x00-\\x08\\x0b-\\x1f\\x7f]+$', 'a text; of control characters only tab and line feed', {
  ...{ minLength: 1, maxLength: LIMITS.noteCharsMax, description: 'For you. Viewers do not see it' },
});
const Tracking = Type.String({
  minLength: 1,
  maxLength: LIMITS.trackingCharsMax,
  pattern: '^[^\\x00-\\x1f\\x7f]+$',
  description: 'A number or address of the carrier',
});

const OrderStateName = Type.Unsafe<OrderState>({
  type: 'string',
  enum: ['confirmed', 'refunded'] satisfies OrderState[],
});
const RefundReason = Type.String({
  minLength: 1,
  maxLength: LIMITS.refundReasonCharsMax,
  pattern: '^[^\\x00-\\x1f\\x7f]+$',
  description: 'For you. Viewers do not see it',
});

export const OrderSchema = Type.Object(
  {
    id: Type.String({ description: 'That of the reservation' }),
    state: OrderStateName,
    orderRef: Type.String({ description: 'Your id of the order' }),
    sale: Id,
    user: Type.String(),
    lines: Items,
    amount: Type.Integer({ minimum: 0, description: 'Minor units (cents)' }),
    currency: Currency,
    createdAt: Type.Integer({ ...Moment, description: 'When the hold was made' }),
    confirmedAt: Moment,
    offer: Type.Optional(Type.Literal(true)),
    fulfillment: FulfillmentName,
    tracking: Type.Optional(Tracking),
    note: Type.Optional(Note),
    refundedAt: Type.Optional(Moment),
    restocked: Type.Optional(
      Type.Boolean({ description: 'The units became available again; otherwise they were withdrawn' }),
    ),
    refundReason: Type.Optional(RefundReason),
  },
  {
    $id: 'Order',
    examples: [
      {
        ...{ ...example, state: 'confirmed', orderRef: 'shop-77', amount: 3998, currency: 'EUR' },
        ...{ createdAt: times.createdAt, confirmedAt: times.createdAt + 42_000 },
        ...{ fulfillment: 'fulfilled', tracking: 'DHL 00340434161094042557' },
      },
    ],
  },
);
export const OrderView = Type.Unsafe<Order>({ $ref: 'Order#' });

const orNull = <T extends TSchema>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()], { description: 'null removes it' }));
export const OrderChangeBody = StrictObject(
  { fulfillment: Type.Optional(FulfillmentName), tracking: orNull(Tracking), note: orNull(Note) },
  {
    minProperties: 1,
    description: 'At least one field',
    examples: [{ fulfillment: 'fulfilled', tracking: 'DHL 00340434161094042557' }],
  },
);

export const RefundBody = StrictObject(
  {
    restock: Type.Optional(
      Type.Boolean({
        default: true,
        description: 'true: the units become available again. false: they are withdrawn',
      }),
    ),
    reason: Type.Optional(RefundReason),
  },
  { examples: [{ restock: true, reason: 'Wrong size' }] },
);
export const RefundView = Type.Object({ order: OrderView, ...outcomeOfCommand });

const Next = Type.Union([Type.String(), Type.Null()], {
  description: '`after` of the next page; null on the last one. A page may have fewer items than `limit`, or none',
});
export const BookedList = Type.Object({ reservations: Type.Array(Booked), next: Next, unreadable: Unreadable });
export const OrderList = Type.Object({ orders: Type.Array(OrderView), next: Next, unreadable: Unreadable });

const filter = {
  sale: Type.Optional(Id),
  brand: Type.Optional(Type.String({ pattern: ID_PATTERN, description: 'At least one item is of this brand' })),
  user: Type.Optional(Type.String({ minLength: 1, maxLength: LIMITS.userIdCharsMax, description: 'Id of the buyer' })),
  orderRef: Type.Optional(Type.String({ minLength: 1, maxLength: LIMITS.orderRefCharsMax })),
  from: Type.Optional(MomentInQuery('Not before this time')),
  to: Type.Optional(MomentInQuery('Before this time')),
};
const state = { state: Type.Optional(ReservationStateName) };
const orderState = { state: Type.Optional(OrderStateName) };
const fulfillment = { fulfillment: Type.Optional(FulfillmentName) };
const page = {
  limit: Type.Optional(
    Type.String({
      pattern: '^([1-9]\\d{0,2}|1000)$',
      description: `1 to ${LIMITS.pageItemsMax}; default: ${LIMITS.listedItemsDefault}`,
    }),
  ),
  after: Type.Optional(Type.String({ maxLength: 128, description: '`next` of the page before' })),
  order: Type.Optional(
    Type.Union([Type.Literal('newest'), Type.Literal('oldest')], { description: 'Which comes first. Default: newest' }),
  ),
};
const file = {
  format: Type.Optional(Type.Union([Type.Literal('csv'), Type.Literal('jsonl')], { description: 'Default: csv' })),
  bom: Type.Optional(Type.Literal('1', { description: 'A CSV file begins with a byte order mark, for Excel' })),
};

export const BookedListQuery = StrictObject({ ...state, ...filter, ...page });
export const OrderListQuery = StrictObject({ ...orderState, ...fulfillment, ...filter, ...page });
export const BookedExportQuery = StrictObject({ ...state, ...filter, ...file });
export const OrderExportQuery = StrictObject({ ...orderState, ...fulfillment, ...filter, ...file });

export const ExportFile = {
  description: 'The file. If it cannot be completed, the connection is closed before its end',
  content: {
    'text/csv': { schema: Type.String({ examples: ['id,orderRef,user\r\nrB1x9bMhY3sZ0qUe7uKdA,shop-77,u-1042\r\n'] }) },
    'application/jsonl': {
      schema: Type.String({ examples: ['{"id":"rB1x9bMhY3sZ0qUe7uKdA","orderRef":"shop-77"}\n'] }),
    },
  },
};
