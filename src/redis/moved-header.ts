/**
 * The fields of the header that a show takes to another server: an export writes no others, and an
 * import accepts no others.
 */
import type { MovableState } from '../domain/transfer.ts';
import { LIMITS } from '../limits.ts';
import { bytesIn } from './moved-keys.ts';
import { unpack } from './records.ts';
import { digits, int, list, match, one, type Shape, tuple } from './shapes.ts';
import { ANNOUNCEMENT, SHOW, SUMMARY, waitMember } from './stored-shapes.ts';

/** `latest`: the latest time that may have passed. */
type FieldShape = (latest: number) => Shape;

const always =
  (shape: Shape): FieldShape =>
  () =>
    shape;

/** A value in MessagePack. */
const packed = (shape: Shape): FieldShape =>
  always((value) => {
    let read: unknown;
    try {
      read = unpack(bytesIn(value as string));
    } catch {
      return ' cannot be read';
    }
    return shape(read);
  });

const past: FieldShape = (latest) => digits(latest, 1);
const count = always(digits());
const position = always(digits(undefined, 1));
const number: Shape = (value) => (Number.isFinite(value) ? null : ' is not a number');
/** As many as slots of lua/lib/chat_sample.lua. */
const numbers = list(number, 11);

const FIELDS: Readonly<Record<string, FieldShape>> = {
  state: always(one('planned', 'ended', 'archived')),
  /** The examiner names a newer one. */
  format: always(digits(1_000)),
  view: packed(SHOW),
  body: always(match(/^[\w-]{22}$/, 'the hash of a request')),
  created: past,
  ended: past,
  token: always(match(/^[\w-]{1,64}$/, 'a token')),
  offset: position,
  rev: position,
  ver: position,
  live_sales: always(digits(LIMITS.salesPerShowMax)),
  recovering: always(one('1')),
  erased: always(one('1')),
  swaps: count,
  peak: count,
  hearts: count,
  unique: count,
  joined: count,
  idem_since: past,
  filling: always(one('1')),
  ...{ announced: packed(ANNOUNCEMENT), announced_at: past, announced_id: position },
  chat_last: count,
  chat_window: packed(tuple([int(), number, numbers, numbers, numbers])),
  refusal_samples: packed(tuple([int(), int()])),
  archive: packed(SUMMARY),
  purge: (latest) => digits(latest + LIMITS.archivedKeptMs),
};

/** Fields that belong to one server, its nodes, or a step that has ended. */
export const FIELDS_THAT_STAY: ReadonlySet<string> = new Set(
  'run run_before epoch origin viewers frozen freezer owner lease eraser erasing import import_at import_run'.split(
    ' ',
  ),
);

/** The last entry of a waitlist that was looked at, by `sale/sku` (lua/lib/waitlist.lua). */
const CURSOR = /^line:[A-Za-z0-9][\w-]{0,63}\/.{1,64}$/su;
const CURSORS_MAX = LIMITS.salesPerShowMax * LIMITS.skusPerSaleMax;

export const isMovedField = (field: string): boolean => Object.hasOwn(FIELDS, field) || CURSOR.test(field);

const OF_ARCHIVED = 'state view created ended body token archive purge format'.split(' ');
const REQUIRED: Readonly<Record<MovableState, readonly string[]>> = {
  planned: 'state view created body offset rev ver live_sales'.split(' '),
  ended: 'state view created body offset rev ver live_sales'.split(' '),
  archived: 'state view created ended body token archive'.split(' '),
};

/** The header in a file, field by field. */
export class MovedHeader {
  readonly #fields = new Map<string, string>();
  readonly #latest: number;
  #cursors = 0;

  constructor(latest: number) {
    this.#latest = latest;
  }

  get(field: string): string | undefined {
    return this.#fields.get(field);
  }

  number(field: string): number {
    return Number(this.#fields.get(field) ?? 0);
  }

  /** Returns what is wrong with a field, or null. */
  add(field: string, value: string): string | null {
    this.#fields.set(field, value);
    if (Object.hasOwn(FIELDS, field)) return (FIELDS[field] as FieldShape)(this.#latest)(value);
    if (!CURSOR.test(field) || ++this.#cursors > CURSORS_MAX) return ' is no field of a show that moves';
    return waitMember(value);
  }

  /** Returns what is wrong with all fields together, or null. */
  problem(): string | null {
    const state = this.#fields.get('state') as MovableState | undefined;
    if (state === undefined) return 'state is missing';
    const missing = REQUIRED[state].find((field) => !this.#fields.has(field));
    if (missing !== undefined) return `${missing} is missing`;
    if (state === 'archived') {
      const other = [...this.#fields.keys()].find((field) => !OF_ARCHIVED.includes(field));
      return other === undefined ? null : `${other} is no field of an archived show`;
    }
    const other = ['archive', 'purge'].find((field) => this.#fields.has(field));
    if (other !== undefined) return `${other} is no field of a show that is ${state}`;
    // Release 0.1.0 did not write it.
    const isNeeded = state === 'ended' && this.number('format') > 0;
    const hasEnded = this.#fields.has('ended');
    if (isNeeded && !hasEnded) return 'ended is missing';
    return hasEnded && state !== 'ended' ? `ended is no field of a show that is ${state}` : null;
  }
}
