/** Checks of values from a file. A shape returns null, or where the value is wrong and why. */
export type Shape = (value: unknown) => string | null;

/** Sums of units, money and counters stay far below 2^53. */
export const COUNT_MAX = 1e15;

const unless =
  (isRight: (value: unknown) => boolean, what: string): Shape =>
  (value) =>
    isRight(value) ? null : ` is not ${what}`;

const isBetween = (value: unknown, min: number, max: number): boolean =>
  Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;

export const int = (max = COUNT_MAX, min = 0): Shape =>
  unless((value) => isBetween(value, min, max), `a whole number from ${min} to ${max}`);

const WHOLE = /^(0|[1-9]\d{0,15})$/;
/** A whole number as Redis stores it: decimal digits only. */
export const digits = (max = COUNT_MAX, min = 0): Shape =>
  unless(
    (value) => typeof value === 'string' && WHOLE.test(value) && isBetween(Number(value), min, max),
    `a whole number from ${min} to ${max}`,
  );

export const text = (charsMax: number, charsMin = 0): Shape =>
  unless(
    (value) => typeof value === 'string' && value.length >= charsMin && value.length <= charsMax,
    `a text of ${charsMin} to ${charsMax} characters`,
  );

export const match = (pattern: RegExp, what: string): Shape =>
  unless((value) => typeof value === 'string' && pattern.test(value), what);

export const one = (...values: ReadonlyArray<string | number | boolean | null>): Shape =>
  unless((value) => (values as unknown[]).includes(value), values.map((each) => JSON.stringify(each)).join(' or '));

export const anything: Shape = () => null;

export const either =
  (...shapes: readonly Shape[]): Shape =>
  (value) => {
    let wrong: string | null = null;
    for (const shape of shapes) {
      wrong = shape(value);
      if (wrong === null) return null;
    }
    return wrong;
  };

/** Returns what is wrong with the first value that has another shape. */
function within(at: string, wrong: string | null): string | null {
  return wrong === null ? null : `${at}${wrong}`;
}

export const list =
  (of: Shape, max: number, min = 0): Shape =>
  (value) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) return ` is not a list of ${min} to ${max}`;
    for (let i = 0; i < value.length; i++) {
      const wrong = of(value[i]);
      if (wrong !== null) return within(`[${i}]`, wrong);
    }
    return null;
  };

/** A list with a shape for each position. Lua leaves out nil at the end. */
export const tuple =
  (shapes: readonly Shape[], min = shapes.length): Shape =>
  (value) => {
    if (!Array.isArray(value) || value.length < min || value.length > shapes.length)
      return ` is not a list of ${min} to ${shapes.length}`;
    for (let i = 0; i < value.length; i++) {
      const wrong = (shapes[i] as Shape)(value[i]);
      if (wrong !== null) return within(`[${i}]`, wrong);
    }
    return null;
  };

/** Values that alternate, as Lua keeps pairs. */
export const pairs =
  (first: Shape, second: Shape, max: number): Shape =>
  (value) => {
    if (!Array.isArray(value) || value.length === 0 || value.length % 2 !== 0 || value.length > 2 * max)
      return ` is not a list of 1 to ${max} pairs`;
    for (let i = 0; i < value.length; i++) {
      const wrong = (i % 2 === 0 ? first : second)(value[i]);
      if (wrong !== null) return within(`[${i}]`, wrong);
    }
    return null;
  };

/** Not a date or another type that MessagePack has. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/** An object with these fields only. Optional ones may be null. */
export function object(fields: Readonly<Record<string, Shape>>, optional: Readonly<Record<string, Shape>> = {}): Shape {
  const [required, others] = [Object.entries(fields), Object.entries(optional)];
  return (value) => {
    if (!isObject(value)) return ' is not an object';
    for (const name of Object.keys(value))
      if (!Object.hasOwn(fields, name) && !Object.hasOwn(optional, name)) return within(`.${cut(name)}`, ' is unknown');
    for (const [name, shape] of required) {
      const wrong = shape(value[name]);
      if (wrong !== null) return within(`.${name}`, wrong);
    }
    for (const [name, shape] of others) {
      const wrong = (value[name] ?? null) === null ? null : shape(value[name]);
      if (wrong !== null) return within(`.${name}`, wrong);
    }
    return null;
  };
}

/** An object of any names. Lua packs one without fields as an empty list. */
export const mapOf =
  (key: Shape, of: Shape): Shape =>
  (value) => {
    if (Array.isArray(value) && value.length === 0) return null;
    if (!isObject(value)) return ' is not an object';
    for (const name of Object.keys(value)) {
      const wrong = key(name) ?? of(value[name]);
      if (wrong !== null) return within(`.${cut(name)}`, wrong);
    }
    return null;
  };

/** Shortens a text from a file for a message, without characters that turn or hide it. */
export function cut(text: string): string {
  const shown = JSON.stringify(text.slice(0, 40)).replace(/[^\x20-\x7e]/g, '?');
  return /^"[\w.:/-]+"$/.test(shown) && text.length <= 40 ? text : shown;
}
