/**
 * Fields that several bodies share. Every bound comes from the one file of limits, every pattern
 * from the rules of sales.
 */
import { Type } from 'typebox';
import { ID_PATTERN, SKU_PATTERN } from '../../domain/mistakes.ts';
import { LIMITS } from '../../limits.ts';

export const Id = Type.String({ pattern: ID_PATTERN, examples: ['summer-gala'] });
export const SkuCode = Type.String({ pattern: SKU_PATTERN, examples: ['TEE-RED-M'] });
export const Title = Type.String({ minLength: 1, maxLength: LIMITS.titleCharsMax });
export const Name = Type.String({ minLength: 1, maxLength: LIMITS.nameCharsMax });
export const Currency = Type.String({ pattern: '^[A-Z]{3}$', description: 'ISO 4217 code', examples: ['EUR'] });
export const Moment = Type.Integer({
  minimum: 0,
  description: 'Milliseconds since the Unix epoch, on the Redis clock',
});
export const MomentOrNull = Type.Union([Moment, Type.Null()]);
export const DurationMs = Type.Integer({
  minimum: LIMITS.saleDurationMinMs,
  maximum: LIMITS.saleDurationMaxMs,
  description: 'Milliseconds',
});
export const MinorUnits = Type.Integer({
  minimum: 0,
  maximum: LIMITS.priceMinorUnitsMax,
  description: 'Price of one unit in minor units (cents)',
});
export const PerBuyer = Type.Integer({
  minimum: 1,
  maximum: LIMITS.perBuyerUnitsMax,
  description: 'Most units one buyer may hold and own',
});
export const Amount = Type.Integer({ minimum: 0, description: 'Minor units (cents)' });
export const Count = Type.Integer({ minimum: 0 });

export const ShowParams = Type.Object({ show: Id });
export const SaleParams = Type.Object({ show: Id, sale: Id });
export const ProductParams = Type.Object({ show: Id, product: Id });
export const ReservationParams = Type.Object({
  show: Id,
  reservation: Type.String({ minLength: 1, maxLength: LIMITS.idCharsMax, pattern: '^[A-Za-z0-9_.:-]+$' }),
});

export const ChatParams = Type.Object({
  show: Id,
  message: Type.String({ pattern: '^[1-9][0-9]{0,14}$', description: 'Id of a chat message' }),
});
export const UserParams = Type.Object({
  show: Id,
  user: Type.String({ minLength: 1, maxLength: LIMITS.userIdCharsMax, description: 'The user of a token (`sub`)' }),
});

/** A body that may stay away altogether but, when it comes, must not hold fields nobody reads. */
export const EmptyBody = Type.Object({}, { additionalProperties: false });
