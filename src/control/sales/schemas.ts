import { Type } from 'typebox';
import type { SaleBooks } from '../../domain/sale.ts';
import { LIMITS } from '../../limits.ts';
import type { SaleState } from '../../protocol/messages.ts';
import {
  Count,
  Currency,
  Id,
  Moment,
  MomentInBody,
  MomentOrNull,
  SkuCode,
  StrictObject,
  Title,
  Unreadable,
} from '../http/fields.ts';

export const SaleParams = Type.Object({ show: Id, sale: Id });

const MinorUnits = Type.Integer({
  minimum: 0,
  maximum: LIMITS.priceMinorUnitsMax,
  description: 'Price of one unit in minor units (cents)',
});
const PerBuyer = Type.Integer({
  minimum: 1,
  maximum: LIMITS.perBuyerUnitsMax,
  description: 'Most units one buyer may hold and own',
});
const SaleStateName = Type.Unsafe<SaleState>({
  type: 'string',
  enum: ['draft', 'scheduled', 'open', 'paused', 'ended', 'cancelled'] satisfies SaleState[],
});
const HoldMs = Type.Integer({
  minimum: LIMITS.holdMinMs,
  maximum: LIMITS.holdMaxMs,
  description:
    'How long a reservation holds its units, in milliseconds. At most HOLD_MAX, which is 15 minutes unless it is set',
});
/** Either end of the window may be a moment or relative to now. */
const duration = {
  durationMs: Type.Optional(
    Type.Integer({ minimum: LIMITS.saleDurationMinMs, maximum: LIMITS.saleDurationMaxMs, description: 'Milliseconds' }),
  ),
};
const window = {
  opensAt: Type.Optional(MomentInBody),
  opensInMs: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: LIMITS.saleLeadTimeMaxMs,
      description: 'Opens this long from now; instead of opensAt',
    }),
  ),
  closesAt: Type.Optional(MomentInBody),
  ...duration,
};

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
export const SaleList = Type.Object({ sales: Type.Array(Sale), unreadable: Unreadable });

const NewSku = StrictObject({
  sku: SkuCode,
  product: Id,
  price: MinorUnits,
  quantity: Type.Integer({ minimum: 1, maximum: LIMITS.unitsPerSkuMax }),
  perBuyer: Type.Optional(PerBuyer),
});
export const NewSale = StrictObject({
  id: Type.Optional(Id),
  title: Title,
  currency: Currency,
  perBuyer: Type.Optional(PerBuyer),
  holdMs: Type.Optional(HoldMs),
  ...window,
  skus: Type.Array(NewSku, { minItems: 1, maxItems: LIMITS.skusPerSaleMax }),
});

export const SaleEditBody = StrictObject(
  {
    title: Type.Optional(Title),
    holdMs: Type.Optional(HoldMs),
    closesAt: window.closesAt,
    ...duration,
    skus: Type.Optional(
      Type.Array(
        StrictObject({
          sku: SkuCode,
          price: Type.Optional(MinorUnits),
          quantity: Type.Optional(
            Type.Integer({ minimum: 1, maximum: LIMITS.unitsPerSkuMax, description: 'Units that can be sold' }),
          ),
        }),
        { minItems: 1, maxItems: LIMITS.skusPerSaleMax },
      ),
    ),
    addSkus: Type.Optional(
      Type.Array(NewSku, {
        ...{ minItems: 1, maxItems: LIMITS.skusPerSaleMax },
        description: 'More SKUs. To give one another product or limit, remove and add it in one request',
      }),
    ),
    removeSkus: Type.Optional(
      Type.Array(SkuCode, {
        ...{ minItems: 1, maxItems: LIMITS.skusPerSaleMax },
        description: 'At least one SKU must be left',
      }),
    ),
  },
  {
    minProperties: 1,
    description: 'At least one field',
    examples: [
      {
        skus: [{ sku: 'TEE-RED-M', price: 1499, quantity: 30 }],
        addSkus: [{ sku: 'TEE-RED-L', product: 'tee', price: 1499, quantity: 20 }],
        removeSkus: ['TEE-RED-S'],
      },
    ],
  },
);
export const ScheduleBody = StrictObject(window);
export const OpenBody = StrictObject(duration);
export const ExtendBody = StrictObject({ byMs: Type.Integer({ minimum: 1, maximum: LIMITS.saleDurationMaxMs }) });
export const UnitsBody = StrictObject({
  sku: SkuCode,
  delta: Type.Integer({
    minimum: -LIMITS.unitsPerSkuMax,
    maximum: LIMITS.unitsPerSkuMax,
    description: 'Positive adds units, negative withdraws free ones',
  }),
});
