import { Type } from 'typebox';
import { LIMITS } from '../../limits.ts';
import type { ReservationState, ReservationView } from '../../protocol/messages.ts';
import { Amount, Currency, Id, Moment, SkuCode } from '../http/fields.ts';

const ReservationStateName = Type.Unsafe<ReservationState>({
  type: 'string',
  enum: ['held', 'confirmed', 'released', 'expired'] satisfies ReservationState[],
});
export const ReservationSchema = Type.Object(
  {
    id: Type.String(),
    sale: Id,
    user: Type.String(),
    state: ReservationStateName,
    lines: Type.Array(Type.Object({ sku: SkuCode, qty: Type.Integer({ minimum: 1 }) })),
    amount: Amount,
    currency: Currency,
    createdAt: Moment,
    heldUntil: Moment,
    endedAt: Type.Optional(Moment),
    orderRef: Type.Optional(Type.String()),
    offer: Type.Optional(Type.Literal(true)),
  },
  { $id: 'Reservation' },
);
export const Reservation = Type.Unsafe<ReservationView>({ $ref: 'Reservation#' });
export const DecisionView = Type.Object({
  reservation: Reservation,
  replayed: Type.Boolean({ description: 'The key was known: this is the recorded answer again' }),
  durability: Type.Enum(['memory', 'everysec', 'always', 'unknown'], {
    description: 'How Redis keeps it: `everysec` means that a power cut can lose about a second',
  }),
  epoch: Type.String({
    description: "The epoch of the show's log; another one later means that another Redis server took over since",
  }),
});

export const ConfirmBody = Type.Object(
  {
    orderRef: Type.String({
      minLength: 1,
      maxLength: LIMITS.orderRefCharsMax,
      pattern: '^[^\\x00-\\x1f\\x7f]+$',
      description: 'The order in your books',
    }),
    amount: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'What was charged, minor units; must equal the amount of the reservation',
    }),
  },
  { additionalProperties: false },
);

export const ExtendHoldBody = Type.Object(
  {
    byMs: Type.Integer({
      minimum: 1,
      maximum: LIMITS.holdMaxMs,
      description: `More time for the hold, milliseconds; no hold lasts longer than ${LIMITS.holdMaxMs} ms after it was made`,
    }),
  },
  { additionalProperties: false },
);
