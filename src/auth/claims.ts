/** The claims of a viewer token and their validation. */
import { LIMITS } from '../limits.ts';
import { fail, ok, type Result } from '../protocol/codes.ts';
import { ROLES, type Role } from '../protocol/messages.ts';
import { cleanText, isCleanText } from '../protocol/text.ts';

export interface Claims {
  readonly show: string;
  /** The token's `sub`. */
  readonly user: string;
  /** Display name in chat. */
  readonly name: string;
  readonly role: Role;
  /** Seconds since the Unix epoch. */
  readonly exp: number;
}

const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;
const SHOW_ID = /^[A-Za-z0-9][A-Za-z0-9_-]*$/;

/** Returns the claims of a verified payload, or `unauthenticated` with the invalid claim. */
export function readClaims(payload: Readonly<Record<string, unknown>>): Result<Claims> {
  const { sub, name, show, role, exp } = payload;
  // As for tokens of the engine (domain/viewer.ts).
  if (!isCleanText(sub, LIMITS.userIdCharsMax))
    return fail(
      'unauthenticated',
      `The token's "sub" must be a text of 1 to ${LIMITS.userIdCharsMax} printable characters, without ones that ` +
        'hide or turn text.',
    );
  const shownName = isText(name, LIMITS.nameCharsMax) ? cleanText(name) : '';
  if (shownName === '')
    return fail(
      'unauthenticated',
      `The token's "name" must be a text of 1 to ${LIMITS.nameCharsMax} characters, one of them visible.`,
    );
  if (!isShowId(show)) return fail('unauthenticated', 'The token\'s "show" must be a show id.');
  if (!isRole(role)) return fail('unauthenticated', `The token's "role" must be one of ${ROLES.join(', ')}.`);
  if (typeof exp !== 'number' || !Number.isSafeInteger(exp) || exp <= 0 || exp > 1e11)
    return fail('unauthenticated', 'The token\'s "exp" must be whole seconds since 1970.');
  return ok({ show, user: sub, name: shownName, role, exp });
}

const isText = (value: unknown, charsMax: number): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= charsMax && !UNPRINTABLE.test(value);
export const isShowId = (value: unknown): value is string => isText(value, LIMITS.idCharsMax) && SHOW_ID.test(value);
const isRole = (value: unknown): value is Role => ROLES.some((role) => role === value);
