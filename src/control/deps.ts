/** What the control API is built from. It listens nowhere by itself: the caller does. */
import type { ApiKeys } from '../auth/api-keys.ts';
import type { Tokens } from '../auth/tokens.ts';
import type { SaleBooks } from '../domain/sale.ts';
import type { Store } from '../domain/store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';

export interface ControlOptions {
  readonly version: string;
  readonly node: string;
  /**
   * WebSocket address that viewers reach, such as `wss://live.example.com`; null = the host the
   * page was asked from, at `gatewayPort`.
   */
  readonly publicGatewayUrl: string | null;
  readonly gatewayPort: number;
  /** Origins whose pages may call the API; `['*']` = any; null or empty = none but its own. */
  readonly corsOrigins?: readonly string[] | null;
  /**
   * Folders of the viewer page (HTML, CSS) and of the compiled scripts (with `client`, `protocol`
   * and `web` in it); null = no pages.
   */
  readonly web?: { readonly pages: string; readonly scripts: string } | null;
  /** Gives a buyer token to anybody who asks. Only for demos: off unless true. */
  readonly demoTokens?: boolean;
  /**
   * Proxies (addresses, CIDR networks) whose `X-Forwarded-*` headers are believed; none unless
   * given.
   */
  readonly trustedProxies?: readonly string[];
  /** The gateway speaks TLS itself, whatever this API does. */
  readonly gatewayTls?: boolean;
  /** Requests a minute per API key, and per address without one; per process. */
  readonly ratePerMinute?: number;
}

export interface ControlDeps {
  readonly store: Store;
  readonly tokens: Tokens;
  readonly apiKeys: ApiKeys;
  readonly logger: Logger;
  readonly metrics?: Metrics;
  readonly options: ControlOptions;
  /** Told after every committed change of a sale; nobody waits for it and its errors are logged. */
  readonly onSaleChanged?: (showId: string, sale: SaleBooks) => unknown;
}
