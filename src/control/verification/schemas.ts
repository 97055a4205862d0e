import { Type } from 'typebox';
import { Count, Id } from '../http/fields.ts';
import { SkuBooks } from '../sales/schemas.ts';

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
    untrusted: Type.Array(Id, {
      description: 'Sales whose ledger contradicts itself or whose records cannot be read; they are paused',
    }),
    unpaused: Type.Array(Type.Object({ sale: Id, reason: Type.String() }), {
      description: 'Untrusted sales that could not be paused',
    }),
  },
  { $id: 'Reconciliation' },
);
