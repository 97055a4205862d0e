/**
 * What a show, a product or a sale must fulfil before Redis is asked, beyond the shape of its fields. Pure: the HTTP door and the store call the
 * same functions. Each answers null, or one `invalid_request` failure whose `details.errors` lists every mistake as `{path, message}`.
 *
 * Rules about time only ever get milder as time passes: a command repeated with its key hours later must reach the recorded answer and not a
 * "that moment is over". What depends on the state of a sale is decided by the script that changes it.
 */
import { type Failure, failure } from '../protocol/codes.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Brand, Product, SaleMove, SaleSkuSpec, SaleSpec, ShowPatch, ShowSpec } from './types.ts';

export const ID_PATTERN = `^[A-Za-z0-9][A-Za-z0-9_-]{0,${LIMITS.idCharsMax - 1}}$`;
export const SKU_PATTERN = `^[A-Za-z0-9][A-Za-z0-9._-]{0,${LIMITS.idCharsMax - 1}}$`;
const ID = new RegExp(ID_PATTERN);
const SKU = new RegExp(SKU_PATTERN);
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;
const MOMENT_MAX_MS = 8.64e15;
const CURRENCIES: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'));

export interface Mistake {
  /** JSON pointer into the body, such as `/skus/2/price`. */
  readonly path: string;
  readonly message: string;
}

export function isCurrency(code: string): boolean {
  return CURRENCIES.has(code);
}

export function checkShowSpec(spec: ShowSpec, nowMs: number): Failure | null {
  const mistakes = new Mistakes();
  if (spec.id !== undefined) mistakes.id('/id', spec.id);
  mistakes.text('/title', spec.title, LIMITS.titleCharsMax);
  checkShowFields(mistakes, spec, nowMs);
  return mistakes.failure();
}

export function checkShowPatch(patch: ShowPatch, nowMs: number): Failure | null {
  const mistakes = new Mistakes();
  if (Object.keys(patch).length === 0) mistakes.add('', 'Nothing to change: give at least one field.');
  if (patch.title !== undefined) mistakes.text('/title', patch.title, LIMITS.titleCharsMax);
  checkShowFields(mistakes, patch, nowMs);
  return mistakes.failure();
}

export function checkMute(user: string, forMs: number): Failure | null {
  const mistakes = new Mistakes();
  mistakes.text('/user', user, LIMITS.userIdCharsMax);
  mistakes.integer('/forMs', forMs, LIMITS.muteMinMs, LIMITS.muteMaxMs);
  return mistakes.failure();
}

export function checkAnnouncement(text: string): Failure | null {
  const mistakes = new Mistakes();
  mistakes.text('/text', text.replaceAll('\n', ' '), LIMITS.announcementCharsMax);
  return mistakes.failure();
}

/** Whom a token is made out to. */
export function checkPerson({ user, name }: { readonly user: string; readonly name: string }): Failure | null {
  const mistakes = new Mistakes();
  mistakes.text('/user', user, LIMITS.userIdCharsMax);
  mistakes.text('/name', name, LIMITS.nameCharsMax);
  return mistakes.failure();
}

export function checkProduct(product: Product): Failure | null {
  const mistakes = new Mistakes();
  mistakes.id('/id', product.id);
  mistakes.id('/brand', product.brand);
  mistakes.text('/title', product.title, LIMITS.titleCharsMax);
  if (product.imageUrl !== undefined && !isWebAddress(product.imageUrl)) {
    mistakes.add('/imageUrl', `Must be an http or https address of at most ${LIMITS.urlCharsMax} characters.`);
  }
  if (product.skus.length < 1 || product.skus.length > LIMITS.skusPerProductMax) mistakes.add('/skus', `Must hold 1 to ${LIMITS.skusPerProductMax} SKUs.`);
  for (const [index, sku] of product.skus.entries()) {
    mistakes.sku(`/skus/${index}/sku`, sku.sku);
    if (sku.title !== undefined) mistakes.text(`/skus/${index}/title`, sku.title, LIMITS.titleCharsMax);
  }
  mistakes.unique(
    '/skus',
    product.skus.map(({ sku }) => sku),
  );
  return mistakes.failure();
}

