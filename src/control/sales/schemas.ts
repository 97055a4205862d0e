import { Type } from 'typebox';
import type { SaleBooks } from '../../domain/sale.ts';
import { LIMITS } from '../../limits.ts';
import type { SaleState } from '../../protocol/messages.ts';
import {
  Count,
  Currency,
  DurationMs,
  Id,
  MinorUnits,
  Moment,
  MomentOrNull,
  PerBuyer,
  SkuCode,
  Title,
} from '../http/fields.ts';

const SaleStateName = Type.Unsafe<SaleState>({
  type: 'string',
  enum: ['draft', 'scheduled', 'open', 'paused', 'ended', 'cancelled'] satisfies SaleState[],
});
const HoldMs = Type.Integer({
  minimum: LIMITS.holdMinMs,
  maximum: LIMITS.holdMaxMs,
  description: 'How long a reservation holds its units, in milliseconds',
});
const OpensInMs = Type.Integer({
  minimum: 0,
  maximum: LIMITS.saleLeadTimeMaxMs,
  description: 'Opens this long from now; instead of opensAt',
});

export const SkuBooks = Type.Object(
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
export const ExtendBody = Type.Object(
  { byMs: Type.Integer({ minimum: 1, maximum: LIMITS.saleDurationMaxMs }) },
  { additionalProperties: false },
);
export const UnitsBody = Type.Object(
  {
    sku: SkuCode,
    delta: Type.Integer({
      minimum: -LIMITS.unitsPerSkuMax,
      maximum: LIMITS.unitsPerSkuMax,
      description: 'Positive adds units, negative withdraws free ones',
    }),
  },
  { additionalProperties: false },
);
