/** Fields that several resources share. Bounds come from `limits.ts`, patterns from `domain/`. */
import { type TObjectOptions, type TProperties, type TStringOptions, Type } from 'typebox';
import { ID_PATTERN, ID_WORDS, SKU_PATTERN, SKU_WORDS } from '../../domain/mistakes.ts';
import { LIMITS } from '../../limits.ts';
import { MOMENT_KEYWORD } from './moments.ts';

/** Unknown fields are typing errors, so request bodies refuse them. */
export const StrictObject = <Fields extends TProperties>(fields: Fields, options: TObjectOptions = {}) =>
  Type.Object(fields, { additionalProperties: false, ...options });

const WORDS = new Map<string, string>();
/** A text with a pattern. `words`: what an error says instead of it, behind "Must be". */
export const Patterned = (pattern: string, words: string, options: TStringOptions = {}) => {
  WORDS.set(pattern, words);
  return Type.String({ pattern, ...options });
};
/** Returns undefined for a pattern without words; a test finds those. */
export const wordsOfPattern = (pattern: string): string | undefined => WORDS.get(pattern);

export const Id = Patterned(ID_PATTERN, ID_WORDS, { examples: ['summer-gala'] });
export const SkuCode = Patterned(SKU_PATTERN, SKU_WORDS, { examples: ['TEE-RED-M', 'T-Shirt Größe M/L'] });
export const Title = Type.String({ minLength: 1, maxLength: LIMITS.titleCharsMax });
export const Name = Type.String({ minLength: 1, maxLength: LIMITS.nameCharsMax });
export const Currency = Patterned('^[A-Z]{3}$', 'an ISO 4217 code: three capital letters', {
  description: 'ISO 4217 code',
  examples: ['EUR'],
});
export const Moment = Type.Integer({
  minimum: 0,
  description: 'Milliseconds since the Unix epoch, on the Redis clock',
});
export const MomentOrNull = Type.Union([Moment, Type.Null()]);
const momentExamples = ['2026-11-30T20:00:00+01:00', 1_796_065_200_000];
const inBody = { format: 'date-time', minimum: 0, [MOMENT_KEYWORD]: 'body', examples: momentExamples };
const inBodyText = 'RFC 3339, or milliseconds since the Unix epoch, on the Redis clock';
/** A time in the body of a request. Handlers get milliseconds. */
export const MomentInBody = Type.Unsafe<number>({ type: ['integer', 'string'], description: inBodyText, ...inBody });
export const MomentOrNullInBody = Type.Unsafe<number | null>({
  ...{ type: ['integer', 'string', 'null'], description: inBodyText },
  ...inBody,
});
/** A time in a query. Handlers get milliseconds. */
export const MomentInQuery = (description: string) =>
  Type.Unsafe<number>({
    ...{ type: ['string', 'integer'], maxLength: 64, [MOMENT_KEYWORD]: 'query', examples: momentExamples.map(String) },
    description: `${description}: RFC 3339, or milliseconds since the Unix epoch`,
  });
export const ArchiveAt = Type.Union([Moment, Type.Null()], {
  description:
    'When an ended show is archived: its retention after its end, or later if a hold is open then. null: it has not ' +
    'ended, or is archived',
  examples: [1798761600000],
});
export const Count = Type.Integer({ minimum: 0 });
/** Of a list: absent if all records can be read. */
export const Unreadable = Type.Optional(
  Type.Array(Type.String(), {
    description:
      'Ids of those whose records in Redis cannot be read, which are not in the list. The log names the keys',
  }),
);

export const ShowParams = Type.Object({ show: Id });
/** A body that may be missing and has no fields. */
export const EmptyBody = StrictObject({});
