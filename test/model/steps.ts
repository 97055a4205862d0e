/** What the model and the real scripts are both asked to do, and the shape in which both answer. */

import type { SaleMove } from '../../src/domain/sale.ts';
import type { Item, SaleState } from '../../src/protocol/messages.ts';

export const HOLD_MS = 600_000;

/**
 * Names a reservation before Redis gave it an id: `r` made by a reserve, `w` offered from the line,
 * then user and key.
 */
export type Handle = `${'r' | 'w'}:${string}:${string}` | 'none';

export interface Ask {
  user: string;
  key: string;
  sale: string;
  lines: Item[];
}
export interface Plan {
  sale: string;
  opens: 'draft' | 'later' | 'now';
  /** Does it have a length, after which it closes? */
  ends: boolean;
  perBuyer: number;
  units: Record<string, { quantity: number; price: number; perBuyer?: number }>;
}
export type Step =
  | { do: 'create'; key: string; plan: Plan }
  | { do: 'move'; key: string; sale: string; move: SaleMove }
  | { do: 'reserve'; asks: Ask[] }
  | { do: 'confirm'; key: string; of: Handle; orderRef: string; amount: number }
  | { do: 'release'; key: string; of: Handle; by: string | null }
  | { do: 'prolong'; key: string; of: Handle; byMs: number }
  | { do: 'join' | 'leave'; key: string; user: string; sale: string; sku: string; qty: number }
  | { do: 'tick' }
  /**
   * Another server process took over: sales pause, are verified, and go on, so that nothing is
   * different afterwards.
   */
  | { do: 'failover' }
  /** Time travel: a deadline or a moment has come. */
  | { do: 'lapse'; of: Handle }
  | { do: 'arrive'; sale: string; moment: 'opensAt' | 'closesAt' };

export interface Answer {
  code: string;
  replayed?: boolean;
  reservation?: { of: Handle; state: string; lines: Item[]; amount: number; orderRef?: string };
  sale?: { state: SaleState; books: Record<string, Books> };
  place?: number;
  waiting?: number;
}

export interface Books {
  allocated: number;
  available: number;
  held: number;
  sold: number;
  withdrawn: number;
}
