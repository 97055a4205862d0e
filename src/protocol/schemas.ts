/**
 * JSON Schemas of the wire. A field of a client message has its check beside its schema, so that
 * the validator (`validate.ts`) and the AsyncAPI document say the same.
 */
export type Schema = Readonly<Record<string, unknown>>;

/** Why a value is not accepted: the field that is wrong, and a sentence. */
export interface Wrong {
  readonly field: string;
  readonly wrong: string;
}
export const bad = (field: string, rule: string): Wrong => ({ field, wrong: `Field "${field}" must be ${rule}.` });

/** A field of a client message. `T` is the type of a value that the check accepts. */
export interface Field<T> {
  readonly schema: Schema;
  /** Returns null for a right value. `at` names the field. */
  readonly check: (value: unknown, at: string) => Wrong | null;
  readonly isOptional?: boolean;
  /** For the compiler only. */
  readonly accepts?: T;
}

export type Fields<T> = { readonly [Name in keyof T]-?: Field<Exclude<T[Name], undefined>> };

export const text = (charsMax: number, rule = `a string of 1 to ${charsMax} characters`): Field<string> => ({
  schema: { type: 'string', minLength: 1, maxLength: charsMax },
  check: (value, at) => (typeof value === 'string' && value !== '' && value.length <= charsMax ? null : bad(at, rule)),
});

export const matching = (pattern: RegExp, charsMax: number, rule: string): Field<string> => {
  const { schema, check } = text(charsMax, rule);
  return {
    schema: { ...schema, pattern: pattern.source },
    check: (value, at) => check(value, at) ?? (pattern.test(value as string) ? null : bad(at, rule)),
  };
};

export const integer = (min: number, max: number, rule = `an integer from ${min} to ${max}`): Field<number> => ({
  schema: { type: 'integer', minimum: min, maximum: max },
  check: (value, at) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max ? null : bad(at, rule),
});

export const finite = (rule: string): Field<number> => ({
  schema: { type: 'number' },
  check: (value, at) => (Number.isFinite(value) ? null : bad(at, rule)),
});

export const oneOf = <T extends string>(...values: readonly T[]): Field<T> => ({
  schema: { enum: values },
  check: (value, at) => (values.includes(value as T) ? null : bad(at, values.map((each) => `"${each}"`).join(' or '))),
});

export const optional = <T>(of: Field<T>): Field<T> => ({
  ...of,
  check: (value, at) => (value === undefined ? null : of.check(value, at)),
  isOptional: true,
});

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

type Named = ReadonlyArray<{ readonly name: string; readonly field: Field<unknown> }>;
export const named = (fields: object): Named => Object.entries(fields).map(([name, field]) => ({ name, field }));

/** Returns the first mistake of an object, or null. */
export function mistakeIn(value: Record<string, unknown>, fields: Named): Wrong | null {
  for (let i = 0; i < fields.length; i += 1) {
    const { name, field } = fields[i] as Named[number];
    const wrong = field.check(value[name], name);
    if (wrong !== null) return wrong;
  }
  return null;
}

/** Returns the schema of an object with these fields. Receivers ignore others (M-1.2). */
export const schemaOf = (fields: Named): Schema => ({
  type: 'object',
  properties: Object.fromEntries(fields.map(({ name, field }) => [name, field.schema])),
  required: fields.flatMap(({ name, field }) => (field.isOptional ? [] : [name])),
});

/** A list of 1 to `max` objects. */
export function listOf<T extends object>(of: Fields<T>, max: number): Field<T[]> {
  const fields = named(of);
  const names = `{${fields.map(({ name }) => name).join(', ')}}`;
  return {
    schema: { type: 'array', minItems: 1, maxItems: max, items: schemaOf(fields) },
    check(value, at) {
      if (!Array.isArray(value) || value.length === 0 || value.length > max)
        return bad(at, `an array of 1 to ${max} items ${names}`);
      for (let i = 0; i < value.length; i += 1) {
        const item: unknown = value[i];
        if (!isObject(item)) return bad(`${at}[${i}]`, `an object ${names}`);
        const wrong = mistakeIn(item, fields);
        if (wrong !== null)
          return { field: `${at}[${i}].${wrong.field}`, wrong: wrong.wrong.replace('"', `"${at}[${i}].`) };
      }
      return null;
    },
  };
}
