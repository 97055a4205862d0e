import { Type } from 'typebox';
import { LIMITS } from '../../protocol/limits.ts';
import type { ReservationState } from '../../protocol/messages.ts';
import type { ReservationView, SaleBooks, SaleState } from '../../sales/types.ts';
import { Amount, Count, Currency, DurationMs, Id, MinorUnits, Moment, MomentOrNull, PerBuyer, SkuCode, Title } from './fields.ts';

const SaleStateName = Type.Unsafe<SaleState>({ type: 'string', enum: ['draft', 'scheduled', 'open', 'paused', 'ended', 'cancelled'] satisfies SaleState[] });
const HoldMs = Type.Integer({ minimum: LIMITS.holdMinMs, maximum: LIMITS.holdMaxMs, description: 'How long a reservation holds its units, in milliseconds' });
const OpensInMs = Type.Integer({ minimum: 0, maximum: LIMITS.saleLeadTimeMaxMs, description: 'Opens this long from now; instead of opensAt' });

const SkuBooks = Type.Object(
  {
    sku: SkuCode,
    product: Id,
    price: MinorUnits,
    perBuyer: Type.Optional(PerBuyer),
    allocated: Count,
    available: Count,
    held: Count,
    sold: Count,
    withdrawn: Count,
  },
  { description: 'available + held + sold + withdrawn = allocated, at every moment' },
);

export const SaleSchema = Type.Object(
  {
    id: Id,
    title: Title,
    state: SaleStateName,
    opensAt: MomentOrNull,
    closesAt: MomentOrNull,
    holdMs: HoldMs,
    perBuyer: PerBuyer,
    currency: Currency,
    rev: Count,
    skus: Type.Array(SkuBooks),
    createdAt: Moment,
    openedAt: MomentOrNull,
    endedAt: MomentOrNull,
  },
  { $id: 'Sale' },
);
export const Sale = Type.Unsafe<SaleBooks>({ $ref: 'Sale#' });
export const SaleList = Type.Object({ sales: Type.Array(Sale) });

export const NewSale = Type.Object(
  {
    id: Type.Optional(Id),
    title: Title,
    currency: Currency,
    perBuyer: Type.Optional(PerBuyer),
    holdMs: Type.Optional(HoldMs),
    opensAt: Type.Optional(Moment),
    opensInMs: Type.Optional(OpensInMs),
    closesAt: Type.Optional(Moment),
    durationMs: Type.Optional(DurationMs),
    skus: Type.Array(
      Type.Object(
        {
          sku: SkuCode,
          product: Id,
          price: MinorUnits,
          quantity: Type.Integer({ minimum: 1, maximum: LIMITS.unitsPerSkuMax }),
          perBuyer: Type.Optional(PerBuyer),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: LIMITS.skusPerSaleMax },
    ),
  },
  { additionalProperties: false },
);

export const ScheduleBody = Type.Object(
  {
    opensAt: Type.Optional(Moment),
    opensInMs: Type.Optional(OpensInMs),
    closesAt: Type.Optional(Moment),
    durationMs: Type.Optional(DurationMs),
  },
  { additionalProperties: false },
);
export const OpenBody = Type.Object({ durationMs: Type.Optional(DurationMs) }, { additionalProperties: false });
export const ExtendBody = Type.Object({ byMs: Type.Integer({ minimum: 1, maximum: LIMITS.saleDurationMaxMs }) }, { additionalProperties: false });
export const UnitsBody = Type.Object(
  {
    sku: SkuCode,
    delta: Type.Integer({ minimum: -LIMITS.unitsPerSkuMax, maximum: LIMITS.unitsPerSkuMax, description: 'Positive adds units, negative withdraws free ones' }),
  },
  { additionalProperties: false },
);

const ReservationStateName = Type.Unsafe<ReservationState>({ type: 'string', enum: ['held', 'confirmed', 'released', 'expired'] satisfies ReservationState[] });
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
  epoch: Type.String({ description: "The epoch of the show's log; another one later means that another Redis server took over since" }),
});

export const ConfirmBody = Type.Object(
  {
    orderRef: Type.String({ minLength: 1, maxLength: LIMITS.orderRefCharsMax, pattern: '^[^\\x00-\\x1f\\x7f]+$', description: 'The order in your books' }),
    amount: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'What was charged, minor units; must equal the amount of the reservation',
    }),
  },
  { additionalProperties: false },
);

export const ProlongBody = Type.Object(
  {
    byMs: Type.Integer({
      minimum: 1,
      maximum: LIMITS.holdMaxMs,
      description: `More time for the hold, milliseconds; no hold lasts longer than ${LIMITS.holdMaxMs} ms after it was made`,
    }),
  },
  { additionalProperties: false },
);

const verificationFields = {
  show: Id,
  entries: Count,
  reservations: Count,
  refusals: Count,
  localRefusals: Count,
  sales: Type.Array(Type.Object({ id: Id, skus: Type.Array(SkuBooks) })),
  violations: Type.Array(Type.String(), { description: 'Empty when the books are right' }),
};

export const VerificationSchema = Type.Object(verificationFields, { $id: 'Verification' });

export const ReconciliationSchema = Type.Object(
  {
    ...verificationFields,
    repaired: Type.Array(Type.String(), { description: 'Books brought back to the ledger, as `sale/sku`' }),
    untrusted: Type.Array(Id, { description: 'Sales whose ledger contradicts itself; they are paused' }),
  },
  { $id: 'Reconciliation' },
);
