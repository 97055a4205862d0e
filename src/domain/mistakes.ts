/** Collects every mistake of a request, so that a caller can correct all of them at once. */
import { LIMITS } from '../limits.ts';
import { type Failure, failure } from '../protocol/codes.ts';
import { isCleanText } from '../protocol/text.ts';

export const ID_PATTERN = `^[A-Za-z0-9][A-Za-z0-9_-]{0,${LIMITS.idCharsMax - 1}}$`;
/** Visible characters; blanks only between them. For the flag `u`. */
export const SKU_PATTERN = `^[^\\s\\p{C}](?:[^\\p{C}\\p{Zl}\\p{Zp}]{0,${LIMITS.idCharsMax - 2}}[^\\s\\p{C}])?$`;
export const ID_WORDS = `an id: 1 to ${LIMITS.idCharsMax} letters, digits, "_" and "-", first a letter or digit`;
export const SKU_WORDS = `a SKU: 1 to ${LIMITS.idCharsMax} visible characters, with blanks only between them`;
const ID = new RegExp(ID_PATTERN);
/** Returns whether a text may be an id. Ids read from Redis are checked before they name files. */
export const isId = (text: string): boolean => ID.test(text);
const SKU = new RegExp(SKU_PATTERN, 'u');
/** How many more fields than the first a message names. */
const NAMED_MAX = 3;
const MOMENT_MAX_MS = 8.64e15;

export interface Mistake {
  /** JSON pointer into the body, such as `/skus/2/price`. */
  readonly path: string;
  readonly message: string;
}

export class Mistakes {
  readonly #list: Mistake[] = [];

  get none(): boolean {
    return this.#list.length === 0;
  }

  add(path: string, message: string): void {
    if (this.#list.length < LIMITS.mistakesListedMax) this.#list.push({ path, message });
  }

  id(path: string, value: string): void {
    if (typeof value !== 'string' || !ID.test(value)) this.add(path, `Must be ${ID_WORDS}.`);
  }

  sku(path: string, value: string): void {
    const isSku = isCleanText(value, LIMITS.idCharsMax) && SKU.test(value);
    if (!isSku) this.add(path, `Must be ${SKU_WORDS}.`);
    // Two SKUs that look the same must not be two.
    else if (value.normalize('NFC') !== value) this.add(path, 'Must be in Unicode Normalization Form C.');
  }

  text(path: string, value: string, charsMax: number): void {
    if (!isCleanText(value, charsMax))
      this.add(path, `Must be a text of 1 to ${charsMax} printable characters, without ones that hide or turn text.`);
  }

  integer(path: string, value: number, min: number, max: number): void {
    if (!Number.isSafeInteger(value) || value < min || value > max)
      this.add(path, `Must be a whole number from ${min} to ${max}.`);
  }

  /** A time just past means "at once". The bounds also catch seconds given for milliseconds. */
  moment(path: string, value: number, nowMs: number, laterMs = 0): void {
    const latestMs = LIMITS.saleLeadTimeMaxMs + laterMs;
    const isWholeMs = Number.isSafeInteger(value) && value <= MOMENT_MAX_MS;
    if (!isWholeMs || value < nowMs - LIMITS.momentPastMaxMs)
      this.add(path, 'Must be milliseconds since 1970, and not long past.');
    else if (value > nowMs + latestMs) this.add(path, `Must be at most ${latestMs} ms from now.`);
  }

  unique(path: string, values: readonly string[]): void {
    const seen = new Set<string>();
    for (const [index, value] of values.entries()) {
      if (seen.has(value)) this.add(`${path}/${index}`, `${JSON.stringify(value)} is listed twice.`);
      seen.add(value);
    }
  }

  /** Adds the mistakes of a part. */
  under(path: string, part: Failure | null): void {
    for (const mistake of (part?.details?.['errors'] ?? []) as Mistake[])
      this.add(path + mistake.path, mistake.message);
  }

  /** Returns one `invalid_request` whose `details.errors` lists all mistakes, or null. */
  failure(): Failure | null {
    return this.none ? null : mistakesFailure(this.#list);
  }
}

/** The message has the first mistake, and the fields of some others. */
export function mistakesFailure(errors: readonly Mistake[]): Failure {
  const [first, ...others] = errors;
  const fields = others.slice(0, NAMED_MAX).map(({ path }) => path);
  if (others.length > NAMED_MAX) fields.push(`${others.length - NAMED_MAX} more`);
  const message = first && `${first.path === '' ? '' : `${first.path}: `}${first.message}`;
  const more = fields.length > 0 ? ` Also wrong: ${fields.join(', ')}.` : '';
  return failure('invalid_request', message && message + more, { details: { errors } });
}
