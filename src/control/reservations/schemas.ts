import { Type } from 'typebox';
import { LIMITS } from '../../limits.ts';
import type { ReservationState, ReservationView } from '../../protocol/messages.ts';
import { Currency, Id, Moment, Patterned, SkuCode, StrictObject } from '../http/fields.ts';

export const ReservationParams = Type.Object({
  show: Id,
  reservation: Patterned('^[A-Za-z0-9_.:-]+$', 'the id of a reservation, as the API returned it', {
    ...{ minLength: 1, maxLength: LIMITS.idCharsMax },
  }),
});

export const ReservationStateName = Type.Unsafe<ReservationState>({
  type: 'string',
  enum: ['held', 'confirmed', 'released', 'expired', 'refunded'] satisfies ReservationState[],
});
export const ReservationSchema = Type.Object(
  {
    id: Type.String(),
    sale: Id,
    user: Type.String(),
    state: ReservationStateName,
    lines: Type.Array(Type.Object({ sku: SkuCode, qty: Type.Integer({ minimum: 1 }) })),
    amount: Type.Integer({ minimum: 0, description: 'Minor units (cents)' }),
    currency: Currency,
    createdAt: Moment,
    heldUntil: Moment,
    endedAt: Type.Optional(Type.Integer({ ...Moment, description: 'Of an order: when it was confirmed' })),
    orderRef: Type.Optional(Type.String()),
    refundedAt: Type.Optional(Moment),
    offer: Type.Optional(Type.Literal(true)),
  },
  { $id: 'Reservation' },
);
export const Reservation = Type.Unsafe<ReservationView>({ $ref: 'Reservation#' });
/** What the result of a command says beside its object. */
export const outcomeOfCommand = {
  replayed: Type.Boolean({ description: 'The key was used before: this is its recorded result' }),
  durability: Type.Enum(['memory', 'everysec', 'always', 'unknown'], {
    description: 'How Redis stores it: with `everysec` a power cut can lose the last second',
  }),
  epoch: Type.String({ description: "Epoch of the show's event log; it changes when another Redis server takes over" }),
};
export const DecisionView = Type.Object({ reservation: Reservation, ...outcomeOfCommand });

export const ConfirmBody = StrictObject({
  orderRef: Patterned('^[^\\x00-\\x1f\\x7f]+$', 'a text without control characters', {
    ...{ minLength: 1, maxLength: LIMITS.orderRefCharsMax, description: 'Your id of the order' },
  }),
  amount: Type.Integer({
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: 'The charged amount in minor units; must equal the amount of the reservation',
  }),
});

export const ExtendHoldBody = StrictObject({
  byMs: Type.Integer({
    minimum: 1,
    maximum: LIMITS.holdMaxMs,
    description: 'Milliseconds to add; no hold lasts longer than HOLD_MAX in total',
  }),
});
