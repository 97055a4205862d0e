/**
 * Were refusals right when they were given? Judged from outside, by what must have been true for
 * certain: units that nobody had even asked for were free, a request that left after the opening
 * was not too early. (Redis' own refusals are judged to the unit by the replay of the ledger; those
 * that a gateway gives from its view are not in it one by one.)
 */
import type { SaleBooks } from '../../src/domain/sale.ts';
import type { Check } from '../report/result.ts';
import type { Books } from './books.ts';
import { checkOf, whole } from './check.ts';
import type { Evidence, OverLimit, SoldOut } from './evidence.ts';
import { distinct, listed, unitsOf } from './grants.ts';

/** A decision is made by Redis some milliseconds before its answer is dated by the gateway. */
const ANSWER_DATED_LATE_MS = 250;

export function refusalCheck(evidence: Evidence, { sales, verification }: Books): Check {
  const saleOf = (id: string): SaleBooks | undefined => sales.find((sale) => sale.id === id);
  const wrong = [
    ...evidence.soldOut.flatMap((refusal) => soldOutWrong(refusal, evidence, saleOf(refusal.sale))),
    ...evidence.overLimit.flatMap((refusal) => overLimitWrong(refusal, evidence, saleOf(refusal.sale))),
    ...evidence.tooEarly.flatMap(({ sale, sentAtLeast }) => {
      const openedAt = saleOf(sale)?.openedAt ?? null;
      return openedAt !== null && sentAtLeast > openedAt
        ? [`${sale}: refused as not open, ${(sentAtLeast - openedAt).toFixed(0)} ms after it had opened`]
        : [];
    }),
    ...evidence.tooLate.flatMap(({ sale, at }) => {
      const endedAt = saleOf(sale)?.endedAt ?? saleOf(sale)?.closesAt ?? null;
      return endedAt === null || at + ANSWER_DATED_LATE_MS < endedAt
        ? [
            `${sale}: refused as ended${endedAt === null ? ', and it never ended' : ` ${endedAt - at} ms before its end`}`,
          ]
        : [];
    }),
  ];
  return checkOf(
    'refusals were right',
    'I5',
    wrong,
    `${whole(verification.refusals + verification.localRefusals)} refusals of Redis and gateways`,
  );
}

/**
 * Sold out means that of one of the lines' SKUs not enough can have been left: granted units asked
 * for until then, and what else the books took.
 */
function soldOutWrong(
  { sale, lines, answeredMs }: SoldOut,
  { grants, requests }: Evidence,
  books: SaleBooks | undefined,
): string[] {
  // With answers lost on the way, somebody unknown may have the units.
  if (books === undefined || requests.openReserves > 0) return [];
  const before = distinct(grants.filter((grant) => grant.sale === sale && grant.sentMs <= answeredMs));
  const short = [...new Set(lines.map(({ sku }) => sku))].some((sku) => {
    const stock = books.skus.find((one) => one.sku === sku);
    if (stock === undefined) return true;
    const askedFor = [...before.values()].reduce((sum, grant) => sum + unitsOf(grant.lines, sku), 0);
    return stock.allocated - stock.withdrawn - askedFor < unitsOf(lines, sku);
  });
  return short
    ? []
    : [`${sale}: refused as sold out while units that nobody had asked for were free (${listed(lines)})`];
}

function overLimitWrong(
  { sale, user, lines, answeredMs }: OverLimit,
  { grants, requests }: Evidence,
  books: SaleBooks | undefined,
): string[] {
  if (books === undefined || requests.openReserves > 0) return [];
  const own = distinct(
    grants.filter((grant) => grant.sale === sale && grant.user === user && grant.sentMs <= answeredMs),
  );
  const has = (sku?: string): number => [...own.values()].reduce((sum, grant) => sum + unitsOf(grant.lines, sku), 0);
  const over =
    has() + unitsOf(lines) > books.perBuyer ||
    books.skus.some(({ sku, perBuyer }) => perBuyer !== undefined && has(sku) + unitsOf(lines, sku) > perBuyer);
  return over
    ? []
    : [
        `${user} was refused ${listed(lines)} of ${sale} by the limit of ${books.perBuyer} and had asked for ${has()} before`,
      ];
}
