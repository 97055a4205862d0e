/**
 * The back office of a shop: the control API over HTTP with an `Idempotency-Key`, and tokens signed
 * as any identity provider would.
 */
import { createHmac } from 'node:crypto';
import { API_KEY, AUTH_SECRET } from './engine-under-test.ts';
import type { Fields } from './plain-client.ts';

/** `lost`: no answer, or one that says that the outcome is not known (Q-9 holds here as well). */
export type HttpAnswer =
  | { readonly t: 'answer'; readonly status: number; readonly body: Fields }
  | { readonly t: 'lost'; readonly why: string };

const TIMEOUT_MS = 20_000;

export async function call(
  base: string,
  method: string,
  path: string,
  body?: unknown,
  key?: string,
): Promise<HttpAnswer> {
  try {
    const response = await fetch(`${base}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${API_KEY}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    return { t: 'answer', status: response.status, body: text === '' ? {} : (JSON.parse(text) as Fields) };
  } catch (error) {
    return { t: 'lost', why: error instanceof Error ? error.message : String(error) };
  }
}

/** For setting the stage: anything but success is a broken stage. */
export async function must(base: string, method: string, path: string, body?: unknown, key?: string): Promise<Fields> {
  const answer = await call(base, method, path, body, key);
  if (answer.t === 'lost') throw new Error(`${method} ${path}: ${answer.why}`);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/**
 * A token that expires `ttlMs` from now, on this machine's clock; negative: it has expired already.
 */
export function signToken(show: string, user: string, ttlMs = 3_600_000, role = 'buyer'): string {
  const now = Date.now();
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, name: user, show, role, exp: Math.floor((now + ttlMs) / 1000) })}`;
  return `${signed}.${createHmac('sha256', AUTH_SECRET).update(signed).digest('base64url')}`;
}