export function checkSaleSpec(spec: SaleSpec, nowMs: number): Failure | null {
  const mistakes = new Mistakes();
  if (spec.id !== undefined) mistakes.id('/id', spec.id);
  mistakes.text('/title', spec.title, LIMITS.titleCharsMax);
  if (!isCurrency(spec.currency)) mistakes.add('/currency', 'Must be an ISO 4217 currency code such as EUR.');
  if (spec.perBuyer !== undefined) mistakes.integer('/perBuyer', spec.perBuyer, 1, LIMITS.perBuyerUnitsMax);
  if (spec.holdMs !== undefined) mistakes.integer('/holdMs', spec.holdMs, LIMITS.holdMinMs, LIMITS.holdMaxMs);
  checkWindow(mistakes, spec, nowMs);
  if (spec.skus.length < 1 || spec.skus.length > LIMITS.skusPerSaleMax) mistakes.add('/skus', `Must hold 1 to ${LIMITS.skusPerSaleMax} SKUs.`);
  for (const [index, sku] of spec.skus.entries()) checkSaleSku(mistakes, `/skus/${index}`, sku, spec.perBuyer);
  mistakes.unique(
    '/skus',
    spec.skus.map(({ sku }) => sku),
  );
  if (mistakes.none && worthOf(spec.skus) > BigInt(Number.MAX_SAFE_INTEGER)) {
    mistakes.add('/skus', `Price times quantity over all SKUs must stay below ${Number.MAX_SAFE_INTEGER} minor units, so that sums stay exact.`);
  }
  return mistakes.failure();
}

export function checkSaleMove(move: SaleMove, nowMs: number): Failure | null {
  const mistakes = new Mistakes();
  switch (move.op) {
    case 'schedule':
      if (move.opensAt === undefined && move.opensInMs === undefined) mistakes.add('', 'Say when the sale opens: give opensAt or opensInMs.');
      checkWindow(mistakes, move, nowMs);
      break;
    case 'open':
      if (move.durationMs !== undefined) mistakes.integer('/durationMs', move.durationMs, LIMITS.saleDurationMinMs, LIMITS.saleDurationMaxMs);
      break;
    case 'extend':
      mistakes.integer('/byMs', move.byMs, 1, LIMITS.saleDurationMaxMs);
      break;
    case 'units':
      mistakes.sku('/sku', move.sku);
      mistakes.integer('/delta', move.delta, -LIMITS.unitsPerSkuMax, LIMITS.unitsPerSkuMax);
      if (move.delta === 0) mistakes.add('/delta', 'Must not be 0: positive adds units, negative withdraws free ones.');
      break;
    case 'pause':
    case 'resume':
    case 'end':
    case 'cancel':
      break;
    default:
      mistakes.add('/op', `There is no move ${JSON.stringify((move satisfies never as { op: unknown }).op)}.`);
  }
  return mistakes.failure();
}

function checkShowFields(mistakes: Mistakes, spec: ShowPatch, nowMs: number): void {
  if (spec.startsAt !== undefined && spec.startsAt !== null) mistakes.moment('/startsAt', spec.startsAt, nowMs);
  if (spec.slowModeMs !== undefined) mistakes.integer('/slowModeMs', spec.slowModeMs, 0, LIMITS.slowModeMaxMs);
  if (spec.chatShownPerSecond !== undefined) mistakes.integer('/chatShownPerSecond', spec.chatShownPerSecond, 0, LIMITS.chatShownPerSecondMax);
  if (spec.brands !== undefined) checkBrands(mistakes, spec.brands);
}

function checkBrands(mistakes: Mistakes, brands: readonly Brand[]): void {
  if (brands.length > LIMITS.brandsPerShowMax) mistakes.add('/brands', `Must hold at most ${LIMITS.brandsPerShowMax} brands.`);
  for (const [index, brand] of brands.entries()) {
    mistakes.id(`/brands/${index}/id`, brand.id);
    mistakes.text(`/brands/${index}/name`, brand.name, LIMITS.nameCharsMax);
  }
  mistakes.unique(
    '/brands',
    brands.map(({ id }) => id),
  );
}

function checkSaleSku(mistakes: Mistakes, path: string, sku: SaleSkuSpec, perBuyerOfSale: number | undefined): void {
  mistakes.sku(`${path}/sku`, sku.sku);
  mistakes.id(`${path}/product`, sku.product);
  mistakes.integer(`${path}/price`, sku.price, 0, LIMITS.priceMinorUnitsMax);
  mistakes.integer(`${path}/quantity`, sku.quantity, 1, LIMITS.unitsPerSkuMax);
  if (sku.perBuyer === undefined) return;
  mistakes.integer(`${path}/perBuyer`, sku.perBuyer, 1, LIMITS.perBuyerUnitsMax);
  if (perBuyerOfSale !== undefined && sku.perBuyer > perBuyerOfSale)
    mistakes.add(`${path}/perBuyer`, `Must not exceed the sale's own limit of ${perBuyerOfSale}.`);
}

type Window = { opensAt?: number; opensInMs?: number; closesAt?: number; durationMs?: number };

