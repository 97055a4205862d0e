/** The host's back office and the shop's checkout: a client of the control API. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Verification } from '../../src/domain/audit.ts';
import type { SaleBooks, SaleSpec } from '../../src/domain/sale.ts';
import type { ShowSpec } from '../../src/domain/show.ts';
import type { Product, ReservationView, Role, ShowView } from '../../src/protocol/messages.ts';
import type { Reply } from './buyer.ts';

type Problem = { code?: string; detail?: string; retryAfterMs?: number; details?: unknown };

/** A response that is no success: code and text of the problem document. */
export class BackOfficeError extends Error {
  readonly code: string;
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  readonly details: unknown;

  constructor(status: number, request: string, problem: Problem) {
    const { code = `status_${status}`, detail = `${request} failed`, retryAfterMs, details } = problem;
    super(`${code} (${status}): ${detail}`);
    this.name = 'BackOfficeError';
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
    this.details = details;
  }
}

interface Call {
  readonly body?: unknown;
  /** The Idempotency-Key. A call with a key is repeated when no response came. */
  readonly key?: string;
  /** A POST that changes nothing when it is done twice. */
  readonly repeatable?: boolean;
}

export interface BackOfficeOptions {
  /** 1 = a failed call is not repeated. */
  readonly tries?: number;
  readonly timeoutMs?: number;
}

type Confirmed = { readonly reservation: ReservationView; readonly replayed: boolean };

const RETRY_MS = 250;
const encoded = encodeURIComponent;

export class BackOffice {
  readonly #base: string;
  readonly #apiKey: string;
  readonly #tries: number;
  readonly #timeoutMs: number;

  constructor(base: string, apiKey: string, { tries = 5, timeoutMs = 10_000 }: BackOfficeOptions = {}) {
    this.#base = base.replace(/\/+$/, '');
    this.#apiKey = apiKey;
    this.#tries = tries;
    this.#timeoutMs = timeoutMs;
  }

  createShow = (spec: ShowSpec): Promise<ShowView> => this.#call('POST', '/v1/shows', { body: spec });
  startShow = (show: string): Promise<ShowView> => this.#call('POST', `/v1/shows/${show}/start`);
  endShow = (show: string): Promise<ShowView> => this.#call('POST', `/v1/shows/${show}/end`, { repeatable: true });
  deleteShow = (show: string): Promise<unknown> => this.#call('DELETE', `/v1/shows/${show}`);
  putProduct = (show: string, { id, ...body }: Product): Promise<Product> =>
    this.#call('PUT', `/v1/shows/${show}/products/${id}`, { body });
  pin = (show: string, product: string | null): Promise<unknown> =>
    this.#call('POST', `/v1/shows/${show}/pin`, { body: { product }, repeatable: true });
  announce = (show: string, text: string): Promise<unknown> =>
    this.#call('POST', `/v1/shows/${show}/announcements`, { body: { text } });
  createSale = (show: string, spec: SaleSpec, key: string): Promise<SaleBooks> =>
    this.#call('POST', `/v1/shows/${show}/sales`, { body: spec, key });
  pauseSale = (show: string, sale: string): Promise<SaleBooks> =>
    this.#call('POST', `/v1/shows/${show}/sales/${sale}/pause`);
  getSale = (show: string, sale: string): Promise<SaleBooks> => this.#call('GET', `/v1/shows/${show}/sales/${sale}`);
  listSales = async (show: string): Promise<SaleBooks[]> =>
    (await this.#call<{ sales: SaleBooks[] }>('GET', `/v1/shows/${show}/sales`)).sales;
  getReservation = (show: string, reservation: string): Promise<ReservationView> =>
    this.#call('GET', `/v1/shows/${show}/reservations/${encoded(reservation)}`);
  confirm = (show: string, id: string, body: { orderRef: string; amount: number }, key: string): Promise<Confirmed> =>
    this.#call('POST', `/v1/shows/${show}/reservations/${encoded(id)}/confirm`, { body, key });
  release = (show: string, id: string, key: string): Promise<Confirmed> =>
    this.#call('POST', `/v1/shows/${show}/reservations/${encoded(id)}/release`, { body: {}, key });
  refund = (show: string, order: string, key: string): Promise<unknown> =>
    this.#call('POST', `/v1/shows/${show}/orders/${encoded(order)}/refund`, { body: {}, key });
  verify = (show: string): Promise<Verification> => this.#call('GET', `/v1/shows/${show}/verify`);

  /** Without `ttlSeconds` the engine decides how long the token is valid. */
  mint(show: string, user: string, name: string, role: Role, ttlSeconds?: number) {
    const body = { user, name, role, ...(ttlSeconds === undefined ? {} : { ttlSeconds }) };
    const call = { body, repeatable: true };
    return this.#call<{ token: string; expiresAt: number }>('POST', `/v1/shows/${show}/tokens`, call);
  }

  mintToken = async (show: string, user: string, name: string, role: Role): Promise<string> =>
    (await this.mint(show, user, name, role)).token;

  /** Throws `BackOfficeError` for a coded response, the error of `fetch` if there is no server. */
  async #call<T>(method: string, path: string, { body, key, repeatable = false }: Call = {}): Promise<T> {
    const mayRepeat = key !== undefined || repeatable || method !== 'POST';
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once<T>(method, path, body, key);
      } catch (error) {
        const isTemporary = !(error instanceof BackOfficeError) || error.status === 429 || error.status >= 500;
        if (!mayRepeat || !isTemporary || attempt >= this.#tries) throw error;
        await sleep((error instanceof BackOfficeError ? error.retryAfterMs : undefined) ?? RETRY_MS * attempt);
      }
    }
  }

  async #once<T>(method: string, path: string, body: unknown, key: string | undefined): Promise<T> {
    const response = await fetch(`${this.#base}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#apiKey}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(this.#timeoutMs),
    });
    const content: unknown = await response.json().catch(() => ({}));
    if (response.ok) return content as T;
    throw new BackOfficeError(response.status, `${method} ${path}`, content as Problem);
  }
}

/** The result of a call as a virtual user sees it: `lost` when there was no response. */
export async function replyOf(call: Promise<unknown>): Promise<Reply> {
  try {
    return { t: 'ok', data: await call };
  } catch (error) {
    if (!(error instanceof BackOfficeError)) return { t: 'lost' };
    const { code, retryAfterMs, details } = error;
    return { t: 'error', at: 0, code, details, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  }
}
