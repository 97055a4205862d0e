/**
 * The minor units of ISO 4217 (list one, 2024). Runtimes follow CLDR instead, which says how people
 * write a price: there HUF, IDR and IQD have no decimals, and browsers differ.
 */

/** Currencies that do not have two decimals. SPEC.md, "Terms", lists the same. */
export const MINOR_UNIT_DIGITS: Readonly<Record<string, number>> = /* @__PURE__ */ Object.freeze({
  ...{ BIF: 0, CLP: 0, DJF: 0, GNF: 0, ISK: 0, JPY: 0, KMF: 0, KRW: 0, PYG: 0, RWF: 0, UGX: 0, UYI: 0 },
  ...{ VND: 0, VUV: 0, XAF: 0, XOF: 0, XPF: 0 },
  ...{ BHD: 3, IQD: 3, JOD: 3, KWD: 3, LYD: 3, OMR: 3, TND: 3 },
  ...{ CLF: 4, UYW: 4 },
});

/** Returns how many decimals a currency has: 2 for EUR, 0 for JPY. */
export const minorUnitDigits = (currency: string): number =>
  Object.hasOwn(MINOR_UNIT_DIGITS, currency) ? (MINOR_UNIT_DIGITS[currency] as number) : 2;

/**
 * Returns an amount of minor units as money: 4900 and EUR as €49.00. `locale`: a BCP 47 tag;
 * default: the one of the platform. An unknown currency is shown by its code.
 */
export function formatMoney(minorUnits: number, currency: string, locale?: string): string {
  const digits = minorUnitDigits(currency);
  const decimals = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  const amount = minorUnits / 10 ** digits;
  try {
    return new Intl.NumberFormat(locale, { style: 'currency', currency, ...decimals }).format(amount);
  } catch {
    return `${amount.toFixed(digits)} ${currency}`;
  }
}
