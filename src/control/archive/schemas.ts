import { Type } from 'typebox';
import type { ArchiveSummary as Summary } from '../../domain/archive.ts';
import { Count, Id, Moment, StrictObject, Title } from '../http/fields.ts';

const Amounts = Type.Record(Type.String(), Count, { description: 'In minor units, by currency' });

export const ArchiveSummary = Type.Object({
  show: Id,
  title: Title,
  createdAt: Moment,
  endedAt: Moment,
  archivedAt: Moment,
  sha256: Type.String({
    description: 'Of the manifest, which has the hashes of all files. An erasure of a user changes it',
  }),
  violations: Type.Integer({ minimum: 0, description: 'What was wrong with the books; 0 if they were right' }),
  totals: Type.Object({
    entries: Count,
    events: Count,
    reservations: Count,
    orders: Type.Integer({ minimum: 0, description: 'All that were confirmed, also refunded ones' }),
    buyers: Count,
    unitsSold: Type.Integer({ minimum: 0, description: 'Of these orders' }),
    revenue: Type.Record(Type.String(), Count, { description: 'Of these orders, in minor units, by currency' }),
    refunds: Type.Object({ orders: Count, units: Count, amount: Amounts }),
    netRevenue: Type.Record(Type.String(), Count, { description: 'Revenue without what was refunded' }),
    refusals: Count,
    localRefusals: Count,
    chatMessages: Count,
    peakViewers: Count,
    uniqueViewers: Count,
    hearts: Count,
  }),
});

/** Adds what follows from the totals. */
export function summaryView({ totals, ...summary }: Summary) {
  const { refunds = { orders: 0, units: 0, amount: {} }, revenue } = totals;
  const net = Object.entries(revenue).map(([currency, sum]) => [currency, sum - (refunds.amount[currency] ?? 0)]);
  return { ...summary, totals: { ...totals, refunds, netRevenue: Object.fromEntries(net) as Record<string, number> } };
}

export const DeleteQuery = StrictObject({
  force: Type.Optional(
    Type.Literal('true', {
      description:
        'Deletes an archived show although its files are not in the ARCHIVE_DIR of this process, an ended one with ' +
        'open holds, and a live one of which a key in Redis has another type, so that it cannot be ended',
    }),
  ),
});

export const DeletedWithoutFiles = Type.Object(
  { show: Id, files: Type.Literal('missing') },
  { description: 'Deleted by force. The files of its archive were not found: delete them where they are' },
);

export const Archiving = Type.Object({ show: Id, state: Type.Literal('archiving') });
