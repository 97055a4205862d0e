/** What anyone may know about the shows that their hosts want listed. */
import type { Result } from '../protocol/codes.ts';
import type { SaleState, ShowState } from '../protocol/messages.ts';

export interface PublicSale {
  id: string;
  title: string;
  state: Extract<SaleState, 'open' | 'paused' | 'scheduled'>;
  opensAt: number | null;
  closesAt: number | null;
}

export interface PublicShow {
  id: string;
  title: string;
  state: Exclude<ShowState, 'ended'>;
  startsAt: number | null;
  posterUrl?: string;
  viewers: number;
  /** Open ones first, then the next to open; at most `publicSalesPerShowMax`. */
  sales: PublicSale[];
}

export interface PublicShowStore {
  /**
   * Returns the public shows that have not ended: live ones, then the next to start, at most
   * `publicShowsMax`. Costs one read per show, and another one after an event of the show.
   */
  publicShows(): Promise<Result<PublicShow[]>>;
}
