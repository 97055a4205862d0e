/** Viewers: the identity a token is issued for. */
import { LIMITS } from '../limits.ts';
import type { Failure } from '../protocol/codes.ts';
import { Mistakes } from './mistakes.ts';

/** Release 0.1.0 accepted tokens with any other id: blank, or with characters that turn text. */
const NEVER_STORED = /[\p{Cc}\p{Cs}]/u;

/** Checks an id whose data may be stored. More ids than a new token may have. */
export function checkStoredUser(user: string): Failure | null {
  const mistakes = new Mistakes();
  if (user.length > LIMITS.userIdCharsMax || NEVER_STORED.test(user))
    mistakes.add('/user', `Must be a text of 1 to ${LIMITS.userIdCharsMax} characters, without control characters.`);
  return mistakes.failure();
}

export function checkViewer({ user, name }: { readonly user: string; readonly name: string }): Failure | null {
  const mistakes = new Mistakes();
  mistakes.text('/user', user, LIMITS.userIdCharsMax);
  mistakes.text('/name', name, LIMITS.nameCharsMax);
  return mistakes.failure();
}
