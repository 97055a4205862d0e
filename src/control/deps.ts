import type { ApiKeys } from '../auth/api-keys.ts';
import type { Tokens } from '../auth/tokens.ts';
import type { Archives } from '../domain/archive.ts';
import type { Erasures } from '../domain/erasure.ts';
import type { SaleBooks } from '../domain/sale.ts';
import type { Store } from '../domain/store.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Readiness } from '../telemetry/readiness.ts';
import type { BrowserOptions } from './http/browser-headers.ts';
import type { HttpRates } from './http/rate-limit.ts';

export interface ControlOptions extends BrowserOptions {
  readonly version: string;
  readonly node: string;
  /** WebSocket URL of the gateway for viewers; null = the host of the request, at `gatewayPort`. */
  readonly publicGatewayUrl: string | null;
  readonly gatewayPort: number;
  /**
   * Folders of the viewer page (HTML, CSS) and of the compiled scripts (which contains `client`,
   * `protocol` and `web`); null = no pages.
   */
  readonly web?: { readonly pages: string; readonly scripts: string } | null;
  /** Mints buyer tokens without an API key. Only for demos. */
  readonly demoTokens?: boolean;
  /** Proxies (addresses, CIDR networks) whose `X-Forwarded-*` headers are trusted. */
  readonly trustedProxies?: readonly string[];
  /** The gateway serves TLS itself. */
  readonly gatewayTls?: boolean;
  readonly rates?: Partial<HttpRates>;
  /** An export ends if its reader takes nothing for so long. Default: that of `LIMITS`. */
  readonly exportIdleMs?: number;
}

export interface ControlDeps {
  readonly store: Store;
  readonly archives: Archives;
  readonly erasures: Erasures;
  readonly tokens: Tokens;
  readonly apiKeys: ApiKeys;
  readonly logger: Logger;
  readonly metrics?: Metrics;
  /** Returns the text for `/metrics`. Default: `metrics`. */
  readonly scrape?: () => Promise<string>;
  /** Keys for `/metrics` beside the API keys. */
  readonly scrapeKeys?: ApiKeys;
  /** Default: that of the store. */
  readonly readiness?: Readiness;
  readonly options: ControlOptions;
  /** Called after every committed change of a sale. Not awaited; its errors are logged. */
  readonly onSaleChanged?: (showId: string, sale: SaleBooks) => unknown;
}
