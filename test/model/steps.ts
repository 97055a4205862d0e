/** The steps that the model and the real scripts both run, and the shape of their results. */
import type { SaleMove, SkuBooks } from '../../src/domain/sale.ts';
import type { Item, SaleState } from '../../src/protocol/messages.ts';

export const HOLD_MS = 600_000;
export const USERS = ['u0', 'u1', 'u2', 'u3'];

/** Names a reservation without its id: `r` for a reserve, `w` for an offer, then user and key. */
export type Handle = `${'r' | 'w'}:${string}:${string}` | 'none';

export type Ask = { user: string; key: string; sale: string; lines: Item[] };
export interface Plan {
  sale: string;
  opens: 'draft' | 'later' | 'now';
  /** Whether it has a duration, after which it closes. */
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
  | { do: 'extend'; key: string; of: Handle; byMs: number }
  | { do: 'refund'; key: string; of: Handle; restock: boolean }
  | { do: 'join' | 'leave'; key: string; user: string; sale: string; sku: string; qty: number }
  | { do: 'tick' }
  /** Another Redis process took over: sales pause, are verified and resume. */
  | { do: 'failover' }
  /** A deadline or a moment has come. */
  | { do: 'expire'; of: Handle }
  | { do: 'arrive'; sale: string; moment: 'opensAt' | 'closesAt' };

export interface StepResult {
  code: string;
  replayed?: boolean;
  reservation?: { of: Handle; state: string; lines: Item[]; amount: number; orderRef?: string };
  sale?: { state: SaleState; books: Record<string, Books> };
  place?: number;
  waiting?: number;
}

export type Books = Pick<SkuBooks, 'allocated' | 'available' | 'held' | 'sold' | 'withdrawn'>;

export function unitsOf({ allocated, available, held, sold, withdrawn }: Books): Books {
  return { allocated, available, held, sold, withdrawn };
}
