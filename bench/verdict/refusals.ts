/**
 * Whether refusals were right, by what was certainly true: units without any request were free, and
 * a request that left after the opening was not early. (The replay of the ledger judges refusals by
 * Redis exactly; local refusals are not in it one by one.)
 */
import type { SaleBooks } from '../../src/domain/sale.ts';
import type { Check } from '../report/result.ts';
import type { Books } from './books.ts';
import { checkOf, whole } from './check.ts';
import type { Evidence, Grant, OverLimit, SoldOut } from './evidence.ts';
import { distinct, listed, unitsOf } from './grants.ts';

/** Redis decides some milliseconds before the gateway dates the reply. */
const REPLY_DATED_LATE_MS = 250;

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
      if (endedAt === null) return [`${sale}: refused as ended, and it never ended`];
      return at + REPLY_DATED_LATE_MS < endedAt ? [`${sale}: refused as ended ${endedAt - at} ms before its end`] : [];
    }),
  ];
  const refusals = whole(verification.refusals + verification.localRefusals);
  return checkOf('refusals were right', 'I5', wrong, `${refusals} refusals by Redis and gateways`);
}

/** "Sold out" is right if the units requested until then left too few of one SKU. */
function soldOutWrong(
  { sale, lines, repliedMs }: SoldOut,
  { grants, requests }: Evidence,
  books?: SaleBooks,
): string[] {
  // If replies were lost, an unknown reservation may hold the units.
  if (books === undefined || requests.openReserves > 0) return [];
  const before = distinct(grants.filter((grant) => grant.sale === sale && grant.sentMs <= repliedMs));
  const short = [...new Set(lines.map(({ sku }) => sku))].some((sku) => {
    const stock = books.skus.find((one) => one.sku === sku);
    if (stock === undefined) return true;
    const requested = [...before.values()].reduce((sum, grant) => sum + unitsOf(grant.lines, sku), 0);
    return stock.allocated - stock.withdrawn - requested < unitsOf(lines, sku);
  });
  return short ? [] : [`${sale}: refused as sold out while units without any request were free (${listed(lines)})`];
}

function overLimitWrong(refusal: OverLimit, { grants, requests }: Evidence, books?: SaleBooks): string[] {
  const { sale, user, lines, repliedMs } = refusal;
  if (books === undefined || requests.openReserves > 0) return [];
  const isOwn = (grant: Grant): boolean => grant.sale === sale && grant.user === user && grant.sentMs <= repliedMs;
  const own = distinct(grants.filter(isOwn));
  const has = (sku?: string): number => [...own.values()].reduce((sum, grant) => sum + unitsOf(grant.lines, sku), 0);
  const over =
    has() + unitsOf(lines) > books.perBuyer ||
    books.skus.some(({ sku, perBuyer }) => perBuyer !== undefined && has(sku) + unitsOf(lines, sku) > perBuyer);
  const limit = `the limit of ${books.perBuyer}`;
  return over ? [] : [`${user} was refused ${listed(lines)} of ${sale} by ${limit} after requests for ${has()}`];
}
