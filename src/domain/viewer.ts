/** Viewers: the identity a token is issued for. */
import { LIMITS } from '../limits.ts';
import type { Failure } from '../protocol/codes.ts';
import { Mistakes } from './mistakes.ts';

export function checkUser(user: string): Failure | null {
  const mistakes = new Mistakes();
  mistakes.text('/user', user, LIMITS.userIdCharsMax);
  return mistakes.failure();
}

export function checkViewer({ user, name }: { readonly user: string; readonly name: string }): Failure | null {
  const mistakes = new Mistakes();
  mistakes.text('/user', user, LIMITS.userIdCharsMax);
  mistakes.text('/name', name, LIMITS.nameCharsMax);
  return mistakes.failure();
}
