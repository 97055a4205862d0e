/**
 * The host's back office and the shop's payment desk: everything the audience's run needs from the
 * HTTP API.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Verification } from '../../src/domain/audit.ts';
import type { SaleBooks, SaleSpec } from '../../src/domain/sale.ts';
import type { ShowSpec } from '../../src/domain/show.ts';
import type { Product, ReservationView, Role, ShowView } from '../../src/protocol/messages.ts';

/** An answer that is not a success: the stable code of the problem document and its text. */
export class BackOfficeError extends Error {
  readonly code: string;
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  constructor(status: number, code: string, detail: string, retryAfterMs?: number) {
    super(`${code} (${status}): ${detail}`);
    this.name = 'BackOfficeError';
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

interface Call {
  readonly body?: unknown;
  /** The Idempotency-Key: such a call may be repeated, and is, when no answer came. */
  readonly key?: string;
  /** A POST that changes nothing when it is done twice. */
  readonly harmless?: boolean;
}

const TRIES_MAX = 5;
const TRY_PAUSE_MS = 250;
const CALL_TIMEOUT_MS = 10_000;

export class BackOffice {
  readonly #base: string;
  readonly #apiKey: string;

  constructor(base: string, apiKey: string) {
    this.#base = base.replace(/\/+$/, '');
    this.#apiKey = apiKey;
  }

  createShow(spec: ShowSpec): Promise<ShowView> {
    return this.#call('POST', '/v1/shows', { body: spec });
  }

  startShow(show: string): Promise<ShowView> {
    return this.#call('POST', `/v1/shows/${show}/start`);
  }

  putProduct(show: string, product: Product): Promise<Product> {
    const { id, ...body } = product;
    return this.#call('PUT', `/v1/shows/${show}/products/${id}`, { body });
  }

  pin(show: string, product: string | null): Promise<unknown> {
    return this.#call('POST', `/v1/shows/${show}/pin`, { body: { product }, harmless: true });
  }

  announce(show: string, text: string): Promise<unknown> {
    return this.#call('POST', `/v1/shows/${show}/announcements`, { body: { text } });
  }

  createSale(show: string, spec: SaleSpec, key: string): Promise<SaleBooks> {
    return this.#call('POST', `/v1/shows/${show}/sales`, { body: spec, key });
  }

  getSale(show: string, sale: string): Promise<SaleBooks> {
    return this.#call('GET', `/v1/shows/${show}/sales/${sale}`);
  }

  async listSales(show: string): Promise<SaleBooks[]> {
    const answer = await this.#call<{ sales: SaleBooks[] }>('GET', `/v1/shows/${show}/sales`);
    return answer.sales;
  }

  getReservation(show: string, reservation: string): Promise<ReservationView> {
    return this.#call('GET', `/v1/shows/${show}/reservations/${encodeURIComponent(reservation)}`);
  }

  endSale(show: string, sale: string, key: string): Promise<SaleBooks> {
    return this.#call('POST', `/v1/shows/${show}/sales/${sale}/end`, { key });
  }

  endShow(show: string): Promise<ShowView> {
    return this.#call('POST', `/v1/shows/${show}/end`, { harmless: true });
  }

  async mintToken(show: string, user: string, name: string, role: Role): Promise<string> {
    const answer = await this.#call<{ token: string }>('POST', `/v1/shows/${show}/tokens`, {
      body: { user, name, role },
      harmless: true,
    });
    return answer.token;
  }

  confirm(
    show: string,
    reservation: string,
    body: { orderRef: string; amount: number },
    key: string,
  ): Promise<{ reservation: ReservationView; replayed: boolean }> {
    return this.#call('POST', `/v1/shows/${show}/reservations/${encodeURIComponent(reservation)}/confirm`, {
      body,
      key,
    });
  }

  verify(show: string): Promise<Verification> {
    return this.#call('GET', `/v1/shows/${show}/verify`);
  }

  /** Throws BackOfficeError for a coded answer, the platform's error when there is no server. */
  async #call<T>(method: string, path: string, { body, key, harmless = false }: Call = {}): Promise<T> {
    const repeatable = key !== undefined || harmless || method !== 'POST';
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#once<T>(method, path, body, key);
      } catch (error) {
        const passing = !(error instanceof BackOfficeError) || error.status === 429 || error.status >= 500;
        if (!repeatable || !passing || attempt === TRIES_MAX) throw error;
        await sleep((error instanceof BackOfficeError ? error.retryAfterMs : undefined) ?? TRY_PAUSE_MS * attempt);
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
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    });
    const answer: unknown = await response.json().catch(() => ({}));
    if (response.ok) return answer as T;
    const problem = answer as { code?: string; detail?: string; retryAfterMs?: number };
    throw new BackOfficeError(
      response.status,
      problem.code ?? 'unknown',
      problem.detail ?? `${method} ${path} failed`,
      problem.retryAfterMs,
    );
  }
}