/** Each end of the window is given one way only; the length is bounded wherever both ends are known on one scale. */
function checkWindow(mistakes: Mistakes, window: Window, nowMs: number): void {
  const { opensAt, opensInMs, closesAt, durationMs } = window;
  if (opensAt !== undefined && opensInMs !== undefined) mistakes.add('/opensInMs', 'Give opensAt or opensInMs, not both.');
  if (closesAt !== undefined && durationMs !== undefined) mistakes.add('/durationMs', 'Give closesAt or durationMs, not both.');
  if (opensAt !== undefined) mistakes.moment('/opensAt', opensAt, nowMs);
  if (opensInMs !== undefined) mistakes.integer('/opensInMs', opensInMs, 0, LIMITS.saleLeadTimeMaxMs);
  if (closesAt !== undefined) mistakes.moment('/closesAt', closesAt, nowMs, LIMITS.saleDurationMaxMs);
  if (durationMs !== undefined) mistakes.integer('/durationMs', durationMs, LIMITS.saleDurationMinMs, LIMITS.saleDurationMaxMs);
  if (opensAt === undefined || closesAt === undefined) return;
  const lengthMs = closesAt - opensAt;
  if (lengthMs < LIMITS.saleDurationMinMs) mistakes.add('/closesAt', `Must be at least ${LIMITS.saleDurationMinMs} ms after opensAt.`);
  if (lengthMs > LIMITS.saleDurationMaxMs) mistakes.add('/closesAt', `Must be at most ${LIMITS.saleDurationMaxMs} ms after opensAt.`);
}

const worthOf = (skus: readonly SaleSkuSpec[]): bigint => skus.reduce((sum, sku) => sum + BigInt(sku.price) * BigInt(sku.quantity), 0n);

function isWebAddress(text: string): boolean {
  if (text.length > LIMITS.urlCharsMax || !URL.canParse(text)) return false;
  const { protocol } = new URL(text);
  return protocol === 'https:' || protocol === 'http:';
}

/** Collects every mistake, so that a caller can mend all of them in one go. */
class Mistakes {
  readonly #list: Mistake[] = [];

  get none(): boolean {
    return this.#list.length === 0;
  }

  add(path: string, message: string): void {
    if (this.#list.length < LIMITS.mistakesListedMax) this.#list.push({ path, message });
  }

  id(path: string, value: string): void {
    if (typeof value !== 'string' || !ID.test(value))
      this.add(path, `Must be an id: letters, digits, "_" and "-", at most ${LIMITS.idCharsMax}, starting with a letter or digit.`);
  }

  sku(path: string, value: string): void {
    if (typeof value !== 'string' || !SKU.test(value))
      this.add(path, `Must be a SKU: letters, digits, ".", "_" and "-", at most ${LIMITS.idCharsMax}, starting with a letter or digit.`);
  }

  text(path: string, value: string, charsMax: number): void {
    if (typeof value !== 'string' || value.trim() === '' || value.length > charsMax || UNPRINTABLE.test(value))
      this.add(path, `Must be a text of 1 to ${charsMax} printable characters.`);
  }

  integer(path: string, value: number, min: number, max: number): void {
    if (!Number.isSafeInteger(value) || value < min || value > max) this.add(path, `Must be a whole number from ${min} to ${max}.`);
  }

  /** Bounded on both sides, which also catches seconds given for milliseconds. A moment that just passed is fine: it means "at once". */
  moment(path: string, value: number, nowMs: number, laterMs = 0): void {
    const wholeMs = Number.isSafeInteger(value) && value <= MOMENT_MAX_MS;
    if (!wholeMs || value < nowMs - LIMITS.momentPastMaxMs) this.add(path, 'Must be milliseconds since 1970, and not long past.');
    else if (value > nowMs + LIMITS.saleLeadTimeMaxMs + laterMs) this.add(path, `Must be at most ${LIMITS.saleLeadTimeMaxMs + laterMs} ms from now.`);
  }

  unique(path: string, values: readonly string[]): void {
    const seen = new Set<string>();
    for (const [index, value] of values.entries()) {
      if (seen.has(value)) this.add(`${path}/${index}`, `${JSON.stringify(value)} is listed twice.`);
      seen.add(value);
    }
  }

  failure(): Failure | null {
    const first = this.#list[0];
    if (!first) return null;
    const more = this.#list.length > 1 ? ` (and ${this.#list.length - 1} more)` : '';
    return failure('invalid_request', `${first.path === '' ? '' : `${first.path}: `}${first.message}${more}`, { details: { errors: this.#list } });
  }
}
